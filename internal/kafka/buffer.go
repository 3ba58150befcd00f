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

// Buffers are pooled in classes four to a power of two, from 64 KiB to 64 MiB, so that at most a fifth of
// one lies idle; what is larger is left to the collector.
const (
	minBuffer = 64 << 10
	maxBuffer = 64 << 20
)

// bufferClass returns the class for n bytes and its size.
func bufferClass(n int) (class, size int) {
	n = max(n, minBuffer)
	power := bits.Len(uint(n-1)) - 1 // 2^power < n <= 2^(power+1), except for powers of two
	quarter := 1 << (power - 2)
	quarters := (n + quarter - 1) / quarter // 4 < quarters <= 8
	return 4*power + quarters, quarters * quarter
}

// spare keeps buffers for reuse. A sync.Pool would be emptied by the collector, again and again, and megabytes
// would be allocated and zeroed for each answer.
var spare struct {
	mu      sync.Mutex // guards the rest
	byClass map[int][]*Buffer
	bytes   int
}

// maxSpare bounds the bytes kept for reuse.
const maxSpare = 48 << 20

func takeSpare(class int) *Buffer {
	spare.mu.Lock()
	defer spare.mu.Unlock()
	list := spare.byClass[class]
	if len(list) == 0 {
		return nil
	}
	b := list[len(list)-1]
	spare.byClass[class] = list[:len(list)-1]
	spare.bytes -= len(b.B)
	return b
}

// putSpare keeps b, or leaves it to the collector when enough is kept.
func putSpare(b *Buffer) {
	b.B = b.B[:cap(b.B)]
	spare.mu.Lock()
	defer spare.mu.Unlock()
	if spare.bytes+len(b.B) > maxSpare {
		return
	}
	if spare.byClass == nil {
		spare.byClass = map[int][]*Buffer{}
	}
	spare.byClass[b.class] = append(spare.byClass[b.class], b)
	spare.bytes += len(b.B)
}

// NewBuffer returns a buffer of n bytes, holding one reference.
func NewBuffer(n int) *Buffer {
	if n > maxBuffer {
		b := &Buffer{B: make([]byte, n), class: -1}
		b.refs.Store(1)
		return b
	}
	class, size := bufferClass(n)
	b := takeSpare(class)
	if b == nil {
		b = &Buffer{B: make([]byte, size), class: class}
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
		putSpare(b)
	}
}
