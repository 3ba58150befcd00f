package model

import (
	"errors"
	"fmt"
	"slices"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/replicate/mirror"
)

// Kind is what an offset of the target holds.
type Kind uint8

// The kinds of entries.
const (
	OfData    Kind = iota + 1 // a record of the flow's producer id
	OfMarker                  // a control marker
	OfSeed                    // a filler record
	OfAborted                 // a filler record of an aborted transaction
	OfOther                   // somebody else's record
)

// Entry is one offset of the target's log.
type Entry struct {
	Kind Kind
	Last bool // of its batch
	Record
}

// Holds says whether a reader of committed data sees a record there.
func (e *Entry) Holds() bool { return e.Kind == OfData || e.Kind == OfOther }

// appended is one batch that the broker remembers of a producer.
type appended struct {
	first, last int32
	base        int64
}

// remembered is how many batches of a producer a broker compares a new one with.
const remembered = 5

// producer is what a broker knows of one.
type producer struct {
	id        int64
	recent    []appended // its last batches, oldest first
	timestamp int64      // largest record timestamp of the last one
}

// Target is a replica of a target partition, and what it knows of producers.
type Target struct {
	Entries  []Entry // Entries[i] is offset i
	Start    int64
	High     int64 // replicated up to here
	MaxBytes int   // largest batch it takes; 0: any
	Epoch    int32

	ForgotAt  int64 // when a producer was last forgotten; -1
	producers []producer
}

// What a broker refuses, and whether it may be otherwise later.
var (
	ErrOutOfOrder = errors.New("out of order sequence number")
	ErrTooLarge   = errors.New("message too large")
	ErrMalformed  = errors.New("a broker would not take it")
	ErrDamaged    = errors.New("corrupt message")
)

// NewTarget returns an empty log.
func NewTarget() *Target { return &Target{ForgotAt: -1} }

// Clone is a copy that goes its own way.
func (t *Target) Clone() *Target {
	c := *t
	c.Entries, c.producers = slices.Clone(t.Entries), slices.Clone(t.producers)
	for i := range c.producers {
		c.producers[i].recent = slices.Clone(c.producers[i].recent)
	}
	return &c
}

// of is what is known of a producer, nil if nothing.
func (t *Target) of(id int64) *producer {
	for i := range t.producers {
		if t.producers[i].id == id {
			return &t.producers[i]
		}
	}
	return nil
}

// End is the log end.
func (t *Target) End() int64 { return int64(len(t.Entries)) }

// Sequence is the last one of a producer, -1 if the broker does not remember it.
func (t *Target) Sequence(id int64) int32 {
	if p := t.of(id); p != nil {
		return p.recent[len(p.recent)-1].last
	}
	return -1
}

// Produce appends a batch as a leader does, with the checks that matter: what comes from a producer that is
// remembered must go on where that stands, and what it has already is acknowledged again. fresh says that it was appended.
func (t *Target) Produce(d *batch.Decoder, raw []byte, seed bool) (base int64, fresh bool, err error) {
	b, rest, err := batch.Next(raw)
	if err != nil || len(rest) > 0 {
		return 0, false, fmt.Errorf("%w: not one batch: %v, %d bytes behind", ErrMalformed, err, len(rest))
	}
	if t.MaxBytes > 0 && len(raw) > t.MaxBytes {
		return 0, false, ErrTooLarge
	}
	if err := b.CheckCRC(); err != nil {
		return 0, false, ErrDamaged
	}
	if why := batch.Passable(&b.Header, 0, 0); why != batch.ReasonNone || b.Transactional() || b.DeleteHorizon() || b.BaseOffset != 0 {
		return 0, false, fmt.Errorf("%w: %s, attributes %#x, base offset %d", ErrMalformed, why, b.Attributes, b.BaseOffset)
	}
	first, last := b.BaseSequence, batch.NextSequence(b.BaseSequence, b.Count-1)
	if p := t.of(b.ProducerID); p != nil {
		for _, a := range p.recent {
			if a.first == first && a.last == last {
				return a.base, false, nil
			}
		}
		if first != batch.NextSequence(p.recent[len(p.recent)-1].last, 1) {
			return 0, false, ErrOutOfOrder
		}
	}
	base = t.End()
	if seed {
		for range b.Count {
			t.Entries = append(t.Entries, Entry{Kind: OfSeed})
		}
	} else if err := d.Records(&b, func(r *batch.Record) error {
		t.Entries = append(t.Entries, Entry{Kind: OfData, Record: Record{r.Timestamp, string(r.Key), string(r.Value)}})
		return nil
	}); err != nil || t.End()-base != int64(b.Count) {
		return 0, false, fmt.Errorf("%w: %v, %d records instead of %d", ErrMalformed, err, t.End()-base, b.Count)
	}
	t.Entries[t.End()-1].Last = true
	p := t.of(b.ProducerID)
	if p == nil {
		t.producers = append(t.producers, producer{id: b.ProducerID})
		p = &t.producers[len(t.producers)-1]
	}
	p.timestamp = b.MaxTimestamp
	p.recent = append(p.recent, appended{first, last, base})
	if len(p.recent) > remembered {
		p.recent = slices.Delete(p.recent, 0, 1)
	}
	return base, true, nil
}

// Fill appends n entries that carry nothing.
func (t *Target) Fill(n int64, kind Kind) {
	for range n {
		t.Entries = append(t.Entries, Entry{Kind: kind, Last: true})
	}
}

// Write appends somebody else's record.
func (t *Target) Write(r Record) {
	t.Entries = append(t.Entries, Entry{Kind: OfOther, Last: true, Record: r})
}

// Expire drops what is known of producers whose last record is older than a time, as brokers do every ten minutes:
// by the record's timestamp, not by when it was appended. It says whether there was one.
func (t *Target) Expire(before, now int64) bool {
	n := len(t.producers)
	t.producers = slices.DeleteFunc(t.producers, func(p producer) bool { return p.timestamp <= before })
	if len(t.producers) == n {
		return false
	}
	t.ForgotAt = now
	return true
}

// Lose makes a leader of a replica that has nothing behind an offset, or behind the batch that contains it. It
// knows producers as far as its own log goes; from a snapshot it knows the last batch only.
func (t *Target) Lose(to, now int64, snapshot bool) {
	for to < t.End() && to > 0 && !t.Entries[to-1].Last {
		to++
	}
	t.Entries = t.Entries[:min(to, t.End())]
	t.High, t.Start = t.End(), min(t.Start, t.End())
	for i := range t.producers {
		p := &t.producers[i]
		for len(p.recent) > 0 && p.recent[len(p.recent)-1].base >= t.End() {
			p.recent = p.recent[:len(p.recent)-1]
		}
		if n := len(p.recent); n > 0 && snapshot {
			p.recent = slices.Delete(p.recent, 0, n-1)
		}
	}
	n := len(t.producers)
	if t.producers = slices.DeleteFunc(t.producers, func(p producer) bool { return len(p.recent) == 0 }); len(t.producers) < n {
		t.ForgotAt = now
	}
	t.Epoch++
}

// Tail is what the last batch before an offset is.
func (t *Target) Tail(end int64) mirror.Tail {
	if end = min(end, t.End()); t.Start >= end {
		return mirror.TailEmpty
	}
	switch t.Entries[end-1].Kind {
	case OfSeed:
		return mirror.TailFiller
	case OfOther:
		return mirror.TailOther
	}
	return mirror.TailOurs
}
