package batch

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Producer is what a batch is sent under.
type Producer struct {
	ID       int64 // from InitProducerId, >= 0: without it a broker orders and deduplicates nothing
	Epoch    int16 // from InitProducerId, >= 0
	Sequence int32 // of the first record, >= 0; see NextSequence

	// Transactional marks the batch as part of the producer's open transaction.
	// Fillers that are to be aborted need it; copied data never has it.
	Transactional bool
}

// NextSequence returns the sequence number behind n records that begin at seq.
// Sequence numbers wrap from 2^31-1 to 0.
func NextSequence(seq, n int32) int32 {
	return int32((int64(seq) + int64(n)) & 0x7fffffff)
}

// Rewrite changes the head of raw, one complete magic-2 batch, in place, so that
// a broker takes it from a client: base offset 0, leader epoch -1, transactional
// bit as p says, delete-horizon bit cleared (a target since 3.1 would drop
// tombstones on the source's schedule), producer fields from p.
//
// The checksum is not computed anew but carried over the changed head bytes, so
// the producer's checksum goes on covering every payload byte: a byte damaged
// anywhere on the way, in this process too, is refused by the target. Rewrite
// may be applied to the same raw again, as for a filler that is sent many times.
//
// It refuses, and leaves raw as it was, what a broker would refuse or change:
// control batches, LogAppendTime batches (3.6+ accept and silently re-time
// them), batches with holes, unknown codecs or attribute bits, a producer
// without id.
func Rewrite(raw []byte, p Producer) error {
	if len(raw) < HeaderSize || raw[atMagic] != 2 || int(int32(binary.BigEndian.Uint32(raw[atLength:])))+prefixSize != len(raw) {
		return fmt.Errorf("rewrite batch: %d bytes are not one complete batch of magic 2", len(raw))
	}
	if p.ID < 0 || p.Epoch < 0 || p.Sequence < 0 {
		return fmt.Errorf("rewrite batch: producer %d, epoch %d, sequence %d is not idempotent", p.ID, p.Epoch, p.Sequence)
	}
	be := binary.BigEndian
	attributes := be.Uint16(raw[atAttributes:])
	count, delta := int32(be.Uint32(raw[atCount:])), int32(be.Uint32(raw[atLastOffsetDelta:]))
	if attributes&(attrControl|attrLogAppendTime) != 0 || attributes&^attrKnown != 0 ||
		!Codec(attributes&attrCodec).Known() || count <= 0 || count-1 != delta {
		return fmt.Errorf("rewrite batch: attributes %#x, %d records, last offset delta %d cannot be sent as they are", attributes, count, delta)
	}

	before := crc32.Checksum(raw[atAttributes:HeaderSize], castagnoli)
	attributes &^= attrTransactional | attrDeleteHorizon
	if p.Transactional {
		attributes |= attrTransactional
	}
	be.PutUint64(raw, 0)
	be.PutUint32(raw[atLeaderEpoch:], ^uint32(0))
	be.PutUint16(raw[atAttributes:], attributes)
	be.PutUint64(raw[atProducerID:], uint64(p.ID))
	be.PutUint16(raw[atProducerEpoch:], uint16(p.Epoch))
	be.PutUint32(raw[atBaseSequence:], uint32(p.Sequence))
	after := crc32.Checksum(raw[atAttributes:HeaderSize], castagnoli)

	crc := be.Uint32(raw[atCRC:]) ^ shift(before^after, len(raw)-HeaderSize)
	be.PutUint32(raw[atCRC:], crc)
	return nil
}

// Seal writes h over the head of raw, a magic-2 batch, sets length and magic to
// what raw is, and computes the checksum over all of it. It is for those who
// make batches: Builder, and tests that need a batch as a broker or its cleaner
// would have left it. Data on its way from source to target is for Rewrite: Seal
// would give a damaged payload a valid checksum.
func Seal(raw []byte, h Header) {
	h.Length = int32(len(raw) - prefixSize)
	h.Magic = 2
	h.put(raw)
	binary.BigEndian.PutUint32(raw[atCRC:], crc32.Checksum(raw[atAttributes:], castagnoli))
}
