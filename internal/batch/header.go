package batch

import (
	"encoding/binary"
	"fmt"
	"math"
)

// HeaderSize is the length in bytes of the fixed head of a magic-2 batch.
const HeaderSize = 61

// Where the fields of a magic-2 head are; the picture is in the package comment.
const (
	atLength          = 8
	atLeaderEpoch     = 12 // length counts from here
	atMagic           = 16 // the same place in all formats
	atCRC             = 17
	atAttributes      = 21 // the CRC covers from here
	atLastOffsetDelta = 23
	atBaseTimestamp   = 27
	atMaxTimestamp    = 35
	atProducerID      = 43
	atProducerEpoch   = 51
	atBaseSequence    = 53
	atCount           = 57

	prefixSize = 12 // base offset and length, not counted by length
)

// Attribute bits.
const (
	attrCodec         = 0x07
	attrLogAppendTime = 1 << 3
	attrTransactional = 1 << 4
	attrControl       = 1 << 5
	attrDeleteHorizon = 1 << 6
	attrKnown         = attrCodec | attrLogAppendTime | attrTransactional | attrControl | attrDeleteHorizon
)

// NoTimestamp is the timestamp of a record that has none (magic 0, fillers).
const NoTimestamp = -1

// Header is the fixed 61-byte head of a magic-2 batch.
//
// For magic 0 and 1 it describes one outer message and all messages inside it:
// BaseOffset is the offset of the first, LastOffset that of the outer message
// (the last), Count their number, BaseTimestamp and MaxTimestamp the outer
// timestamp (-1 for magic 0), Attributes only the codec and, for magic 1, the
// LogAppendTime bit; the fields such a message does not have are -1.
type Header struct {
	BaseOffset           int64  // offset of the first record, >= 0
	Length               int32  // as on the wire: bytes behind the length field
	PartitionLeaderEpoch int32  // epoch of the leader that appended it, -1 = none
	Magic                int8   // 0, 1 or 2
	CRC                  uint32 // CRC-32C from the attributes on; magic 0 and 1: CRC-32 from the magic on
	Attributes           int16  // see the package comment
	LastOffsetDelta      int32  // LastOffset - BaseOffset, kept by the log cleaner when the last records go
	BaseTimestamp        int64  // ms; what timestamp deltas count from
	MaxTimestamp         int64  // ms; the largest of the records
	ProducerID           int64  // -1 = not idempotent
	ProducerEpoch        int16  // -1 = not idempotent
	BaseSequence         int32  // sequence of the first record, -1 = not idempotent
	Count                int32  // number of records; 0 when the cleaner emptied the batch
}

// Codec returns the compression of the records; it may be one that is not Known.
func (h *Header) Codec() Codec { return Codec(h.Attributes & attrCodec) }

// LogAppendTime reports whether MaxTimestamp is the timestamp of every record (KIP-32).
func (h *Header) LogAppendTime() bool { return h.Attributes&attrLogAppendTime != 0 }

// Transactional reports whether the batch belongs to a transaction (KIP-98).
func (h *Header) Transactional() bool { return h.Attributes&attrTransactional != 0 }

// Control reports whether the batch is a marker and no data (KIP-98).
func (h *Header) Control() bool { return h.Attributes&attrControl != 0 }

// DeleteHorizon reports whether BaseTimestamp is the time at which the cleaner
// may drop the tombstones inside (KIP-534, written by brokers since 3.1).
func (h *Header) DeleteHorizon() bool { return h.Attributes&attrDeleteHorizon != 0 }

// LastOffset returns the last offset that the batch occupies, whether or not a
// record is still there.
func (h *Header) LastOffset() int64 { return h.BaseOffset + int64(h.LastOffsetDelta) }

// NextOffset returns the offset behind the batch.
func (h *Header) NextOffset() int64 { return h.LastOffset() + 1 }

// Size returns the bytes of the batch on the wire, the 12 bytes of offset and
// length included.
func (h *Header) Size() int { return prefixSize + int(h.Length) }

// Contiguous reports whether every offset of the batch holds a record. Brokers
// since 1.1 (KAFKA-6554) refuse any other batch from a client.
func (h *Header) Contiguous() bool { return h.Count > 0 && h.Count-1 == h.LastOffsetDelta }

