package history

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// CheckOptions say what is checked.
type CheckOptions struct {
	Source, Target *kgo.Client
	Topics         []string
	Compacted      map[string]bool // topics of which the source's cleaner removes records, before and after the copy
	Groups         []string
	Ledger         *Ledger // nil: nothing is known but what the clusters hold
	// Shifted: offsets differ by design (MirrorMaker 2). Records are matched by their ids, positions of groups
	// by the record that comes next; I1 to I3 are not judged.
	Shifted bool
	// Until: partitions that the copy stopped, and the offset from which on it does not answer for them. What
	// lies before must be exact; borders and groups are not judged.
	Until  map[string]map[int32]int64
	Claims Claims
}

// until is where a partition was stopped.
func (o *CheckOptions) until(topic string, partition int32) (offset int64, stopped bool) {
	offset, stopped = o.Until[topic][partition]
	return offset, stopped
}

// Claims are what the copy says of itself.
type Claims struct {
	Ends     map[string]map[int32]Span // what its last report said of the target's logs; nil: nothing
	Verified *bool                     // whether its own verification said "equal"; nil: it was not asked
}

// Span is a log start and a log end.
type Span struct{ Start, End int64 }

// Check reads the topics of both clusters completely, in both isolation levels, and judges the invariants one
// by one. Nothing may be written or removed meanwhile. The error says that something could not be read.
func Check(ctx context.Context, o CheckOptions) (*Verdict, error) {
	v := &Verdict{}
	s, err := readEnds(ctx, o.Source, o.Topics)
	if err != nil {
		return nil, fmt.Errorf("read the ends of the source: %w", err)
	}
	t, err := readEnds(ctx, o.Target, o.Topics)
	if err != nil {
		return nil, fmt.Errorf("read the ends of the target: %w", err)
	}
	read := map[string][]*sides{}
	for _, topic := range o.Topics {
		v.checked(I7Layout, 1)
		if len(s[topic]) != len(t[topic]) {
			v.violate(I7Layout, "%s has %d partitions on the source, %d on the target", topic, len(s[topic]), len(t[topic]))
		}
		for id := range s[topic] {
			p := &sides{o: &o, v: v, topic: topic, partition: int32(id), compacted: o.Compacted[topic], s: s[topic][id]}
			if id < len(t[topic]) {
				p.t = t[topic][id]
				if err := p.read(ctx); err != nil {
					return nil, err
				}
			}
			p.cut()
			p.judge()
			read[topic] = append(read[topic], p)
		}
	}
	if err := checkLogs(ctx, &o, v, read); err != nil {
		return nil, err
	}
	if err := checkGroups(ctx, &o, v, read); err != nil {
		return nil, err
	}
	checkClaims(&o, v, t)
	return v, nil
}

// print is what is kept of a record.
type print struct {
	offset int64
	id     uint64
	sum    [16]byte // of everything: key, value, headers, timestamp
	key    string
	null   bool // no key
	tomb   bool // no value
	millis int64
}

// sides are both logs of a partition as consumers see them.
type sides struct {
	o         *CheckOptions
	v         *Verdict
	topic     string
	partition int32
	compacted bool
	s, t      ends

	sc, su, tc, tu []print // source and target, committed and uncommitted
}

func (p *sides) read(ctx context.Context) (err error) {
	for _, view := range []struct {
		into      *[]print
		client    *kgo.Client
		e         ends
		end       int64
		committed bool
	}{
		{&p.sc, p.o.Source, p.s, p.s.stable, true}, {&p.su, p.o.Source, p.s, p.s.stable, false},
		{&p.tc, p.o.Target, p.t, p.t.high, true}, {&p.tu, p.o.Target, p.t, p.t.high, false},
	} {
		r := &reader{client: view.client, topic: p.topic, partition: p.partition, leader: view.e.leader, committed: view.committed, next: view.e.start, end: view.end}
		source := view.client == p.o.Source
		for {
			rec, err := r.peek(ctx)
			if err != nil {
				return err
			}
			if rec == nil {
				break
			}
			*view.into = append(*view.into, printOf(rec, source))
			r.take()
		}
	}
	return nil
}

// cut leaves out what the copy does not answer for.
func (p *sides) cut() {
	until, stopped := p.o.until(p.topic, p.partition)
	if !stopped {
		return
	}
	for _, view := range []*[]print{&p.sc, &p.su, &p.tc, &p.tu} {
		*view = slices.DeleteFunc(*view, func(r print) bool { return r.offset >= until || r.offset < max(p.s.start, p.t.start) })
	}
}

// printOf sums up a record. Whose clock gave the time may differ: the source's broker's becomes the producer's.
func printOf(r *kgo.Record, source bool) print {
	h := sha256.New()
	field := func(b []byte) {
		n := int64(len(b))
		if b == nil {
			n = -1
		}
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
		h.Write(b)
	}
	field(r.Key)
	field(r.Value)
	field(binary.BigEndian.AppendUint64(nil, uint64(millis(r))))
	for _, header := range r.Headers {
		field([]byte(header.Key))
		field(header.Value)
	}
	if kind := r.Attrs.TimestampType(); !source && kind > 0 {
		field([]byte("LogAppendTime"))
	}
	p := print{offset: r.Offset, id: idOf(r), key: string(r.Key), null: r.Key == nil, tomb: r.Value == nil, millis: millis(r)}
	copy(p.sum[:], h.Sum(nil))
	if p.id == 0 { // not of a workload: its content is its id
		p.id = binary.BigEndian.Uint64(p.sum[:])
	}
	return p
}

func (p *sides) name(offset int64) string {
	return fmt.Sprintf("%s-%d at offset %d", p.topic, p.partition, offset)
}

// judge compares what was read.
func (p *sides) judge() {
	if _, stopped := p.o.until(p.topic, p.partition); p.compacted && !stopped {
		p.latest()
	}
	if !p.o.Shifted {
		p.committed()
		p.uncommitted()
	}
	p.contents()
	p.sourceKept()
}
