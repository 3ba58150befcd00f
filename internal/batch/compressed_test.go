package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

func pack(t testing.TB, codec Codec, p []byte) []byte {
	t.Helper()
	out, err := compress(codec, nil, p)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCompressedRefuses(t *testing.T) {
	var b Builder
	for _, r := range sample(0, 300) {
		b.Append(&r)
	}
	frames := map[Codec][]byte{}
	for _, codec := range codecs[1:] {
		frames[codec] = pack(t, codec, b.records)
	}
	for codec, frame := range frames {
		for _, cut := range []int{0, 1, 5, 12, 20, len(frame) / 2, len(frame) - 1} {
			refused(t, codec.String()+" cut short", payload(codec, 300, 299, frame[:cut]), ErrCorrupt)
		}
		refused(t, codec.String()+" with a byte behind", payload(codec, 300, 299, append(bytes.Clone(frame), 'x')), ErrCorrupt)
		for other := range frames {
			if other != codec {
				refused(t, codec.String()+" called "+other.String(), payload(other, 300, 299, frame), ErrCorrupt)
			}
		}
	}
	zstdClaim := bytes.Clone(frames[Zstd])
	zstdClaim[4] = 0x80 | zstdClaim[4]&0x3f | 0x20 // single segment, 4 bytes of content size
	copy(zstdClaim[5:], []byte{0, 0, 0xf, 0})
	block := binary.BigEndian.AppendUint32
	framed := append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
	for name, raw := range map[string][]byte{
		"zstd that claims what its blocks cannot hold":  payload(Zstd, 300, 299, append(zstdClaim[:9:9], 1, 0, 0)),
		"snappy that claims what its bytes cannot hold": payload(Snappy, 300, 299, []byte{0xff, 0xff, 0x03, 0, 'x'}),
		"snappy frame with a block over the end":        payload(Snappy, 300, 299, append(block(bytes.Clone(framed), 99), 'x')),
		"snappy frame with a block length of 2^32-1":    payload(Snappy, 300, 299, append(block(bytes.Clone(framed), 1<<32-1), 'x')),
		"snappy frame with half a length":               payload(Snappy, 300, 299, append(bytes.Clone(framed), 0, 0)),
		"lz4 with a dictionary":                         payload(LZ4, 300, 299, edit(frames[LZ4], 4, lz4FlagDictionary)),
		"lz4 of version 2":                              payload(LZ4, 300, 299, edit(frames[LZ4], 4, lz4VersionMask)),
		"lz4 with blocks of 1 KiB":                      payload(LZ4, 300, 299, edit(frames[LZ4], 5, 0x50)),
		"lz4 with a block over the end":                 payload(LZ4, 300, 299, edit(frames[LZ4], 8, 0x7f)),
		"a skippable frame and no other":                payload(Zstd, 300, 299, []byte{0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9}),
		"a skippable frame over the end":                payload(Zstd, 300, 299, []byte{0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff, 9}),
		"a reserved zstd block":                         payload(Zstd, 300, 299, []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x38, 7, 0, 0, 0}),
	} {
		if n := allocating(t, func() { refused(t, name, raw, ErrCorrupt) }); n > 8<<20 {
			t.Errorf("%s: %d bytes were allocated", name, n)
		}
	}
}

// edit returns p with bits flipped in one byte.
func edit(p []byte, at int, flip byte) []byte {
	p = bytes.Clone(p)
	p[at] ^= flip
	return p
}

// Bombs: a little that decompresses to a lot. Each is far over the limit of 1 MiB
// that refused sets, and may cost little more than that.
func TestBombs(t *testing.T) {
	zeros := make([]byte, 64<<20)
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	w.Write(zeros)
	w.Close()
	var lz bytes.Buffer
	l := lz4.NewWriter(&lz)
	l.Write(zeros)
	l.Close()
	block := snappy.Encode(nil, zeros[:1<<20])
	framed := append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
	for range 64 {
		framed = append(binary.BigEndian.AppendUint32(framed, uint32(len(block))), block...)
	}
	for name, raw := range map[string][]byte{
		"gzip":           payload(Gzip, 1, 0, gz.Bytes()),
		"gzip twice":     payload(Gzip, 1, 0, append(bytes.Clone(gz.Bytes()), gz.Bytes()...)),
		"lz4":            payload(LZ4, 1, 0, lz.Bytes()),
		"lz4 of ours":    payload(LZ4, 1, 0, pack(t, LZ4, zeros)),
		"snappy":         payload(Snappy, 1, 0, snappy.Encode(nil, zeros)),
		"framed snappy":  payload(Snappy, 1, 0, framed),
		"zstd, sized":    payload(Zstd, 1, 0, pack(t, Zstd, zeros)),
		"zstd, 32 GiB":   payload(Zstd, 1, 0, zstdBomb(1<<18)),
		"zstd in frames": payload(Zstd, 1, 0, bytes.Repeat(zstdBomb(7), 100)),
	} {
		refusedBy := allocating(t, func() { refused(t, name, raw, ErrLimit) })
		if refusedBy > 3*(8<<20) { // three decodings
			t.Errorf("%s: %d MiB were allocated", name, refusedBy>>20)
		}
	}
}

// zstdBomb is a frame of n blocks that each say 128 KiB in 4 bytes, without a
// content size.
func zstdBomb(n int) []byte {
	p := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x38}
	for i := range n {
		head := zstdBlockMax<<3 | 1<<1
		if i == n-1 {
			head |= 1
		}
		p = append(p, byte(head), byte(head>>8), byte(head>>16), 0)
	}
	return p
}

// The exact limit: a decoder must take what is as large as allowed.
func TestMaxDecompressedIsInclusive(t *testing.T) {
	var b Builder
	for _, r := range sample(0, 3000) {
		b.Append(&r)
	}
	size := len(b.records)
	for _, codec := range codecs[1:] {
		raw, err := b.Finish(codec)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tryRead(NewDecoder(Limits{MaxDecompressed: size}), next(t, raw)); err != nil {
			t.Error(codec, err)
		}
		if _, err := tryRead(NewDecoder(Limits{MaxDecompressed: size - 1}), next(t, raw)); !errors.Is(err, ErrLimit) {
			t.Error(codec, err)
		}
	}
}

// A frame's window is how far it may look back, not how much it holds. Streams,
// as the Java client writes them, have a window larger than most batches.
func TestWindowLargerThanTheLimit(t *testing.T) {
	recs := sample(0, 100)
	plain := build(t, recs, None)
	var frame bytes.Buffer
	w, err := zstd.NewWriter(&frame, zstd.WithWindowSize(8<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range plain[HeaderSize:] {
		w.Write([]byte{c})
		if c == 'x' {
			w.Flush() // many blocks, so that their bound is over the limit
		}
	}
	w.Close()
	raw := payload(Zstd, 100, 99, frame.Bytes())
	h := parseHeader(plain)
	h.Attributes = int16(Zstd)
	Seal(raw, h)
	for _, limit := range []int{len(plain) - HeaderSize, 1 << 20, 1 << 30} {
		if diff := diffRecords(recs, read(t, NewDecoder(Limits{MaxDecompressed: limit}), next(t, raw))); diff != "" {
			t.Error(limit, diff)
		}
	}
	if _, err := tryRead(NewDecoder(Limits{MaxDecompressed: len(plain) - HeaderSize - 1}), next(t, raw)); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
}
