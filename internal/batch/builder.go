package batch

import (
	"fmt"
	"math"
	"slices"
)

// Builder encodes records into one magic-2 batch that a broker takes from a
// client, once Rewrite has set its producer. The zero value is ready. Not safe
// for concurrent use.
type Builder struct {
	records      []byte // encoded, not compressed
	packed       []byte // scratch for Finish
	count        int32
	first        int64 // offset of the first record
	base         int64 // timestamp of the first record, ms
	maxTimestamp int64 // ms
}

// Append adds r, copying what it holds. Offsets must follow one another without
// a hole: brokers since 1.1 refuse holes (KAFKA-6554). It is an ErrTooLarge when
// the records would exceed 1 GiB.
func (b *Builder) Append(r *Record) error {
	if err := b.admit(r.Offset, len(r.Key)+len(r.Value)); err != nil {
		return err
	}
	b.open(r.Offset, r.Timestamp)
	timestamp := r.Timestamp - b.base
	body := 1 + varlongSize(timestamp) + varintSize(b.count) + bytesSize(r.Key) + bytesSize(r.Value) + varintSize(int32(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		body += varintSize(int32(len(h.Key))) + len(h.Key) + bytesSize(h.Value)
	}
	p := b.head(body, timestamp)
	p = appendBytes(p, r.Key)
	p = appendBytes(p, r.Value)
	p = appendVarint(p, int32(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		p = append(appendVarint(p, int32(len(h.Key))), h.Key...)
		p = appendBytes(p, h.Value)
	}
	b.close(p, r.Timestamp)
	return nil
}

// appendTail adds a record whose bytes from the key length on are known.
func (b *Builder) appendTail(offset, timestamp int64, tail []byte) error {
	if err := b.admit(offset, len(tail)); err != nil {
		return err
	}
	b.open(offset, timestamp)
	delta := timestamp - b.base
	p := b.head(1+varlongSize(delta)+varintSize(b.count)+len(tail), delta)
	b.close(append(p, tail...), timestamp)
	return nil
}

func (b *Builder) admit(offset int64, size int) error {
	if b.count > 0 && offset != b.first+int64(b.count) {
		return fmt.Errorf("append record at offset %d to a batch that goes on at %d: a batch may not have holes", offset, b.first+int64(b.count))
	}
	if len(b.records)+size > maxDecompressedCap || b.count == math.MaxInt32 {
		return &TooLargeError{Offset: offset, Size: HeaderSize + len(b.records) + size, Max: maxDecompressedCap}
	}
	return nil
}

func (b *Builder) open(offset, timestamp int64) {
	if b.count == 0 {
		b.first, b.base, b.maxTimestamp = offset, timestamp, timestamp
	}
}

func (b *Builder) head(body int, timestampDelta int64) []byte {
	p := appendVarint(b.records, int32(body))
	p = append(p, 0) // attributes
	p = appendVarlong(p, timestampDelta)
	return appendVarint(p, b.count)
}

func (b *Builder) close(p []byte, timestamp int64) {
	b.records = p
	b.count++
	b.maxTimestamp = max(b.maxTimestamp, timestamp)
}

// Len returns the number of records.
func (b *Builder) Len() int { return int(b.count) }

// Base returns the offset of the first record; meaningless when Len is 0.
func (b *Builder) Base() int64 { return b.first }

// Size returns the bytes of the batch on the wire if it were not compressed.
// Codecs may add to it when data does not compress, by less than one percent.
func (b *Builder) Size() int { return HeaderSize + len(b.records) }

// Finish returns the batch: base offset 0, no producer, checksum set, exactly
// as long as it is. It belongs to the caller. The builder keeps its records, so
// that Finish may be tried with another codec; Reset empties it.
func (b *Builder) Finish(codec Codec) ([]byte, error) {
	if codec == None {
		return b.AppendTo(make([]byte, 0, b.Size()), None)
	}
	packed, err := b.AppendTo(b.packed[:0], codec)
	b.packed = packed[:0]
	if err != nil {
		return nil, err
	}
	return slices.Clone(packed), nil
}

// AppendTo is Finish into memory of the caller: it appends the batch to dst.
func (b *Builder) AppendTo(dst []byte, codec Codec) ([]byte, error) {
	if b.count == 0 {
		return dst, fmt.Errorf("finish batch: it has no records")
	}
	start := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	dst, err := compress(codec, dst, b.records)
	if err != nil {
		return dst[:start], err
	}
	if len(dst)-start > math.MaxInt32 {
		return dst[:start], &TooLargeError{Offset: b.first, Size: len(dst) - start, Max: math.MaxInt32}
	}
	Seal(dst[start:], Header{
		PartitionLeaderEpoch: -1,
		Attributes:           int16(codec),
		LastOffsetDelta:      b.count - 1,
		BaseTimestamp:        b.base,
		MaxTimestamp:         b.maxTimestamp,
		ProducerID:           -1,
		ProducerEpoch:        -1,
		BaseSequence:         -1,
		Count:                b.count,
	})
	return dst, nil
}

// Reset empties the builder and keeps its memory.
func (b *Builder) Reset() {
	b.records = b.records[:0]
	b.count = 0
}
