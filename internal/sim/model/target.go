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

// Target is a replica of a target partition, and what it knows of the flow's producer.
type Target struct {
	Entries  []Entry // Entries[i] is offset i
	Start    int64
	High     int64 // replicated up to here
	MaxBytes int   // largest batch it takes; 0: any
	Epoch    int32

	ForgotAt  int64 // when the producer was last forgotten; -1
	recent    []appended
	timestamp int64 // largest record timestamp of the producer's last batch
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
	c.Entries, c.recent = slices.Clone(t.Entries), slices.Clone(t.recent)
	return &c
}

// End is the log end.
func (t *Target) End() int64 { return int64(len(t.Entries)) }

// Sequence is the last one of the flow's producer, -1 if the broker does not remember it.
func (t *Target) Sequence() int32 {
	if len(t.recent) == 0 {
		return -1
	}
	return t.recent[len(t.recent)-1].last
}

// Produce appends a batch as a leader does, with the checks that matter: what comes from the flow's producer must
// go on where it stands, and what it has already is acknowledged again. fresh says that it was appended.
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
	for _, a := range t.recent {
		if a.first == first && a.last == last {
			return a.base, false, nil
		}
	}
	if n := len(t.recent); n > 0 && first != batch.NextSequence(t.recent[n-1].last, 1) {
		return 0, false, ErrOutOfOrder
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
	t.timestamp = b.MaxTimestamp
	t.recent = append(t.recent, appended{first, last, base})
	if len(t.recent) > remembered {
		t.recent = slices.Delete(t.recent, 0, 1)
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

// Expire drops what is known of the flow's producer if its last record is older than a time, as brokers do every
// ten minutes: by the record's timestamp, not by when it was appended. It says whether it did.
func (t *Target) Expire(before, now int64) bool {
	if len(t.recent) == 0 || t.timestamp > before {
		return false
	}
	t.recent, t.ForgotAt = nil, now
	return true
}

// Lose makes a leader of a replica that has nothing behind an offset, or behind the batch that contains it. It
// knows the flow's producer as far as its own log goes; from a snapshot it knows the last batch only.
func (t *Target) Lose(to int64, snapshot bool) {
	for to < t.End() && to > 0 && !t.Entries[to-1].Last {
		to++
	}
	t.Entries = t.Entries[:min(to, t.End())]
	t.High, t.Start = t.End(), min(t.Start, t.End())
	for len(t.recent) > 0 && t.recent[len(t.recent)-1].base >= t.End() {
		t.recent = t.recent[:len(t.recent)-1]
	}
	if n := len(t.recent); n > 0 && snapshot {
		t.recent = slices.Delete(t.recent, 0, n-1)
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
