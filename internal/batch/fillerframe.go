package batch

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// fillerFrame appends the encoded records of a filler to dst as one zstd frame
// (RFC 8878). edges are the positions in records of the records 64, 8192 and
// 16384, as far as there are so many, and the end.
//
// A filler's records differ only in their offset delta δ, a varint of 2δ:
//
//	length 0 0 [v0] [v1 [v2]] key.. value headers   v0: δ mod 64, v1: δ/64 mod 128, v2: δ/8192
//
// A compressor that looks back one record finds v0 changed every time and spends
// nearly a byte on it. Seen from 64 records before (8192 for three-byte deltas)
// only the highest byte differs, and it is the same for 64 (8192) records in a
// row: one literal repeated, then a match of constant length at a constant
// distance, over and over. zstd can say each of these constants once for a whole
// block, so 8192 records take 14 bytes and a million about 6 KB instead of 810.
//
// The result is ordinary zstd that every decoder reads. What the stages assume
// about the layout is checked byte by byte, and what does not hold is stored.
func fillerFrame(dst, records []byte, edges []int) []byte {
	stages := [...]struct{ period, first, varying int }{
		{period: 64, first: 64, varying: 4},  // two-byte deltas; the first 64 are stored
		{period: 64, first: 64, varying: 4},  // three-byte deltas, first round of v1
		{period: 8192, first: 0, varying: 5}, // the round before is there to look back on
	}
	f := newFrameWriter(dst, records)
	for i, s := range stages[:len(edges)-1] {
		from, end := edges[i], edges[i+1]
		size := int(records[from]>>1) + 1 // the record's own length, and its byte
		f.repeat(from+s.first*size+s.varying, end, size, s.period*size)
	}
	f.store(len(records), true)
	return f.out
}

// Parts of a zstd frame.
const (
	zstdMagic     = 0xfd2fb528
	zstdHead      = 0x80   // 4 bytes of content size, window given, no checksum
	zstdWindow    = 8 << 3 // 2^(10+8) = 256 KiB: more than 8192 keyed records
	zstdBlockRaw  = 0 << 1
	zstdBlockSeqs = 2 << 1
	zstdAllRLE    = 1<<6 | 1<<4 | 1<<2 // literal lengths, offsets, match lengths
)

// frameWriter writes a zstd frame of stored bytes and repeated matches.
type frameWriter struct {
	out      []byte
	p        []byte // what the frame decompresses to
	done     int    // bytes of p written
	distance int    // of the last match, 0 when there was none
}

func newFrameWriter(dst, p []byte) *frameWriter {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, zstdMagic)
	dst = append(dst, zstdHead, zstdWindow)
	return &frameWriter{out: le.AppendUint32(dst, uint32(len(p))), p: p}
}

// block opens a block; size is its bytes in the frame.
func (f *frameWriter) block(kind, size int, last bool) {
	head := size<<3 | kind
	if last {
		head |= 1
	}
	f.out = append(f.out, byte(head), byte(head>>8), byte(head>>16))
}

// store writes p up to end as it is; last closes the frame.
func (f *frameWriter) store(end int, last bool) {
	for f.done < end || last {
		n := min(end-f.done, zstdBlockMax)
		closing := last && f.done+n == end
		f.block(zstdBlockRaw, n, closing)
		f.out = append(f.out, f.p[f.done:f.done+n]...)
		f.done += n
		if closing {
			return
		}
	}
}

// repeat writes p from at on, storing what comes before, as long as every size
// bytes are a literal and a match at distance; it stops at end or where that
// does not hold.
func (f *frameWriter) repeat(at, end, size, distance int) {
	for {
		n := f.count(at, end, size, distance)
		if n == 0 {
			return
		}
		f.store(at, false)
		if distance != f.distance {
			f.sequences(1, size, distance)
			f.distance, n = distance, n-1
		}
		if n > 0 {
			f.sequences(n, size, 0)
		}
		at = f.done
	}
}

// count returns how many steps of size bytes from at on share the literal and
// match at distance, at most a block full.
func (f *frameWriter) count(at, end, size, distance int) (n int) {
	first := at
	for at+size <= end && (n+1)*size <= zstdBlockMax && f.p[at] == f.p[first] &&
		bytes.Equal(f.p[at+1:at+size], f.p[at+1-distance:at+size-distance]) {
		n++
		at += size
	}
	return n
}

// sequences writes a block of n times one literal and a match of size-1 bytes,
// at the given distance or, when that is 0, at the one before.
func (f *frameWriter) sequences(n, size, distance int) {
	literals := n<<4 | 3<<2 | 1 // 20 bits of size, repeated byte
	body := []byte{byte(literals), byte(literals >> 8), byte(literals >> 16), f.p[f.done]}
	if n < 128 {
		body = append(body, byte(n))
	} else {
		body = append(body, byte(n>>8)+128, byte(n))
	}

	// One code each, for all sequences: literal length 1, the offset, match
	// length size-1. Codes 0..31 of match lengths count from 3, without extra
	// bits. Offset code 0 is "as before"; code c takes c bits more, that of
	// distance+3 without its leading one.
	offsetCode, extra := 0, uint32(0)
	if distance > 0 {
		value := uint32(distance + 3)
		offsetCode = bits.Len32(value) - 1
		extra = value - 1<<offsetCode
	}
	body = append(body, zstdAllRLE, 1, byte(offsetCode), byte(size-1-3))

	// The bit stream is read from its end, where a one marks the first bit. With
	// constant codes it has nothing but the extra bits of the offset.
	for stream := extra | 1<<offsetCode; stream > 0; stream >>= 8 {
		body = append(body, byte(stream))
	}
	f.block(zstdBlockSeqs, len(body), false)
	f.out = append(f.out, body...)
	f.done += n * size
}
