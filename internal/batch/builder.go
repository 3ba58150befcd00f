package batch

import (
	"fmt"
	"math"
	"slices"
)

// maxBuild is the largest batch, uncompressed, that a Builder makes: lengths on
// the wire are 31 bits, and a codec may add a little.
const maxBuild = 1 << 30

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
	tail := tailSize(r)
	if err := b.open(r.Offset, r.Timestamp, tail); err != nil {
		return err
	}
	b.close(appendTail(b.head(r.Timestamp, tail), r), r.Timestamp)
	return nil
}

// appendTail adds a record whose bytes from the key length on are known.
func (b *Builder) appendTail(offset, timestamp int64, tail []byte) error {
	if err := b.open(offset, timestamp, len(tail)); err != nil {
		return err
	}
	b.close(append(b.head(timestamp, len(tail)), tail...), timestamp)
	return nil
}

// appendTail encodes r from the key length on: what does not depend on the batch.
func appendTail(p []byte, r *Record) []byte {
	p = appendBytes(p, r.Key)
	p = appendBytes(p, r.Value)
	p = appendVarint(p, int32(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		p = append(appendVarint(p, int32(len(h.Key))), h.Key...)
		p = appendBytes(p, h.Value)
	}
	return p
}

// tailSize is the encoded size of r from the key length on.
func tailSize(r *Record) int {
	n := bytesSize(r.Key) + bytesSize(r.Value) + varintSize(int32(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		n += varintSize(int32(len(h.Key))) + len(h.Key) + bytesSize(h.Value)
	}
	return n
}

// open admits a record with a tail of so many bytes, or says why not.
func (b *Builder) open(offset, timestamp int64, tail int) error {
	if b.count == 0 {
		b.first, b.base, b.maxTimestamp = offset, timestamp, timestamp
	}
	if want := b.first + int64(b.count); offset != want {
		return fmt.Errorf("append record at offset %d to a batch that goes on at %d: a batch may not have holes", offset, want)
	}
	if size := b.Size() + tail; size > maxBuild || b.count == math.MaxInt32 {
		return &TooLargeError{Offset: offset, Size: size, Max: maxBuild}
	}
	return nil
}

// head writes what stands before the tail: length, attributes, deltas.
func (b *Builder) head(timestamp int64, tail int) []byte {
	delta := timestamp - b.base // may wrap, see Header.timestamp
	p := appendVarint(b.records, int32(1+varlongSize(delta)+varintSize(b.count)+tail))
	p = append(p, 0) // attributes
	p = appendVarlong(p, delta)
	return appendVarint(p, b.count)
}

func (b *Builder) close(p []byte, timestamp int64) {
	b.records = p
	b.count++
	b.maxTimestamp = max(b.maxTimestamp, timestamp)
}

// mark is how far a builder had come.
type mark struct {
	bytes        int
	count        int32
	maxTimestamp int64
}

func (b *Builder) mark() mark { return mark{len(b.records), b.count, b.maxTimestamp} }

// rewind forgets the records appended since m.
func (b *Builder) rewind(m mark) {
	b.records, b.count, b.maxTimestamp = b.records[:m.bytes], m.count, m.maxTimestamp
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
	Seal(dst[start:], b.header(codec))
	return dst, nil
}

func (b *Builder) header(codec Codec) Header {
	return Header{
		PartitionLeaderEpoch: -1,
		Attributes:           int16(codec),
		LastOffsetDelta:      b.count - 1,
		BaseTimestamp:        b.base,
		MaxTimestamp:         b.maxTimestamp,
		ProducerID:           -1,
		ProducerEpoch:        -1,
		BaseSequence:         -1,
		Count:                b.count,
	}
}

// trim empties the builder and gives up buffers of more than keep bytes.
func (b *Builder) trim(keep int) {
	b.Reset()
	if cap(b.records) > keep {
		b.records = nil
	}
	if cap(b.packed) > keep {
		b.packed = nil
	}
}

// Reset empties the builder and keeps its memory.
func (b *Builder) Reset() { b.rewind(mark{}) }
