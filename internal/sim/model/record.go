// Package model has logs of partitions as brokers keep them, small enough to be made by the hundred thousand: a
// source with transactions, compaction, retention and elections, and a target that checks what it is sent and
// forgets producers by record timestamp. They are data structures, not servers: no clock, no chance of their
// own, no waiting; package sim brings all of that. They know the batch format and nothing of how kferry decides.
package model

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/kferry/kferry/internal/batch"
)

// Attribute bits of a batch on the wire.
const (
	BitLogAppendTime = 1 << 3
	BitTransactional = 1 << 4
	BitControl       = 1 << 5
	BitDeleteHorizon = 1 << 6
)

// Record is one record as both sides know it.
type Record struct {
	Timestamp  int64
	Key, Value string
}

// NewRecord returns a record whose value tells where it was written first and is like no other: serial makes the
// difference between two histories of one offset. size is that of the value at least, in bytes.
func NewRecord(timestamp int64, key int, offset, serial int64, size int) Record {
	v := make([]byte, 0, max(size, 24))
	v = strconv.AppendInt(v, offset, 10)
	v = append(v, '.')
	v = strconv.AppendInt(v, serial, 10)
	for len(v) < size {
		v = append(v, '-')
	}
	return Record{timestamp, keys[key], string(v)}
}

// keys are few, so that compaction finds work.
var keys = [Keys]string{"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"}

// Keys is how many different keys there are.
const Keys = 9

// WrittenAt is the offset that a record of NewRecord was written at, -1 for another one.
func (r Record) WrittenAt() int64 {
	at, _, ok := strings.Cut(r.Value, ".")
	if !ok {
		return -1
	}
	n, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// Slot is an offset that holds a record, or held one that a cleaner removed.
type Slot struct {
	Record
	Here bool
}

// Batch is one batch of the source's log, with the offsets it occupies and the records that are left.
type Batch struct {
	Base, Next int64
	Epoch      int32 // of the leader that appended it
	Attributes int16
	Codec      batch.Codec
	PID        int64
	Commit     bool   // of a control batch
	Appended   int64  // the broker's time, with BitLogAppendTime
	Slots      []Slot // one for each offset; none in a control batch, and in one that was emptied
	Time       int64  // base timestamp; 0: the first record's
	Damaged    bool   // on the broker's disk
	abortedBy  int64  // offset of the abort marker of its transaction, -1 if it was committed or is open
	raw        []byte // encoded once
}

// Control says whether the batch is a marker.
func (b *Batch) Control() bool { return b.Attributes&BitControl != 0 }

// Records counts what is left in the batch.
func (b *Batch) Records() int {
	n := 0
	for i := range b.Slots {
		if b.Slots[i].Here {
			n++
		}
	}
	return n
}

// Spoil flips a bit of the batch on the broker's disk.
func (b *Batch) Spoil() { b.Damaged, b.raw = true, nil }

// Encode returns the batch as a broker has it on disk. The bytes must not be changed.
func (b *Batch) Encode() []byte {
	if b.raw == nil {
		b.raw = b.encode()
		if b.Damaged {
			b.raw[len(b.raw)-3] ^= 0x40
		}
	}
	return b.raw
}

func (b *Batch) encode() []byte {
	h := batch.Header{
		BaseOffset: b.Base, PartitionLeaderEpoch: b.Epoch, Attributes: b.Attributes, LastOffsetDelta: int32(b.Next - b.Base - 1),
		ProducerID: b.PID, ProducerEpoch: 1, BaseSequence: 17, BaseTimestamp: 5000, MaxTimestamp: 5000,
	}
	if b.Control() {
		h.Count = 1
		kind := byte(0)
		if b.Commit {
			kind = 1
		}
		return seal(h, encodeRecord(nil, 0, 0, string([]byte{0, 0, 0, kind}), "\x00\x00\x00\x00\x00\x09"))
	}
	n := b.Records()
	h.Count = int32(n)
	switch {
	case b.Attributes&BitDeleteHorizon != 0: // the base timestamp is the horizon, and deltas count from there
		h.BaseTimestamp = 9_000_000
	case b.Time != 0:
		h.BaseTimestamp = b.Time
	case n > 0:
		h.BaseTimestamp = b.first().Timestamp
	}
	h.MaxTimestamp = h.BaseTimestamp
	if n == len(b.Slots) && n > 0 && b.Codec != batch.None {
		return b.compressed(h)
	}
	plain := make([]byte, batch.HeaderSize, batch.HeaderSize+n*32)
	for i := range b.Slots {
		if r := &b.Slots[i]; r.Here {
			h.MaxTimestamp = max(h.MaxTimestamp, r.Timestamp)
			plain = encodeRecord(plain, b.wireTime(i)-h.BaseTimestamp, int64(i), r.Key, r.Value)
		}
	}
	if b.Attributes&BitLogAppendTime != 0 {
		h.MaxTimestamp = b.Appended
	}
	batch.Seal(plain, h)
	return plain
}

// wireTime is what stands in a record. With BitLogAppendTime that is the producer's time, which no reader sees.
func (b *Batch) wireTime(i int) int64 {
	if b.Attributes&BitLogAppendTime != 0 {
		return b.Slots[i].Timestamp - int64(i%3)
	}
	return b.Slots[i].Timestamp
}

func (b *Batch) first() *Slot {
	for i := range b.Slots {
		if b.Slots[i].Here {
			return &b.Slots[i]
		}
	}
	return nil
}

func (b *Batch) compressed(h batch.Header) []byte {
	var builder batch.Builder
	for i := range b.Slots {
		r := &b.Slots[i]
		h.MaxTimestamp = max(h.MaxTimestamp, r.Timestamp)
		if err := builder.Append(&batch.Record{Offset: b.Base + int64(i), Timestamp: b.wireTime(i), Key: []byte(r.Key), Value: []byte(r.Value)}); err != nil {
			panic(err)
		}
	}
	raw, err := builder.Finish(b.Codec)
	if err != nil {
		panic(err)
	}
	whole, _, err := batch.Next(raw)
	if err != nil {
		panic(err)
	}
	h.Attributes |= int16(b.Codec)
	h.BaseTimestamp = whole.BaseTimestamp
	if b.Attributes&BitLogAppendTime != 0 {
		h.MaxTimestamp = b.Appended
	}
	batch.Seal(raw, h)
	return raw
}

func seal(h batch.Header, records []byte) []byte {
	raw := append(make([]byte, batch.HeaderSize), records...)
	batch.Seal(raw, h)
	return raw
}

func encodeRecord(dst []byte, timestampDelta, offsetDelta int64, key, value string) []byte {
	var head [binary.MaxVarintLen64 * 3]byte
	body := binary.AppendVarint(head[:0], timestampDelta)
	body = binary.AppendVarint(body, offsetDelta)
	size := 1 + len(body) + varintLen(len(key)) + len(key) + varintLen(len(value)) + len(value) + 1
	dst = binary.AppendVarint(dst, int64(size))
	dst = append(dst, 0) // attributes
	dst = append(dst, body...)
	dst = append(binary.AppendVarint(dst, int64(len(key))), key...)
	dst = append(binary.AppendVarint(dst, int64(len(value))), value...)
	return append(dst, 0) // headers
}

func varintLen(n int) int {
	var b [binary.MaxVarintLen64]byte
	return len(binary.AppendVarint(b[:0], int64(n)))
}
