package mirror_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/replicate/mirror"
)

// Attribute bits of a batch on the wire.
const (
	bitLogAppendTime = 1 << 3
	bitTransactional = 1 << 4
	bitControl       = 1 << 5
	bitDeleteHorizon = 1 << 6
)

// record is one record as both models know it.
type record struct {
	timestamp  int64
	key, value string
}

// sourceBatch is one batch of the source's log, with the offsets it occupies and the records that are left.
type sourceBatch struct {
	base, next int64
	attributes int16
	codec      batch.Codec
	pid        int64
	commit     bool  // of a control batch
	appended   int64 // the broker's time, with bitLogAppendTime
	records    map[int64]record
}

// control says whether the batch is a marker.
func (b *sourceBatch) control() bool { return b.attributes&bitControl != 0 }

// encode writes the batch as a broker would have it on disk.
func (b *sourceBatch) encode() []byte {
	h := batch.Header{
		BaseOffset: b.base, PartitionLeaderEpoch: 3, Attributes: b.attributes, LastOffsetDelta: int32(b.next - b.base - 1),
		ProducerID: b.pid, ProducerEpoch: 1, BaseSequence: 17, BaseTimestamp: 5000, MaxTimestamp: 5000,
	}
	if b.control() {
		h.Count = 1
		kind := byte(0)
		if b.commit {
			kind = 1
		}
		return seal(h, encodeRecord(nil, 0, 0, []byte{0, 0, 0, kind}, []byte{0, 0, 0, 0, 0, 9}))
	}
	if b.attributes&bitDeleteHorizon != 0 { // the base timestamp is the horizon, and deltas count from there
		h.BaseTimestamp = 9_000_000
	}
	var builder batch.Builder
	var plain []byte
	h.Count = int32(len(b.records))
	for at := b.base; at < b.next; at++ {
		r, ok := b.records[at]
		if !ok {
			continue
		}
		h.MaxTimestamp = max(h.MaxTimestamp, r.timestamp)
		plain = encodeRecord(plain, r.timestamp-h.BaseTimestamp, at-b.base, []byte(r.key), []byte(r.value))
		if len(b.records) == int(b.next-b.base) {
			if err := builder.Append(&batch.Record{Offset: at, Timestamp: r.timestamp, Key: []byte(r.key), Value: []byte(r.value)}); err != nil {
				panic(err)
			}
		}
	}
	if b.attributes&bitLogAppendTime != 0 {
		h.MaxTimestamp = b.appended
	}
	if builder.Len() == 0 || b.codec == batch.None {
		return seal(h, plain)
	}
	raw, err := builder.Finish(b.codec)
	if err != nil {
		panic(err)
	}
	whole, _, err := batch.Next(raw)
	if err != nil {
		panic(err)
	}
	h.Attributes |= int16(b.codec)
	h.BaseTimestamp = whole.BaseTimestamp
	batch.Seal(raw, h)
	return raw
}

func seal(h batch.Header, records []byte) []byte {
	raw := append(make([]byte, batch.HeaderSize), records...)
	batch.Seal(raw, h)
	return raw
}

func encodeRecord(dst []byte, timestampDelta, offsetDelta int64, key, value []byte) []byte {
	body := binary.AppendVarint([]byte{0}, timestampDelta)
	body = binary.AppendVarint(body, offsetDelta)
	for _, b := range [][]byte{key, value} {
		body = append(binary.AppendVarint(body, int64(len(b))), b...)
	}
	body = append(body, 0) // headers
	return append(binary.AppendVarint(dst, int64(len(body))), body...)
}

// abortedTxn is an entry of the source's index of aborted transactions.
type abortedTxn struct{ pid, first, last int64 }

// sourceLog is a source partition.
type sourceLog struct {
	batches []*sourceBatch
	aborted []abortedTxn // in the order of last, as a broker has it
	start   int64
	high    int64
	open    map[int64]int64 // first offset of each open transaction, by producer id
	now     int64
	written int
}

func newSourceLog() *sourceLog { return &sourceLog{open: map[int64]int64{}, now: 5000} }

