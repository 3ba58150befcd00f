package batch

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Encoders are pooled: they hold up to a few megabytes each, and a process has
// far more builders (one a partition) than batches being encoded at once.
//
// Levels are those of a Kafka producer that sets none (KIP-390): gzip 6, lz4
// fast, zstd 3.
var (
	gzipWriters = sync.Pool{New: func() any { return newGzipWriter() }}
	zstdWriters = sync.Pool{New: func() any { return newZstdWriter(zstd.SpeedDefault) }}
	lz4Writers  = sync.Pool{New: func() any { return new(lz4.Compressor) }}
)

type gzipWriter struct {
	*gzip.Writer
	out appender
}

// appender is an io.Writer into a slice.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

func newGzipWriter() *gzipWriter {
	w := new(gzipWriter)
	w.Writer = gzip.NewWriter(&w.out)
	return w
}

// newZstdWriter makes an encoder for EncodeAll. Its window is that of zstd's
// level 3, 2 MiB: no batch gains from a larger one. The frame checksum is off;
// the batch has its own.
func newZstdWriter(level zstd.EncoderLevel) *zstd.Encoder {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(level),
		zstd.WithWindowSize(2<<20), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true))
	if err != nil {
		panic("batch: zstd encoder options: " + err.Error()) // constants, so a fault of this file
	}
	return w
}

// compress appends src, compressed, to dst.
func compress(codec Codec, dst, src []byte) ([]byte, error) {
	switch codec {
	case None:
		return append(dst, src...), nil
	case Gzip:
		w := gzipWriters.Get().(*gzipWriter)
		defer gzipWriters.Put(w)
		return w.compress(dst, src)
	case Snappy:
		return xerial(dst, src), nil
	case LZ4:
		w := lz4Writers.Get().(*lz4.Compressor)
		defer lz4Writers.Put(w)
		return lz4Frame(w, dst, src)
	case Zstd:
		w := zstdWriters.Get().(*zstd.Encoder)
		defer zstdWriters.Put(w)
		return w.EncodeAll(src, dst), nil
	}
	return dst, fmt.Errorf("compress batch: unknown codec %d", int8(codec))
}

func (w *gzipWriter) compress(dst, src []byte) ([]byte, error) {
	w.out.b = dst
	w.Reset(&w.out)
	_, err := w.Write(src)
	if err == nil {
		err = w.Close()
	}
	dst, w.out.b = w.out.b, nil
	return dst, err
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
		n := len(snappy.Encode(dst[at:cap(dst)], block))
		dst = binary.BigEndian.AppendUint32(dst, uint32(n))
		dst = dst[:at+n]
	}
	return dst
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
