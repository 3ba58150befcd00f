package batch

import "encoding/binary"

// Rebase adds delta to the offset of every batch in a fetch answer, in place. The offset stands before what the
// checksum covers. What is no batch of magic 2 ends it with an ErrUnsupported: the offsets of older messages stand
// inside their compressed payload too. A batch that is there only in part is left alone.
func Rebase(b []byte, delta int64) error {
	for delta != 0 && len(b) > atMagic {
		base := int64(binary.BigEndian.Uint64(b))
		if magic := int8(b[atMagic]); magic != 2 {
			return unsupported(base, "magic %d at a shifted offset", magic)
		}
		size := WireSize(b)
		if size == 0 || size > len(b) {
			return nil // Next says what is wrong with it
		}
		binary.BigEndian.PutUint64(b, uint64(base+delta))
		b = b[size:]
	}
	return nil
}
