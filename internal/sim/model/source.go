package model

import (
	"math/rand/v2"
	"slices"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/replicate/mirror"
)

// abortedTxn is an entry of the source's index of aborted transactions.
type abortedTxn struct{ pid, first, last int64 }

// epochStart is where a leader's epoch began.
type epochStart struct {
	epoch int32
	at    int64
}

// openTxn is a transaction without an end.
type openTxn struct{ pid, first int64 }

// Source is a source partition's leader.
type Source struct {
	Start int64
	End   int64
	Known int64 // the high watermark as the leader knows it: a new one may lag behind for a moment
	Epoch int32

	Batches []*Batch
	Now     int64 // timestamp of the next record, ms
	Size    int   // least size of a record's value

	// Ever holds what every offset of the present history held when it was written, compacted away or not, except
	// what was aborted.
	Ever []Slot

	aborted []abortedTxn // in the order of last, as a broker has it
	open    []openTxn
	epochs  []epochStart
	serial  int64
}

// NewSource returns an empty log whose records begin at a time, ms.
func NewSource(now int64) *Source {
	return &Source{Now: now, epochs: []epochStart{{0, 0}}}
}

// High is the high watermark as the leader tells it.
func (s *Source) High() int64 { return max(min(s.Known, s.End), s.Start) }

// Stable is the last stable offset.
func (s *Source) Stable() int64 {
	stable := s.High()
	for _, t := range s.open {
		stable = min(stable, t.first)
	}
	return max(stable, s.Start)
}

// Undecided is where the first open transaction begins, or the log end.
func (s *Source) Undecided() int64 {
	at := s.End
	for _, t := range s.open {
		at = min(at, t.first)
	}
	return at
}

// Data appends a batch of n records; pid is -1 outside transactions.
func (s *Source) Data(rng *rand.Rand, n int, codec batch.Codec, attributes int16, pid int64) {
	b := &Batch{Base: s.End, Next: s.End + int64(n), Epoch: s.Epoch, Attributes: attributes, Codec: codec, PID: pid, abortedBy: -1}
	if attributes&BitTransactional != 0 && s.opened(pid) < 0 {
		s.open = append(s.open, openTxn{pid, s.End})
	}
	if attributes&BitLogAppendTime != 0 {
		s.Now += 10
	}
	b.Appended = s.Now
	b.Slots = make([]Slot, n)
	for i := range b.Slots {
		s.serial++
		if attributes&BitLogAppendTime == 0 {
			s.Now += int64(rng.IntN(10))
		}
		b.Slots[i] = Slot{NewRecord(s.Now, rng.IntN(Keys), b.Base+int64(i), s.serial, s.Size), true}
	}
	s.append(b)
	s.Ever = append(s.Ever, b.Slots...)
}

func (s *Source) append(b *Batch) {
	if s.Known == s.End {
		s.Known = b.Next
	}
	s.End = b.Next
	s.Batches = append(s.Batches, b)
}

func (s *Source) opened(pid int64) int {
	return slices.IndexFunc(s.open, func(t openTxn) bool { return t.pid == pid })
}

// EndTxn writes a marker, for a transaction that is not open as well, as brokers do.
func (s *Source) EndTxn(pid int64, commit bool) {
	if i := s.opened(pid); i >= 0 {
		first := s.open[i].first
		s.open = slices.Delete(s.open, i, i+1)
		if !commit {
			s.aborted = append(s.aborted, abortedTxn{pid, first, s.End})
			for _, b := range s.Batches {
				if b.PID == pid && b.Base >= first && !b.Control() {
					b.abortedBy = s.End
					clear(s.Ever[b.Base:b.Next])
				}
			}
		}
	}
	s.append(&Batch{Base: s.End, Next: s.End + 1, Epoch: s.Epoch, Attributes: BitControl | BitTransactional, PID: pid, Commit: commit, abortedBy: -1})
	s.Ever = append(s.Ever, Slot{})
}

// EndAll ends every open transaction.
func (s *Source) EndAll(rng *rand.Rand) {
	for len(s.open) > 0 {
		s.EndTxn(s.open[0].pid, rng.IntN(2) == 0)
	}
}

// Clean compacts what lies below the last stable offset, as a cleaner does that was stopped anywhere: it removes
// records that have a later one of their key, and empties or drops what is left without records. The last batch
// is the active segment.
func (s *Source) Clean(rng *rand.Rand) {
	var later [Keys]bool
	limit := s.Stable()
	var kept []*Batch
	for i := len(s.Batches) - 1; i >= 0; i-- {
		b := s.Batches[i]
		switch {
		case i == len(s.Batches)-1 || b.Next > limit: // the cleaner does not look there
			kept = append(kept, b)
		case b.Damaged || rng.IntN(6) == 0:
			if !b.Control() && b.abortedBy < 0 {
				b.note(&later)
			}
			kept = append(kept, b)
		case b.Control():
			if rng.IntN(3) > 0 || s.needsMarker(b) {
				kept = append(kept, b)
			} else { // what is in no index needs no marker, and the other way round
				s.aborted = slices.DeleteFunc(s.aborted, func(a abortedTxn) bool { return a.pid == b.PID && a.last == b.Base })
			}
		default:
			b.clean(&later)
			if b.Records() > 0 || rng.IntN(4) == 0 { // or it is kept, empty, for its producer's sequence
				kept = append(kept, b)
			}
		}
	}
	slices.Reverse(kept)
	s.Batches = kept
}

// needsMarker says whether a batch of the transaction that an abort marker ends is still there, empty or not.
func (s *Source) needsMarker(marker *Batch) bool {
	return slices.ContainsFunc(s.Batches, func(b *Batch) bool { return b.abortedBy == marker.Base })
}

