package batch

import (
	"github.com/klauspost/compress/zstd"
)

// zstdBlockMax is the largest block that zstd allows, decompressed.
const zstdBlockMax = 128 << 10

// zstdWindowMax is the largest window that zstd's own decoders take unasked.
const zstdWindowMax = 128 << 20

// unzstd reads one or several zstd frames.
//
// Decoding into one buffer is the fast way, but it trusts the content size that
// a frame may claim, and finds a limit only by running over it. So the blocks
// are counted first, which costs nothing: when they could exceed the limit, the
// reader, which can be stopped, does the work. The library's own limit is of no
// use here: it would refuse small contents in frames with a large window too.
func (c *decompressor) unzstd(dst, src []byte, limit int) ([]byte, error) {
	most, err := zstdBound(src)
	if err != nil {
		return dst, err
	}
	if c.zstd == nil {
		c.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdWindowMax), zstd.WithDecoderMaxMemory(maxDecompressedCap))
		if err != nil {
			return dst, err
		}
	}
	if most <= limit {
		return c.zstd.DecodeAll(src, dst)
	}
	c.input.Reset(src)
	if err := c.zstd.Reset(&c.input); err != nil {
		return dst, err
	}
	defer c.zstd.Reset(nil)
	return readBounded(c.zstd, dst, limit)
}

// zstdBound returns the most bytes that the frames in src can decompress to. It
// is an error when they are cut short or a frame claims a content size that its
// blocks cannot hold.
func zstdBound(src []byte) (most int, err error) {
	if len(src) == 0 {
		return 0, errCutShort
	}
	for len(src) > 0 {
		var head zstd.Header
		if err := head.Decode(src); err != nil {
			return 0, err
		}
		if head.Skippable {
			if len(src)-head.HeaderSize < int(head.SkippableSize) {
				return 0, errCutShort
			}
			src = src[head.HeaderSize+int(head.SkippableSize):]
			continue
		}
		blocks, n, err := zstdBlocks(src[head.HeaderSize:])
		if err != nil {
			return 0, err
		}
		if head.HasFCS && head.FrameContentSize > uint64(blocks) {
			return 0, errClaim
		}
		n += head.HeaderSize
		if head.HasCheckSum {
			n += 4
		}
		if n > len(src) {
			return 0, errCutShort
		}
		src = src[n:]
		most += blocks
	}
	return most, nil
}

// zstdBlocks walks the blocks of one frame and returns the most bytes that they
// decompress to and the bytes that they take.
func zstdBlocks(src []byte) (most, size int, err error) {
	for last := false; !last; {
		if len(src)-size < 3 {
			return 0, 0, errCutShort
		}
		head := int(src[size]) | int(src[size+1])<<8 | int(src[size+2])<<16
		last = head&1 != 0
		size += 3
		n := head >> 3
		if n > zstdBlockMax {
			return 0, 0, errFrame
		}
		switch head >> 1 & 3 {
		case 0: // stored
			most += n
			size += n
		case 1: // one byte, repeated
			most += n
			size++
		case 2: // compressed
			most += zstdBlockMax
			size += n
		default:
			return 0, 0, errFrame
		}
	}
	return most, size, nil
}

// newZstdWriter makes an encoder for EncodeAll. Its window is that of zstd's
// level 3, 2 MiB: no batch gains from a larger one. The frame checksum is off;
// the batch has its own.
func newZstdWriter() *zstd.Encoder {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault),
		zstd.WithWindowSize(2<<20), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true))
	if err != nil {
		panic("batch: zstd encoder options: " + err.Error()) // constants, so a fault of this file
	}
	return w
}
