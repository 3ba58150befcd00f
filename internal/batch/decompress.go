package batch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
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
	limit := d.limits.MaxDecompressed
	if d.alone {
		limit = min(limit, d.limits.KeepBuffer)
	}
	out, err := d.run(codec, src, limit)
	if errors.Is(err, errOutputLimit) && limit < d.limits.MaxDecompressed {
		d.enterLarge()
		out, err = d.run(codec, src, d.limits.MaxDecompressed)
	}
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, errOutputLimit), errors.Is(err, zstd.ErrWindowSizeExceeded):
		err = &Error{Offset: offset, What: fmt.Sprintf("decompress %d bytes of %s to at most %d", len(src), codec, d.limits.MaxDecompressed), Kind: ErrLimit, Cause: err}
	default:
		err = &Error{Offset: offset, What: fmt.Sprintf("decompress %d bytes of %s", len(src), codec), Kind: ErrCorrupt, Cause: err}
	}
	return nil, err
}

func (d *Decoder) run(codec Codec, src []byte, limit int) ([]byte, error) {
	c := &d.codecs
	out, err := c.run(codec, c.buf[:0], src, limit)
	if cap(out) > cap(c.buf) {
		c.buf = out[:0]
	}
	return out, err
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

// readBounded appends what r yields to dst, at most to limit bytes in all.
func readBounded(r io.Reader, dst []byte, limit int) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			if len(dst) > limit {
				return dst, errOutputLimit
			}
			dst = slices.Grow(dst, min(max(len(dst), 64<<10), limit-len(dst)+1))
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
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

// grow makes room for n more bytes in dst, doubling it on the way to limit: growing by less each time would allocate
// many times the limit before it is reached.
func grow(dst []byte, n, limit int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	return slices.Grow(dst, max(n, min(len(dst), limit-len(dst))))
}
