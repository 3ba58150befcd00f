package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"
)

// Bytes from the wire may be anything. No target may panic, hang or allocate
// past these limits; what is taken must be consistent.
var fuzzLimits = Limits{MaxDecompressed: 1 << 20, MaxRecords: 1 << 14, MaxHeaders: 1 << 10}

// seeds are batches of every format and codec, and a log of several.
func seeds(f *testing.F) [][]byte {
	var all [][]byte
	for _, codec := range codecs {
		all = append(all, build(f, sample(70, 6), codec), writeByKgo(f, sample(70, 6), codec))
		_, holed := compacted(f, sample(70, 9), codec, func(i int) bool { return i%4 != 1 })
		all = append(all, holed)
	}
	all = append(all, Filler(70), KeyedFiller(200, 5), controlBatch(f, []byte{0, 0, 0, 1}), controlBatch(f, nil))
	return append(all, bytes.Join(all[:3], nil))
}

func oldSeeds(f *testing.F) [][]byte {
	var all [][]byte
	for magic := range byte(2) {
		r := oldSample(magic, 70, 8)
		all = append(all, oldMessage(magic, 0, 70, 5, r[1].Key, r[2].Value))
		for _, codec := range oldCodecs {
			all = append(all, oldWrapper(f, magic, codec, r))
		}
	}
	return all
}

func FuzzNext(f *testing.F) {
	for _, raw := range append(seeds(f), oldSeeds(f)...) {
		f.Add(raw)
		f.Add(raw[:len(raw)-1])
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for rest := in; ; {
			b, after, err := Next(rest)
			if err != nil {
				if errors.Is(err, ErrPartial) == errors.Is(err, ErrCorrupt) || len(after) != len(rest) || b.Raw != nil {
					t.Fatalf("%v, %d of %d bytes left", err, len(after), len(rest))
				}
				return
			}
			if b.Size() != len(b.Raw) || WireSize(rest) != b.Size() || len(b.Raw)+len(after) != len(rest) || b.Count < 0 || b.BaseOffset < 0 ||
				b.LastOffset() < b.BaseOffset || b.NextOffset() <= b.LastOffset() || int64(b.Count) > b.NextOffset()-b.BaseOffset {
				t.Fatalf("taken: %+v", b.Header)
			}
			Passable(&b.Header, b.BaseOffset, 0)
			_, _ = b.ControlType()
			rest = after
		}
	})
}

func FuzzRecords(f *testing.F) {
	for _, raw := range seeds(f) {
		f.Add(raw[:HeaderSize], raw[HeaderSize:], int8(0))
	}
	for _, codec := range codecs[1:] { // records to change before compression
		raw := build(f, sample(70, 6), None)
		f.Add(raw[:HeaderSize], raw[HeaderSize:], int8(codec))
	}
	d := NewDecoder(fuzzLimits)
	f.Fuzz(func(t *testing.T, head, payload []byte, codec int8) {
		raw := joined(head, payload)
		if c := Codec(codec); c.Known() && c != None {
			raw = joined(head, pack(t, c, payload))
			raw[atAttributes+1] = raw[atAttributes+1]&^attrCodec | byte(c)
		}
		b, _, err := Next(raw)
		if err != nil || b.Magic != 2 {
			return
		}
		checkRecords(t, d, &b)
	})
}

// joined makes one batch of a head and a payload, so that the fuzzer need not
// find the length.
func joined(head, payload []byte) []byte {
	raw := append(append(make([]byte, 0, HeaderSize+len(payload)), head...), make([]byte, max(0, HeaderSize-len(head)))...)[:HeaderSize]
	raw = append(raw, payload...)
	Seal(raw, parseHeader(raw))
	return raw
}

// checkRecords reads b twice and holds the answers to each other and to the head.
func checkRecords(t *testing.T, d *Decoder, b *Batch) {
	last, count := b.BaseOffset-1, int32(0)
	err := d.Records(b, func(r *Record) error {
		if r.Offset <= last || r.Offset > b.LastOffset() {
			t.Fatalf("offset %d after %d, the last is %d", r.Offset, last, b.LastOffset())
		}
		last = r.Offset
		count++
		return nil
	})
	if err == nil && count != b.Count {
		t.Fatalf("%d records of %d", count, b.Count)
	}
	if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrControl) {
		t.Fatalf("an error of no kind: %v", err)
	}
	if _, again := tryRead(d, b); (again == nil) != (err == nil) {
		t.Fatalf("%v, then %v", err, again)
	}
}

