package batch

import (
	"slices"

	"github.com/klauspost/compress/gzip"
)

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
	return readBounded(c.gzip, dst, limit)
}

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