func (b *Batch) note(later *[Keys]bool) {
	for i := range b.Slots {
		if b.Slots[i].Here {
			later[b.Slots[i].Key[1]-'0'] = true
		}
	}
}

func (b *Batch) clean(later *[Keys]bool) {
	b.raw = nil
	b.Slots = slices.Clone(b.Slots) // Ever has the others
	if b.abortedBy >= 0 {
		clear(b.Slots)
		return
	}
	for i := len(b.Slots) - 1; i >= 0; i-- {
		if r := &b.Slots[i]; r.Here {
			key := r.Key[1] - '0'
			if later[key] {
				*r = Slot{}
			}
			later[key] = true
		}
	}
	b.Codec = batch.None // of a batch with holes: the builder makes none
	if b.Attributes&BitLogAppendTime == 0 {
		b.Attributes |= BitDeleteHorizon
	}
}

// Raise moves the log start; whole batches below are gone, a batch around it is still served.
func (s *Source) Raise(to int64) {
	s.Start = max(s.Start, min(to, s.High()))
	s.Batches = slices.DeleteFunc(s.Batches, func(b *Batch) bool { return b.Next <= s.Start })
}

// Elect makes a new leader. It may not know its high watermark yet beyond known.
func (s *Source) Elect(known int64) {
	s.Epoch++
	s.Known = known
	s.epochs = append(s.epochs, epochStart{s.Epoch, s.End})
}

// Truncate makes a leader of a replica that has nothing behind an offset, or behind the batch that contains it.
func (s *Source) Truncate(to int64) {
	s.Batches = slices.DeleteFunc(s.Batches, func(b *Batch) bool { return b.Base >= to })
	s.End = max(to, s.Start)
	if n := len(s.Batches); n > 0 {
		s.End = max(s.Batches[n-1].Next, s.Start)
	}
	s.Ever = s.Ever[:s.End]
	s.aborted = slices.DeleteFunc(s.aborted, func(a abortedTxn) bool { return a.last >= s.End })
	s.epochs = slices.DeleteFunc(s.epochs, func(e epochStart) bool { return e.at >= s.End && e.epoch > 0 })
	s.open = s.open[:0]
	for _, b := range s.Batches { // transactions that lost their end are open again
		i := s.opened(b.PID)
		switch {
		case b.Control() && i >= 0:
			s.open = slices.Delete(s.open, i, i+1)
		case !b.Control() && i < 0 && b.Attributes&BitTransactional != 0:
			s.open = append(s.open, openTxn{b.PID, b.Base})
		}
		if b.abortedBy >= s.End {
			b.abortedBy = -1
			copy(s.Ever[b.Base:b.Next], b.Slots)
		}
	}
	s.Elect(s.End)
}

// Diverged says, for a reader that has read up to an offset and whose last batch was of an epoch, whether its
// history parts from this one (KIP-595's answer to a fetch), and where the epoch it shares ended.
func (s *Source) Diverged(lastEpoch int32, from int64) (epoch int32, end int64, diverged bool) {
	if lastEpoch < 0 {
		return 0, 0, false
	}
	epoch, end = 0, s.End
	for _, e := range s.epochs {
		if e.epoch > lastEpoch {
			end = e.at
			break
		}
		epoch = e.epoch
	}
	return epoch, end, epoch < lastEpoch || end < from
}

// Fetch answers a read_committed fetch: whole batches up to about most bytes, the first in any case, and perhaps
// a piece of the next.
func (s *Source) Fetch(rng *rand.Rand, from int64, most int) mirror.Fetch {
	f := mirror.Fetch{From: from, Start: s.Start, High: s.High(), Stable: s.Stable()}
	if from >= f.Stable {
		return f
	}
	last := from
	i, _ := slices.BinarySearchFunc(s.Batches, from, func(b *Batch, at int64) int {
		if b.Next <= at {
			return -1
		}
		return 1
	})
	for _, b := range s.Batches[i:] {
		if b.Base >= f.Stable {
			break
		}
		raw := b.Encode()
		if len(f.Records) > 0 && len(f.Records)+len(raw) > most {
			f.Records = append(f.Records, raw[:rng.IntN(len(raw))]...)
			break
		}
		f.Records = append(f.Records, raw...)
		last = b.Next
	}
	for _, a := range s.aborted {
		if a.last >= from && a.first < last {
			f.Aborted = append(f.Aborted, mirror.Aborted{ProducerID: a.pid, FirstOffset: a.first})
		}
	}
	return f
}

// Committed returns the record at an offset as read_committed shows it.
func (s *Source) Committed(at int64) (Record, bool) {
	if at < s.Start || at >= s.Stable() {
		return Record{}, false
	}
	i, found := slices.BinarySearchFunc(s.Batches, at, func(b *Batch, at int64) int {
		switch {
		case b.Next <= at:
			return -1
		case b.Base > at:
			return 1
		}
		return 0
	})
	if !found || s.Batches[i].Control() || s.Batches[i].abortedBy >= 0 {
		return Record{}, false
	}
	b := s.Batches[i]
	if len(b.Slots) == 0 || !b.Slots[at-b.Base].Here {
		return Record{}, false
	}
	r := b.Slots[at-b.Base].Record
	if b.Attributes&BitLogAppendTime != 0 {
		r.Timestamp = b.Appended
	}
	return r, true
}

// Lagging says whether the high watermark that the leader knows lags behind.
func (s *Source) Lagging() bool { return s.Known < s.End }