// stable is the last stable offset.
func (s *sourceLog) stable() int64 {
	stable := s.high
	for _, first := range s.open {
		stable = min(stable, first)
	}
	return max(stable, s.start)
}

// grow appends something random.
func (s *sourceLog) grow(rng *rand.Rand) {
	pid := int64(100 + rng.IntN(3))
	switch k := rng.IntN(100); {
	case k < 35:
		s.data(rng, 1+rng.IntN(8), 0, -1)
	case k < 45:
		for range 2 + rng.IntN(12) { // what is worth merging
			s.data(rng, 1, 0, -1)
		}
	case k < 50:
		s.data(rng, 1+rng.IntN(4), bitLogAppendTime, -1)
	case k < 75:
		if _, ok := s.open[pid]; !ok {
			s.open[pid] = s.high
		}
		s.data(rng, 1+rng.IntN(6), bitTransactional, pid)
	default:
		s.end(pid, rng.IntN(2) == 0)
	}
}

func (s *sourceLog) data(rng *rand.Rand, n int, attributes int16, pid int64) {
	b := &sourceBatch{base: s.high, next: s.high + int64(n), attributes: attributes, pid: pid, records: map[int64]record{}}
	b.codec = []batch.Codec{batch.None, batch.None, batch.LZ4, batch.Snappy}[rng.IntN(4)]
	if attributes&bitLogAppendTime != 0 {
		s.now += 10
	}
	b.appended = s.now
	for at := b.base; at < b.next; at++ {
		s.written++
		if attributes&bitLogAppendTime == 0 {
			s.now += int64(rng.IntN(10))
		}
		b.records[at] = record{s.now, fmt.Sprintf("k%d", rng.IntN(9)), fmt.Sprintf("v%d", s.written)}
	}
	s.high = b.next
	s.batches = append(s.batches, b)
}

// end ends a transaction; one that is not open gets a marker all the same, as brokers do.
func (s *sourceLog) end(pid int64, commit bool) {
	if first, ok := s.open[pid]; ok && !commit {
		s.aborted = append(s.aborted, abortedTxn{pid, first, s.high})
	}
	delete(s.open, pid)
	s.batches = append(s.batches, &sourceBatch{base: s.high, next: s.high + 1, attributes: bitControl | bitTransactional, pid: pid, commit: commit})
	s.high++
}

// isAborted says whether a data batch belongs to an aborted transaction.
func (s *sourceLog) isAborted(b *sourceBatch) bool {
	return b.attributes&bitTransactional != 0 && slices.ContainsFunc(s.aborted, func(a abortedTxn) bool {
		return a.pid == b.pid && a.first <= b.base && b.base < a.last
	})
}

// settle ends every open transaction.
func (s *sourceLog) settle(rng *rand.Rand) {
	for _, pid := range []int64{100, 101, 102} {
		if _, ok := s.open[pid]; ok {
			s.end(pid, rng.IntN(2) == 0)
		}
	}
}

// clean compacts what lies below the last stable offset, as a cleaner does that was stopped anywhere: it
// removes records that have a later one of their key, and empties or drops what is left without records. The
// last batch is the active segment. all says whether it may take anything, which needs no key twice.
func (s *sourceLog) clean(rng *rand.Rand) {
	later := map[string]bool{}
	limit := s.stable()
	var kept []*sourceBatch
	for i := len(s.batches) - 1; i >= 0; i-- {
		b := s.batches[i]
		if i == len(s.batches)-1 || b.next > limit || rng.IntN(6) == 0 {
			if !b.control() && !s.isAborted(b) {
				for _, r := range b.records {
					later[r.key] = true
				}
			}
			kept = append(kept, b)
			continue
		}
		if b.control() {
			if rng.IntN(3) > 0 || s.needsMarker(b) {
				kept = append(kept, b)
			} else { // what is in no index needs no marker, and the other way round
				s.aborted = slices.DeleteFunc(s.aborted, func(a abortedTxn) bool { return a.pid == b.pid && a.last == b.base })
			}
			continue
		}
		s.cleanBatch(b, later)
		if len(b.records) > 0 || rng.IntN(4) == 0 { // or it is kept, empty, for its producer's sequence
			kept = append(kept, b)
		}
	}
	slices.Reverse(kept)
	s.batches = kept
}

