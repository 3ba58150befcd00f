package batch

import (
	"fmt"
	"sync"

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
	zstdWriters = sync.Pool{New: func() any { return newZstdWriter() }}
	lz4Writers  = sync.Pool{New: func() any { return new(lz4.Compressor) }}
)

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
