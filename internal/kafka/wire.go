package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// errAnswer says that a broker's answer is not what the protocol says it is.
var errAnswer = errors.New("the answer breaks the protocol")

// wireReader takes values off an answer. Once something is missing every further read gives zero, and finish tells.
//
// The answers on the main path are read by it and not by kmsg, which makes room for as many elements as an array
// says it has, at two hundred bytes each for every byte that came, and believes a count of four billion tags.
// Here an array may announce no more than its bytes can hold, and tags are stepped over.
type wireReader struct {
	b        []byte
	flexible bool // KIP-482: compact lengths and tags
	bad      bool
}

func (r *wireReader) fail() {
	r.b, r.bad = nil, true
}

func (r *wireReader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail()
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *wireReader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *wireReader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *wireReader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *wireReader) uuid() (id [16]byte) {
	copy(id[:], r.take(len(id)))
	return id
}

// uvarint reads a number of at most 32 bits, in at most 5 bytes.
func (r *wireReader) uvarint() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 5 || v > math.MaxUint32 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

// length reads the length of bytes or of an array, -1 for null.
func (r *wireReader) length() int {
	if r.flexible {
		return r.uvarint() - 1
	}
	return int(r.int32())
}

// bytes reads bytes, nil for null. They alias the answer.
func (r *wireReader) bytes() []byte {
	n := r.length()
	if n == -1 {
		return nil
	}
	return r.take(n)
}

// string reads a string that must be there.
func (r *wireReader) string() string { return string(r.take(r.stringLength())) }

// nullable reads a string, "" for null.
func (r *wireReader) nullable() string {
	n := r.stringLength()
	if n == -1 {
		return ""
	}
	return string(r.take(n))
}

func (r *wireReader) stringLength() int {
	if r.flexible {
		return r.uvarint() - 1
	}
	return int(r.int16())
}

// array reads the length of an array whose elements take at least so many bytes each; null counts as empty.
func (r *wireReader) array(least int) int {
	n := r.length()
	if n == -1 {
		return 0
	}
	if n < 0 || n > len(r.b)/least {
		r.fail()
		return 0
	}
	return n
}

// tags steps over tagged fields, handing each to take, which may be nil.
func (r *wireReader) tags(take func(tag int, value []byte)) {
	if !r.flexible {
		return
	}
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		tag := r.uvarint()
		value := r.take(r.uvarint())
		if take != nil && !r.bad {
			take(tag, value)
		}
	}
}

// inside reads the value of a tag; what is wrong there is wrong with the whole answer.
func (r *wireReader) inside(value []byte, read func(in *wireReader)) {
	in := wireReader{b: value, flexible: true}
	read(&in)
	in.tags(nil)
	if in.finish() != nil {
		r.fail()
	}
}

// finish says whether everything was there, and nothing else.
func (r *wireReader) finish() error {
	switch {
	case r.bad:
		return fmt.Errorf("%w: it ends too early, or a length in it cannot be", errAnswer)
	case len(r.b) > 0:
		return fmt.Errorf("%w: %d bytes are left over", errAnswer, len(r.b))
	}
	return nil
}