// String describes the batch in one line, for faults and logs. It holds nothing
// of the records.
func (h Header) String() string {
	return fmt.Sprintf("offsets %d-%d, magic %d, %d records, %d bytes, %s, attributes %#x, timestamps %d-%d, producer %d epoch %d sequence %d, leader epoch %d, crc %08x",
		h.BaseOffset, h.LastOffset(), h.Magic, h.Count, h.Size(), h.Codec(), uint16(h.Attributes), h.BaseTimestamp, h.MaxTimestamp,
		h.ProducerID, h.ProducerEpoch, h.BaseSequence, h.PartitionLeaderEpoch, h.CRC)
}

// parseHeader reads a magic-2 head. b holds at least HeaderSize bytes.
func parseHeader(b []byte) Header {
	_ = b[HeaderSize-1]
	be := binary.BigEndian
	return Header{
		BaseOffset:           int64(be.Uint64(b)),
		Length:               int32(be.Uint32(b[atLength:])),
		PartitionLeaderEpoch: int32(be.Uint32(b[atLeaderEpoch:])),
		Magic:                int8(b[atMagic]),
		CRC:                  be.Uint32(b[atCRC:]),
		Attributes:           int16(be.Uint16(b[atAttributes:])),
		LastOffsetDelta:      int32(be.Uint32(b[atLastOffsetDelta:])),
		BaseTimestamp:        int64(be.Uint64(b[atBaseTimestamp:])),
		MaxTimestamp:         int64(be.Uint64(b[atMaxTimestamp:])),
		ProducerID:           int64(be.Uint64(b[atProducerID:])),
		ProducerEpoch:        int16(be.Uint16(b[atProducerEpoch:])),
		BaseSequence:         int32(be.Uint32(b[atBaseSequence:])),
		Count:                int32(be.Uint32(b[atCount:])),
	}
}

// put writes every field of h, as it stands, into a magic-2 head.
func (h *Header) put(b []byte) {
	_ = b[HeaderSize-1]
	be := binary.BigEndian
	be.PutUint64(b, uint64(h.BaseOffset))
	be.PutUint32(b[atLength:], uint32(h.Length))
	be.PutUint32(b[atLeaderEpoch:], uint32(h.PartitionLeaderEpoch))
	b[atMagic] = byte(h.Magic)
	be.PutUint32(b[atCRC:], h.CRC)
	be.PutUint16(b[atAttributes:], uint16(h.Attributes))
	be.PutUint32(b[atLastOffsetDelta:], uint32(h.LastOffsetDelta))
	be.PutUint64(b[atBaseTimestamp:], uint64(h.BaseTimestamp))
	be.PutUint64(b[atMaxTimestamp:], uint64(h.MaxTimestamp))
	be.PutUint64(b[atProducerID:], uint64(h.ProducerID))
	be.PutUint16(b[atProducerEpoch:], uint16(h.ProducerEpoch))
	be.PutUint32(b[atBaseSequence:], uint32(h.BaseSequence))
	be.PutUint32(b[atCount:], uint32(h.Count))
}

// check looks for what no broker would have appended. Emptied batches (count 0,
// kept by the cleaner for the producer's sequence) and holes are sound.
func (h *Header) check(payloadBytes int) error {
	switch {
	case h.LastOffsetDelta < 0:
		return corrupt(h.BaseOffset, "last offset delta %d is negative", h.LastOffsetDelta)
	case h.BaseOffset > math.MaxInt64-1-int64(h.LastOffsetDelta):
		return corrupt(h.BaseOffset, "last offset delta %d runs over the largest offset", h.LastOffsetDelta)
	case h.Count < 0:
		return corrupt(h.BaseOffset, "record count %d is negative", h.Count)
	case h.Count > 0 && h.Count-1 > h.LastOffsetDelta:
		return corrupt(h.BaseOffset, "%d records do not fit into %d offsets", h.Count, int64(h.LastOffsetDelta)+1)
	case h.Codec() == None && int64(h.Count)*minRecordSize > int64(payloadBytes):
		return corrupt(h.BaseOffset, "%d records do not fit into %d bytes", h.Count, payloadBytes)
	}
	return nil
}
