package kafka

import (
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
)

// Buffer is a reference-counted byte buffer that holds one fetch answer. Whoever keeps a slice of B holds a
// reference; the last Release gives the memory back for the next answer.
type Buffer struct {
	B    []byte
	refs atomic.Int32

	// OnFree, if set, is called once when the last reference is gone.
	OnFree func()
}

// Buffers have sizes four to a power of two, from 64 KiB to 64 MiB, so that at most a fifth of a new one lies
// idle; what is larger is left to the collector.
const (
	minBuffer = 64 << 10
	maxBuffer = 64 << 20
)

// bufferSize returns how large a new buffer for n bytes is.
func bufferSize(n int) int {
	n = max(n, minBuffer)
	power := bits.Len(uint(n-1)) - 1 // 2^power < n <= 2^(power+1), except for powers of two
	quarter := 1 << (power - 2)
	return (n + quarter - 1) / quarter * quarter
}

// spare keeps buffers for reuse, the one used last at the end. A sync.Pool would be emptied by the collector,
// again and again, and megabytes would be allocated and zeroed for each answer.
var spare struct {
	mu    sync.Mutex // guards the rest
	list  []*Buffer
	bytes int
}

// maxSpare bounds the bytes kept for reuse.
const maxSpare = 24 << 20

// takeSpare returns a buffer for n bytes that is at most twice as large: answers vary in size, and one size for
// each would seldom find its like.
func takeSpare(n int) *Buffer {
	spare.mu.Lock()
	defer spare.mu.Unlock()
	for i := len(spare.list) - 1; i >= 0; i-- {
		if b := spare.list[i]; n <= cap(b.B) && cap(b.B) <= max(2*n, 4*minBuffer) {
			spare.list = slices.Delete(spare.list, i, i+1)
			spare.bytes -= cap(b.B)
			return b
		}
	}
	return nil
}

// putSpare keeps b; what has not been of use for longest is left to the collector when there is too much.
func putSpare(b *Buffer) {
	spare.mu.Lock()
	defer spare.mu.Unlock()
	spare.list = append(spare.list, b)
	spare.bytes += cap(b.B)
	drop := 0
	for ; spare.bytes > maxSpare; drop++ {
		spare.bytes -= cap(spare.list[drop].B)
	}
	spare.list = slices.Delete(spare.list, 0, drop)
}

// NewBuffer returns a buffer of n bytes, holding one reference.
func NewBuffer(n int) *Buffer {
	if n > maxBuffer {
		b := &Buffer{B: make([]byte, n)}
		b.refs.Store(1)
		return b
	}
	b := takeSpare(n)
	if b == nil {
		b = &Buffer{B: make([]byte, bufferSize(n))}
	}
	b.B = b.B[:n]
	b.refs.Store(1)
	return b
}

// Retain adds a reference.
func (b *Buffer) Retain() { b.refs.Add(1) }

// Release drops a reference; the bytes must not be touched by the caller afterwards.
func (b *Buffer) Release() {
	switch n := b.refs.Add(-1); {
	case n < 0:
		panic("kafka: buffer released more often than retained")
	case n == 0:
		if free := b.OnFree; free != nil {
			b.OnFree = nil
			free()
		}
		if cap(b.B) <= maxBuffer {
			putSpare(b)
		}
	}
}
