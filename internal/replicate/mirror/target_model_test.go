package mirror_test

import (
	"errors"
	"fmt"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/replicate/mirror"
)

// entryKind is what an offset of the target holds.
type entryKind int

const (
	entryRecord  entryKind = iota + 1
	entryMarker            // a control marker
	entrySeed              // a filler record
	entryAborted           // a filler record of an aborted transaction
	entryForeign           // somebody else's record
)

// entry is one offset of the target's log.
type entry struct {
	kind entryKind
	last bool // of its batch
	record
	pid      int64
	sequence int32
}

// appended is one batch that the broker remembers of a producer.
type appended struct {
	first, last int32
	base        int64
}

// targetLog is a target partition and what its leader knows of our producer.
type targetLog struct {
	entries []entry // entries[i] is offset i
	start   int64
	high    int64      // replicated up to here
	recent  []appended // our producer's last batches, oldest first; none: the broker does not remember it
}

const remembered = 5

var (
	errOutOfOrder     = errors.New("out of order sequence number")
	errTooFewReplicas = errors.New("not enough replicas")
)

func (t *targetLog) end() int64 { return int64(len(t.entries)) }

// sequence is the last one of our producer, -1 if the broker does not remember it.
func (t *targetLog) sequence() int32 {
	if len(t.recent) == 0 {
		return -1
	}
	return t.recent[len(t.recent)-1].last
}

// produce appends a batch as a leader does, with the checks that matter: what comes from our producer must go
// on where it stands, and what it has already is acknowledged again.
func (t *targetLog) produce(raw []byte, kind entryKind) (base int64, err error) {
	b, rest, err := batch.Next(raw)
	if err != nil || len(rest) > 0 {
		return 0, fmt.Errorf("not one batch: %v, %d bytes behind", err, len(rest))
	}
	if err := b.CheckCRC(); err != nil {
		return 0, err
	}
	if why := batch.Passable(&b.Header, 0, 0); why != batch.ReasonNone || b.Transactional() || b.DeleteHorizon() || b.BaseOffset != 0 {
		return 0, fmt.Errorf("a broker would not take it: %s, attributes %#x, base offset %d", why, b.Attributes, b.BaseOffset)
	}
	first, last := b.BaseSequence, batch.NextSequence(b.BaseSequence, b.Count-1)
	for _, a := range t.recent {
		if a.first == first && a.last == last {
			return a.base, nil
		}
	}
	if n := len(t.recent); n > 0 && first != batch.NextSequence(t.recent[n-1].last, 1) {
		return 0, errOutOfOrder
	}
	base = t.end()
	err = decoder.Records(&b, func(r *batch.Record) error {
		t.entries = append(t.entries, entry{kind: kind, record: record{r.Timestamp, string(r.Key), string(r.Value)}, pid: b.ProducerID, sequence: batch.NextSequence(first, int32(t.end()-base))})
		return nil
	})
	t.entries[len(t.entries)-1].last = true
	t.remember(appended{first, last, base})
	return base, err
}

func (t *targetLog) remember(a appended) {
	t.recent = append(t.recent, a)
	if len(t.recent) > remembered {
		t.recent = t.recent[1:]
	}
}

// fill appends n entries that carry nothing.
func (t *targetLog) fill(n int64, kind entryKind) {
	for range n {
		t.entries = append(t.entries, entry{kind: kind, last: true})
	}
}

// replicate lets the followers have at least n more offsets, whole batches.
func (t *targetLog) replicate(n int64) {
	for t.high < t.end() && (n > 0 || !t.entries[t.high-1].last) {
		t.high++
		n--
	}
}

// lose cuts off what was not replicated, as a leader does that dies with it. The new leader knows our producer
// as far as its own log goes.
func (t *targetLog) lose() {
	t.entries = t.entries[:t.high]
	for len(t.recent) > 0 && t.recent[len(t.recent)-1].base >= t.high {
		t.recent = t.recent[:len(t.recent)-1]
	}
	if n := len(t.recent); n > 0 && t.recent[n-1].base < t.start {
		t.recent = t.recent[n-1:] // a snapshot of the state holds the last batch only
	}
}

// tail is what the last batch of the log is.
func (t *targetLog) tail() mirror.Tail {
	if t.start == t.end() {
		return mirror.TailEmpty
	}
	switch e := t.entries[t.end()-1]; {
	case e.kind == entrySeed || e.kind == entryAborted:
		return mirror.TailFiller
	case e.kind == entryForeign:
		return mirror.TailOther
	}
	return mirror.TailOurs
}

// decoder is shared: the tests of this package that use it do not run in parallel.
var decoder = batch.NewDecoder(batch.Limits{})
