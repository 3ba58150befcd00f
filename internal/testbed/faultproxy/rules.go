package faultproxy

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// Action is what is done to a request that a rule picks.
type Action int

// The actions.
const (
	// DropResponse forwards the request and, when the answer comes, cuts the connection instead of passing it
	// on: the broker has done it, the client does not know.
	DropResponse Action = iota + 1
	// Late cuts the client's connection before the request was forwarded, and delivers the request to the
	// broker Rule.Delay later over a connection of its own: a zombie.
	Late
	// Duplicate forwards the request and delivers it once more, Rule.Delay later, over a connection of its own.
	Duplicate
	// DelayRequest holds the request, and so everything behind it on the connection, for Rule.Delay.
	DelayRequest
	// DelayResponse holds the answer, and so everything behind it on the connection, for Rule.Delay.
	DelayResponse
	// Silence forwards nothing any more on the connection, in neither direction, and leaves it open: the other
	// host has vanished.
	Silence
	// Reset ends the connection with a TCP reset on the client's side, the request not forwarded.
	Reset
)

var actionNames = map[Action]string{
	DropResponse: "drop-response", Late: "late", Duplicate: "duplicate", DelayRequest: "delay-request",
	DelayResponse: "delay-response", Silence: "silence", Reset: "reset",
}

func (a Action) String() string { return actionNames[a] }

// Keys of Kafka's API that rules are usually about.
const (
	Produce              int16 = 0
	Fetch                int16 = 1
	ListOffsets          int16 = 2
	Metadata             int16 = 3
	OffsetCommit         int16 = 8
	OffsetForLeaderEpoch int16 = 23
	AddPartitionsToTxn   int16 = 24
	EndTxn               int16 = 26
	WriteTxnMarkers      int16 = 27
	DeleteRecords        int16 = 21
	InitProducerID       int16 = 22
)

// Rule picks requests and says what is done to them. The first rule that picks a request has it.
type Rule struct {
	APIs        []int16 // requests with one of these keys; none means all
	Action      Action
	Probability float64       // of the requests with these keys, 0 to 1; 0 and Every 0 means all of them
	Every       int           // the n-th, 2n-th, ...: in place of Probability
	Skip        int           // leave the first ones alone
	Most        int           // pick no more than so many; 0 means no limit
	Delay       time.Duration // for Late, Duplicate and the delays
	// Notify, when set, is called when the rule has its effect on a request, and the connection waits for it:
	// with DropResponse the broker has answered, with everything else it has not seen the request.
	Notify func()
}

// Active is a rule at work.
type Active struct {
	Rule
	proxy  *Proxy
	seen   int // requests with the rule's keys; guarded by proxy.mu
	picked atomic.Int64
	done   atomic.Int64
}

// Picked returns how many requests the rule has picked.
func (a *Active) Picked() int64 { return a.picked.Load() }

// Done returns how many of them have had the effect: the answer dropped, the request delivered late or again.
// For the other actions it equals Picked.
func (a *Active) Done() int64 { return a.done.Load() }

func (a *Active) notify() {
	if a.Notify != nil {
		a.Notify()
	}
}

// Remove ends the rule for requests that come from now on.
func (a *Active) Remove() {
	a.proxy.mu.Lock()
	defer a.proxy.mu.Unlock()
	a.proxy.rules = slices.DeleteFunc(a.proxy.rules, func(o *Active) bool { return o == a })
}

// Add puts a rule at the end of the list.
func (p *Proxy) Add(r Rule) *Active {
	if r.Action.String() == "" {
		panic(fmt.Sprintf("faultproxy: no action %d", r.Action)) // a mistake in the test
	}
	a := &Active{Rule: r, proxy: p}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = append(p.rules, a)
	return a
}

// Clear removes all rules, opens the gate and lets the link be quick.
func (p *Proxy) Clear() {
	p.mu.Lock()
	p.rules = nil
	p.mu.Unlock()
	p.SetLink(Link{})
	p.Partition(false)
}

// pick finds the rule for a request; nil if there is none.
func (p *Proxy) pick(api int16) *Active {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[api]++
	for _, a := range p.rules {
		if a.wants(api) {
			a.picked.Add(1)
			return a
		}
	}
	return nil
}

// wants is called with proxy.mu held.
func (a *Active) wants(api int16) bool {
	if len(a.APIs) > 0 && !slices.Contains(a.APIs, api) {
		return false
	}
	a.seen++
	n := a.seen - a.Skip
	switch {
	case n <= 0, a.Most > 0 && a.picked.Load() >= int64(a.Most):
		return false
	case a.Every > 0:
		return n%a.Every == 0
	case a.Probability > 0:
		return a.proxy.rng.Float64() < a.Probability
	}
	return true
}

// Seen returns how many requests with that key have come so far.
func (p *Proxy) Seen(api int16) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[api]
}