func FuzzRewrite(f *testing.F) {
	for _, raw := range seeds(f) {
		f.Add(raw, int64(5), int16(1), int32(77), false)
	}
	f.Fuzz(func(t *testing.T, raw []byte, id int64, epoch int16, sequence int32, transactional bool) {
		raw = bytes.Clone(raw)
		if len(raw) >= HeaderSize {
			Seal(raw, parseHeader(raw))
		}
		before := bytes.Clone(raw)
		if err := Rewrite(raw, Producer{id, epoch, sequence, transactional}); err != nil {
			if !bytes.Equal(raw, before) {
				t.Fatal("refused and changed")
			}
			return
		}
		h := parseHeader(raw)
		if sum := crc32.Checksum(raw[atAttributes:], castagnoli); h.CRC != sum {
			t.Fatalf("checksum %08x, want %08x", h.CRC, sum)
		}
		if reason := Passable(&h, 0, 0); reason != ReasonNone {
			t.Fatalf("rewritten and not passable: %s", reason)
		}
		if !bytes.Equal(raw[HeaderSize:], before[HeaderSize:]) {
			t.Fatal("the payload was touched")
		}
	})
}

func FuzzRecode(f *testing.F) {
	for _, raw := range seeds(f) {
		f.Add(raw[:HeaderSize], raw[HeaderSize:], int64(71), 400, int8(-1))
		f.Add(raw[:HeaderSize], raw[HeaderSize:], int64(0), 0, int8(LZ4))
	}
	d, check := NewDecoder(fuzzLimits), NewDecoder(fuzzLimits)
	f.Fuzz(func(t *testing.T, head, payload []byte, from int64, maxBytes int, codec int8) {
		b, _, err := Next(joined(head, payload))
		if err != nil || b.Magic != 2 {
			return
		}
		o := RecodeOptions{MaxBytes: maxBytes}
		if c := Codec(codec); c.Known() {
			o.Codec = &c
		}
		checkRecode(t, d, check, &b, from, o)
	})
}

// checkRecode holds Recode to Records.
func checkRecode(t *testing.T, d, check *Decoder, b *Batch, from int64, o RecodeOptions) {
	want, wantErr := tryRead(check, b)
	runs, err := d.Recode(b, from, o)
	if err != nil {
		if wantErr == nil && !errors.Is(err, ErrTooLarge) {
			t.Fatalf("readable but not recodable: %v", err)
		}
		return
	}
	if wantErr != nil {
		t.Fatalf("recoded what cannot be read: %v", wantErr)
	}
	for len(want) > 0 && want[0].Offset < from {
		want = want[1:]
	}
	for _, run := range runs {
		out, rest, err := Next(run.Raw)
		if err != nil || len(rest) > 0 || out.CheckCRC() != nil || Passable(&out.Header, 0, max(0, o.MaxBytes)) != ReasonNone || out.Count != run.Count {
			t.Fatalf("%v, %d bytes rest, %s, %+v", err, len(rest), Passable(&out.Header, 0, o.MaxBytes), out.Header)
		}
		got, err := tryRead(check, &out)
		if err != nil || len(got) > len(want) {
			t.Fatalf("%d records of %d: %v", len(got), len(want), err)
		}
		for i := range got {
			got[i].Offset += run.Base
			if !same(&got[i], &want[i]) {
				t.Fatalf("record %+v became %+v", want[i], got[i])
			}
		}
		want = want[len(got):]
	}
	if len(want) > 0 {
		t.Fatalf("%d records are missing", len(want))
	}
}

// wrapped makes a wrapper of messages, with their checksums set right as far as
// they can be found.
func wrapped(t *testing.T, inner []byte, magic byte, codec Codec, offset int64) []byte {
	inner = bytes.Clone(inner)
	var m message
	for i := 0; i < len(inner) && parseMessage(inner, i, &m) == ""; i = m.end {
		binary.BigEndian.PutUint32(inner[i+atLegacyCRC:], crc32.ChecksumIEEE(inner[i+atMagic:m.end]))
	}
	return oldMessage(magic, byte(codec), offset, 5, nil, pack(t, codec, inner))
}

func FuzzLegacy(f *testing.F) {
	for _, raw := range oldSeeds(f) {
		f.Add(raw, int64(0), 0, int8(0), int64(0))
		f.Add(raw, int64(72), 100, int8(0), int64(0))
	}
	// What is inside a wrapper, for the fuzzer to change before compression.
	for magic := range byte(2) {
		var inner []byte
		for _, r := range oldSample(magic, int64(70*(1-magic)), 4) {
			inner = append(inner, oldMessage(magic, 0, r.Offset, r.Timestamp, r.Key, r.Value)...)
		}
		for _, codec := range oldCodecs {
			f.Add(inner, int64(71), 0, int8(codec)<<1|int8(magic), int64(75))
		}
	}
	d, check := NewDecoder(fuzzLimits), NewDecoder(fuzzLimits)
	f.Fuzz(func(t *testing.T, raw []byte, from int64, maxBytes int, wrap int8, offset int64) {
		if codec := Codec(wrap >> 1); codec.Known() && codec != None {
			raw = wrapped(t, raw, byte(wrap&1), codec, offset)
		}
		b, _, err := Next(raw)
		if err != nil || b.Magic == 2 {
			return
		}
		checkRecords(t, d, &b)
		checkRecode(t, d, check, &b, from, RecodeOptions{MaxBytes: maxBytes})
	})
}
