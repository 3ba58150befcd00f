package batch

import "math/bits"

// Zigzag varints as in Protocol Buffers: 7 bits a byte, least first.
//
// The readers return the index behind the number, or -1 when it ends in nothing,
// is longer than 5 (10) bytes or does not fit 32 (64) bits.

func readVarint(p []byte, i int) (int32, int) {
	if uint(i) < uint(len(p)) && p[i] < 0x80 {
		return int32(p[i]>>1) ^ -int32(p[i]&1), i + 1
	}
	u, i := readUvarint(p, i, 5)
	if u > 1<<32-1 {
		return 0, -1
	}
	return int32(u>>1) ^ -int32(u&1), i
}

func readVarlong(p []byte, i int) (int64, int) {
	if uint(i) < uint(len(p)) && p[i] < 0x80 {
		return int64(p[i]>>1) ^ -int64(p[i]&1), i + 1
	}
	u, i := readUvarint(p, i, 10)
	return int64(u>>1) ^ -int64(u&1), i
}

func readUvarint(p []byte, i, bytesMax int) (uint64, int) {
	var u uint64
	for n := range bytesMax {
		if i >= len(p) {
			return 0, -1
		}
		c := p[i]
		i++
		if n == 9 && c > 1 {
			return 0, -1
		}
		u |= uint64(c&0x7f) << (7 * n)
		if c < 0x80 {
			return u, i
		}
	}
	return 0, -1
}

func appendVarint(p []byte, v int32) []byte {
	return appendUvarint(p, uint64(uint32(v<<1)^uint32(v>>31)))
}

func appendVarlong(p []byte, v int64) []byte {
	return appendUvarint(p, uint64(v<<1)^uint64(v>>63))
}

func appendUvarint(p []byte, u uint64) []byte {
	for u >= 0x80 {
		p = append(p, byte(u)|0x80)
		u >>= 7
	}
	return append(p, byte(u))
}

func varintSize(v int32) int  { return uvarintSize(uint64(uint32(v<<1) ^ uint32(v>>31))) }
func varlongSize(v int64) int { return uvarintSize(uint64(v<<1) ^ uint64(v>>63)) }

func uvarintSize(u uint64) int { return (bits.Len64(u|1) + 6) / 7 }
