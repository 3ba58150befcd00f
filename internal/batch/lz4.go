package batch

import (
	"encoding/binary"
	"slices"

	"github.com/pierrec/lz4/v4"
)

// Parts of an LZ4 frame.
const (
	lz4Magic           = 0x184d2204
	lz4FlagContentSize = 1 << 3
	lz4FlagBlockSum    = 1 << 4
	lz4FlagContentSum  = 1 << 2
	lz4FlagDictionary  = 1 << 0
	lz4FlagIndependent = 1 << 5
	lz4VersionMask     = 0xc0
	lz4Version         = 0x40
	lz4Stored          = 1 << 31
	lz4Window          = 64 << 10
	lz4RatioMax        = 255
)

// unlz4 reads one or several LZ4 frames.
//
// The frame's own checksums are not looked at. The batch's checksum covers the
// same bytes, and the header checksum of magic 0 is wrong in everything that
// Java clients wrote (KAFKA-3160: computed from the frame magic on).
func unlz4(dst, src []byte, limit int) ([]byte, error) {
	if len(src) == 0 {
		return dst, errCutShort
	}
	var err error
	for len(src) > 0 {
		if dst, src, err = unlz4Frame(dst, src, limit); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func unlz4Frame(dst, src []byte, limit int) ([]byte, []byte, error) {
	if len(src) < 7 {
		return dst, nil, errCutShort
	}
	flags, blockMax := src[4], 1<<(8+2*int(src[5]>>4&7))
	if binary.LittleEndian.Uint32(src) != lz4Magic || flags&lz4VersionMask != lz4Version || flags&lz4FlagDictionary != 0 || blockMax < 64<<10 {
		return dst, nil, errFrame
	}
	head := 7
	if flags&lz4FlagContentSize != 0 {
		head += 8
	}
	if len(src) < head {
		return dst, nil, errCutShort
	}
	src = src[head:]
	for frame := len(dst); ; {
		if len(src) < 4 {
			return dst, nil, errCutShort
		}
		word := binary.LittleEndian.Uint32(src)
		src = src[4:]
		if word == 0 {
			break
		}
		n, sum := int(word&^lz4Stored), 0
		if flags&lz4FlagBlockSum != 0 {
			sum = 4
		}
		if n > blockMax {
			return dst, nil, errFrame
		}
		if n+sum > len(src) {
			return dst, nil, errCutShort
		}
		var history []byte
		if flags&lz4FlagIndependent == 0 {
			history = dst[max(frame, len(dst)-lz4Window):]
		}
		var err error
		if dst, err = unlz4Block(dst, src[:n], history, word&lz4Stored != 0, blockMax, limit); err != nil {
			return dst, nil, err
		}
		src = src[n+sum:]
	}
	if flags&lz4FlagContentSum != 0 {
		if len(src) < 4 {
			return dst, nil, errCutShort
		}
		src = src[4:]
	}
	return dst, src, nil
}

func unlz4Block(dst, src, history []byte, stored bool, blockMax, limit int) ([]byte, error) {
	if stored {
		if len(src) > limit-len(dst) {
			return dst, errOutputLimit
		}
		return append(dst, src...), nil
	}
	room := min(blockMax, lz4RatioMax*len(src)+lz4RatioMax)
	dst = grow(dst, room, limit)
	n, err := lz4.UncompressBlockWithDict(src, dst[len(dst):len(dst)+room], history)
	if err != nil {
		return dst, err
	}
	if n > limit-len(dst) {
		return dst, errOutputLimit
	}
	return dst[:len(dst)+n], nil
}

// lz4Head opens a frame as the Java client writes it: version 1, independent
// blocks of at most 64 KiB, no checksums. The last byte is the checksum of the
// two before.
var lz4Head = []byte{0x04, 0x22, 0x4d, 0x18, lz4Version | lz4FlagIndependent, 0x40, 0x82}

const lz4Block = 64 << 10

func lz4Frame(w *lz4.Compressor, dst, src []byte) ([]byte, error) {
	dst = append(dst, lz4Head...)
	for len(src) > 0 {
		block := src[:min(len(src), lz4Block)]
		src = src[len(block):]
		dst = slices.Grow(dst, 4+lz4.CompressBlockBound(len(block)))
		at := len(dst) + 4
		n, err := w.CompressBlock(block, dst[at:at+lz4.CompressBlockBound(len(block))])
		if err != nil {
			return dst, err
		}
		if n == 0 || n >= len(block) {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(len(block))|lz4Stored)
			dst = append(dst, block...)
			continue
		}
		dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
		dst = dst[:at+n]
	}
	return append(dst, 0, 0, 0, 0), nil
}
