package batch

import (
	"encoding/binary"
	"hash/crc32"
)

// Smallest values of the length field: head without prefix, and a message with
// null key and null value.
const (
	minLength2 = HeaderSize - prefixSize
	minLength1 = 4 + 1 + 1 + 8 + 4 + 4
	minLength0 = 4 + 1 + 1 + 4 + 4
)

// Batch is one batch as it came, or one outer message of magic 0 and 1.
type Batch struct {
	Header
	// Raw is the whole batch on the wire. It aliases the input of Next; Rewrite
	// changes it in place and leaves Header behind.
	Raw []byte
}

// Next reads the first batch of b and returns it with what follows it.
//
// It checks structure only: lengths, magic, and that count, offsets and size go
// together. Checksum (CheckCRC) and contents (Decoder) are separate. Only for a
// compressed message of magic 0 and 1 it has to look inside, because such a
// message does not say where it begins; that decompression is bounded by
// [DefaultLimits].
//
// The error is ErrPartial, and rest is b, when b ends inside the batch or is
// empty; every other error is an ErrCorrupt that names the offset. Next
// allocates nothing for magic 2, and never panics.
func Next(b []byte) (batch Batch, rest []byte, err error) {
	if len(b) <= atMagic {
		return Batch{}, b, ErrPartial
	}
	base := int64(binary.BigEndian.Uint64(b))
	length := int32(binary.BigEndian.Uint32(b[atLength:]))
	magic := int8(b[atMagic])

	least := int32(minLength2)
	switch magic {
	case 2:
	case 1:
		least = minLength1
	case 0:
		least = minLength0
	default:
		return Batch{}, b, unsupported(base, "magic %d", magic)
	}
	if length < least {
		return Batch{}, b, corrupt(base, "length %d is below the least of magic %d, %d", length, magic, least)
	}
	if base < 0 {
		return Batch{}, b, corrupt(base, "negative offset")
	}
	if int64(len(b)) < prefixSize+int64(length) {
		return Batch{}, b, ErrPartial
	}

	size := prefixSize + int(length)
	batch.Raw = b[:size:size]
	if magic == 2 {
		batch.Header = parseHeader(batch.Raw)
		err = batch.Header.check(size - HeaderSize)
	} else {
		batch.Header, err = legacyHeader(batch.Raw)
	}
	if err != nil {
		return Batch{}, b, err
	}
	return batch, b[size:], nil
}

// WireSize returns the bytes that the first batch of b occupies by its own
// length field, or 0 when b is too short to tell or the length is nonsense.
// After ErrPartial it is what the next fetch must be able to return.
func WireSize(b []byte) int {
	if len(b) < prefixSize {
		return 0
	}
	length := int32(binary.BigEndian.Uint32(b[atLength:]))
	if length < minLength0 {
		return 0
	}
	return prefixSize + int(length)
}

// CheckCRC compares the checksum in the head with the bytes. Brokers check it
// when they append, not when they serve, so damage on the source's disk is
// found here. The error is an ErrChecksum.
func (b *Batch) CheckCRC() error {
	var sum uint32
	if b.Magic == 2 {
		sum = crc32.Checksum(b.Raw[atAttributes:], castagnoli)
	} else {
		sum = crc32.ChecksumIEEE(b.Raw[atMagic:])
	}
	if sum == b.CRC {
		return nil
	}
	err := corrupt(b.BaseOffset, "checksum is %08x, the head says %08x (%d bytes, magic %d)", sum, b.CRC, len(b.Raw), b.Magic)
	err.(*Error).Kind = ErrChecksum
	return err
}

// Payload returns what follows the head of a magic-2 batch: the records,
// compressed as Codec says. It aliases Raw, and is what stays untouched from
// producer to consumer. For magic 0 and 1 it is nil.
func (b *Batch) Payload() []byte {
	if b.Magic != 2 {
		return nil
	}
	return b.Raw[HeaderSize:]
}
