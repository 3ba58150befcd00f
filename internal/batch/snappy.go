package batch

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
)

// xerialMagic opens the framing of the Java client; 4 bytes of version and 4 of
// the least compatible version follow, then blocks, each behind its length.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeaderSize = 16

// unsnappy reads one bare block, as other clients write it, or the framing.
// Framed streams may follow one another: a new header is then where a block
// length would be, and no length is that large.
func unsnappy(dst, src []byte, limit int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerialMagic) {
		return unsnappyBlock(dst, src, limit)
	}
	for len(src) > 0 {
		if bytes.HasPrefix(src, xerialMagic) {
			if len(src) < xerialHeaderSize {
				return dst, errCutShort
			}
			src = src[xerialHeaderSize:]
			continue
		}
		if len(src) < 4 {
			return dst, errCutShort
		}
		n := binary.BigEndian.Uint32(src)
		if src = src[4:]; int64(n) > int64(len(src)) {
			return dst, errCutShort
		}
		var err error
		if dst, err = unsnappyBlock(dst, src[:n], limit); err != nil {
			return dst, err
		}
		src = src[n:]
	}
	return dst, nil
}

// snappyRatioMax: the densest element is a copy of 64 bytes in 3.
const snappyRatioMax = 22

func unsnappyBlock(dst, src []byte, limit int) ([]byte, error) {
	n, err := snappy.DecodedLen(src)
	switch {
	case err != nil:
		return dst, err
	case n > limit-len(dst):
		return dst, errOutputLimit
	case n > snappyRatioMax*len(src):
		return dst, errClaim
	}
	dst = grow(dst, n, limit)
	if _, err := snappy.Decode(dst[len(dst):len(dst)+n], src); err != nil {
		return dst, err
	}
	return dst[:len(dst)+n], nil
}

// xerialBlock is the block size of the Java client.
const xerialBlock = 32 << 10

// xerial appends src in the framing that the Java client writes and every
// client reads.
func xerial(dst, src []byte) []byte {
	dst = append(dst, xerialMagic...)
	dst = append(dst, 0, 0, 0, 1, 0, 0, 0, 1)
	for len(src) > 0 {
		block := src[:min(len(src), xerialBlock)]
		src = src[len(block):]
		dst = slices.Grow(dst, 4+snappy.MaxEncodedLen(len(block)))
		at := len(dst) + 4
		n := len(s2.EncodeSnappy(dst[at:cap(dst)], block))
		dst = binary.BigEndian.AppendUint32(dst, uint32(n))
		dst = dst[:at+n]
	}
	return dst
}
