package batch

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// shift returns what a difference between two CRC-32C sums becomes when n more
// bytes, the same on both sides, follow.
//
// A CRC is the remainder of a polynomial division over GF(2), which is linear:
// crc(a+tail) XOR crc(b+tail) depends on crc(a) XOR crc(b) and on the length of
// the tail alone, and equals that difference times x^(8n) mod P. x^(8n) is
// composed of at most four powers, one for each byte of n.
func shift(difference uint32, n int) uint32 {
	for i := 0; n > 0; i++ {
		if digit := n & 0xff; digit != 0 {
			difference = multiply(powers[i][digit], difference)
		}
		n >>= 8
	}
	return difference
}

// powers[i][d] is x^(8 * d * 256^i) mod P. Four digits cover every length that
// fits a batch.
var powers = buildPowers()

func buildPowers() (t [4][256]uint32) {
	const one = 1 << 31 // bits are reflected: x^0 is the top bit
	step := uint32(one >> 8)
	for i := range t {
		t[i][0] = one
		for d := 1; d < 256; d++ {
			t[i][d] = multiply(t[i][d-1], step)
		}
		step = multiply(t[i][255], step)
	}
	return t
}

// multiply returns a*b mod P, bits reflected. It has no branch that depends on
// the data: the factors are as good as random.
func multiply(a, b uint32) uint32 {
	var product uint32
	for i := 31; i >= 0; i-- {
		product ^= b & -(a >> 31)
		a <<= 1
		b = b>>1 ^ crc32.Castagnoli&-(b&1)
	}
	return product
}
