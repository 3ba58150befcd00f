package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

var (
	errOutputLimit = errors.New("decompressed size over the limit")
	errFrame       = errors.New("malformed frame")
	errCutShort    = errors.New("frame cut short")
	errClaim       = errors.New("claims more than its bytes can hold")
)

// decompressor holds one reusable reader for each codec that has one, and the
// buffer that all of them fill.
type decompressor struct {
	buf   []byte
	input bytes.Reader
	gzip  *gzip.Reader
	zstd  *zstd.Decoder
}

func (c *decompressor) trim(keep int) {
	c.input.Reset(nil)
	if cap(c.buf) > keep {
		c.buf = nil
	}
}

// decompress returns src as it was before compression, valid until the next
// call. For None that is src itself. offset is for the error.
func (d *Decoder) decompress(codec Codec, src []byte, offset int64) ([]byte, error) {
	if codec == None {
		return src, nil
	}
	if !codec.Known() {
		return nil, unsupported(offset, "%s", codec)
	}
	c := &d.codecs
	out, err := c.run(codec, c.buf[:0], src, d.limits.MaxDecompressed)
	if cap(out) > cap(c.buf) {
		c.buf = out[:0]
	}
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, errOutputLimit), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return nil, overLimit(offset, "%d bytes of %s decompress to more than %d", len(src), codec, d.limits.MaxDecompressed)
	}
	return nil, &Error{Offset: offset, What: "decompress " + codec.String(), Kind: ErrCorrupt, Cause: err}
}

func (c *decompressor) run(codec Codec, dst, src []byte, limit int) ([]byte, error) {
	switch codec {
	case Gzip:
		return c.gunzip(dst, src, limit)
	case Snappy:
		return unsnappy(dst, src, limit)
	case LZ4:
		return unlz4(dst, src, limit)
	default:
		return c.unzstd(dst, src, limit)
	}
}

// gunzip reads one or several gzip members, one after another (RFC 1952, 2.2).
func (c *decompressor) gunzip(dst, src []byte, limit int) ([]byte, error) {
	c.input.Reset(src)
	if c.gzip == nil {
		c.gzip = new(gzip.Reader)
	}
	if err := c.gzip.Reset(&c.input); err != nil {
		return dst, err
	}
	dst = slices.Grow(dst, min(4*len(src), limit))
	for {
		if len(dst) == cap(dst) {
			if len(dst) > limit {
				return dst, errOutputLimit
			}
			dst = slices.Grow(dst, min(len(dst), limit-len(dst))+1)
		}
		n, err := c.gzip.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if len(dst) > limit {
			return dst, errOutputLimit
		}
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

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
	dst = slices.Grow(dst, n)
	if _, err := snappy.Decode(dst[len(dst):len(dst)+n], src); err != nil {
		return dst, err
	}
	return dst[:len(dst)+n], nil
}

// unzstd reads one or several zstd frames. A frame may claim its content size,
// and the library would allocate it at once; no block holds more than 128 KiB or
// takes less than 4 bytes, so an impossible claim is refused before.
func (c *decompressor) unzstd(dst, src []byte, limit int) ([]byte, error) {
	var head zstd.Header
	if err := head.Decode(src); err != nil {
		return dst, err
	}
	if head.HasFCS {
		if head.FrameContentSize > uint64(limit) {
			return dst, errOutputLimit
		}
		if head.FrameContentSize > uint64(len(src)/4+1)<<17 {
			return dst, errClaim
		}
	}
	if c.zstd == nil {
		var err error
		c.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(uint64(limit)))
		if err != nil {
			return dst, err
		}
	}
	return c.zstd.DecodeAll(src, dst)
}

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
		if n > blockMax || n+sum > len(src) {
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
	dst = slices.Grow(dst, room)
	n, err := lz4.UncompressBlockWithDict(src, dst[len(dst):len(dst)+room], history)
	if err != nil {
		return dst, err
	}
	if n > limit-len(dst) {
		return dst, errOutputLimit
	}
	return dst[:len(dst)+n], nil
}
