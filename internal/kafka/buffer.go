package kafka

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Buffer is a reference-counted byte buffer that holds one fetch answer. Whoever keeps a slice of B holds a
// reference; the last Release gives the memory back for the next answer.
type Buffer struct {
	B     []byte
	refs  atomic.Int32
	class int

	// OnFree, if set, is called once when the last reference is gone.
	OnFree func()
}

// Buffers are pooled by powers of two from 64 KiB to 64 MiB; what is larger is left to the collector.
const (
	minBufferClass = 16
	maxBufferClass = 26
)

var bufferPools [maxBufferClass - minBufferClass + 1]sync.Pool

// NewBuffer returns a buffer of n bytes, holding one reference.
func NewBuffer(n int) *Buffer {
	class := max(bits.Len(uint(max(n, 1)-1)), minBufferClass)
	if class > maxBufferClass {
		b := &Buffer{B: make([]byte, n), class: -1}
		b.refs.Store(1)
		return b
	}
	b, _ := bufferPools[class-minBufferClass].Get().(*Buffer)
	if b == nil {
		b = &Buffer{B: make([]byte, 1<<class), class: class}
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
		if b.class < 0 {
			return
		}
		b.B = b.B[:cap(b.B)]
		bufferPools[b.class-minBufferClass].Put(b)
	}
}