// needsMarker says whether a batch of the transaction that an abort marker ends is still there, empty or not.
func (s *sourceLog) needsMarker(marker *sourceBatch) bool {
	for _, a := range s.aborted {
		if a.pid != marker.pid || a.last != marker.base {
			continue
		}
		for _, b := range s.batches {
			if b.pid == a.pid && b.base >= a.first && b.base < a.last {
				return true
			}
		}
	}
	return false
}

func (s *sourceLog) cleanBatch(b *sourceBatch, later map[string]bool) {
	if s.isAborted(b) {
		clear(b.records)
		return
	}
	for at := b.next - 1; at >= b.base; at-- {
		r, ok := b.records[at]
		if ok && later[r.key] {
			delete(b.records, at)
		}
		if ok {
			later[r.key] = true
		}
	}
	b.codec = batch.None // of a batch with holes: the builder makes none
	if b.attributes&bitLogAppendTime == 0 {
		b.attributes |= bitDeleteHorizon
	}
}

// raise moves the log start; whole batches below are gone, a batch around it is still served.
func (s *sourceLog) raise(to int64) {
	s.start = max(s.start, min(to, s.high))
	s.batches = slices.DeleteFunc(s.batches, func(b *sourceBatch) bool { return b.next <= s.start })
}

// fetch answers a read_committed fetch: whole batches up to about most bytes, the first in any case, and
// perhaps a piece of the next.
func (s *sourceLog) fetch(rng *rand.Rand, from int64, most int) mirror.Fetch {
	f := mirror.Fetch{From: from, Start: s.start, High: s.high, Stable: s.stable()}
	if from >= f.Stable {
		return f
	}
	last := from
	for _, b := range s.batches {
		if b.next <= from {
			continue
		}
		if b.base >= f.Stable {
			break
		}
		raw := b.encode()
		if len(f.Records) > 0 && len(f.Records)+len(raw) > most {
			f.Records = append(f.Records, raw[:rng.IntN(len(raw))]...)
			break
		}
		f.Records = append(f.Records, raw...)
		last = b.next
	}
	for _, a := range s.aborted {
		if a.last >= from && a.first < last {
			f.Aborted = append(f.Aborted, mirror.Aborted{ProducerID: a.pid, FirstOffset: a.first})
		}
	}
	return f
}

// committed returns the record at an offset as read_committed shows it.
func (s *sourceLog) committed(at int64) (record, bool) {
	if at < s.start || at >= s.stable() {
		return record{}, false
	}
	i, found := slices.BinarySearchFunc(s.batches, at, func(b *sourceBatch, at int64) int {
		switch {
		case b.next <= at:
			return -1
		case b.base > at:
			return 1
		}
		return 0
	})
	if !found || s.batches[i].control() || s.isAborted(s.batches[i]) {
		return record{}, false
	}
	b := s.batches[i]
	r, ok := b.records[at]
	if ok && b.attributes&bitLogAppendTime != 0 {
		r.timestamp = b.appended
	}
	return r, ok
}

// cutTo loses everything behind an offset, or behind the batch that contains it.
func (s *sourceLog) cutTo(to int64) {
	s.batches = slices.DeleteFunc(s.batches, func(b *sourceBatch) bool { return b.base >= to })
	s.high = max(to, s.start)
	if n := len(s.batches); n > 0 {
		s.high = max(s.batches[n-1].next, s.start)
	}
	s.aborted = slices.DeleteFunc(s.aborted, func(a abortedTxn) bool { return a.last >= s.high })
	clear(s.open)
	for _, b := range s.batches { // transactions that lost their end are open again
		if b.control() {
			delete(s.open, b.pid)
		} else if _, ok := s.open[b.pid]; !ok && b.attributes&bitTransactional != 0 {
			s.open[b.pid] = b.base
		}
	}
}
