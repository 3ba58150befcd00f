package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"testing"
)

var oldCodecs = []Codec{Gzip, Snappy, LZ4}

func TestOldMessages(t *testing.T) {
	d := NewDecoder(Limits{})
	for magic := range byte(2) {
		for _, want := range oldSample(magic, 700, 12) {
			raw := oldMessage(magic, 0, want.Offset, want.Timestamp, want.Key, want.Value)
			b := next(t, raw)
			if b.CheckCRC() != nil || b.Magic != int8(magic) || b.BaseOffset != want.Offset || b.NextOffset() != want.Offset+1 || b.Count != 1 ||
				b.MaxTimestamp != want.Timestamp || b.ProducerID != -1 || b.Size() != len(raw) || b.Codec() != None || b.Payload() != nil {
				t.Errorf("%v %+v", b.CheckCRC(), b.Header)
			}
			if diff := diffRecords([]Record{want}, read(t, d, b)); diff != "" {
				t.Error(diff)
			}
			raw[len(raw)-1] ^= 1
			if err := b.CheckCRC(); !errors.Is(err, ErrChecksum) {
				t.Error("damage not found:", err)
			}
		}
	}
}

func TestOldWrappers(t *testing.T) {
	d := NewDecoder(Limits{})
	for magic := range byte(2) {
		for _, codec := range oldCodecs {
			all := oldSample(magic, 700, 40)
			for name, want := range map[string][]Record{"full": all, "compacted": append(all[3:9:9], all[20], all[39]), "single": all[5:6]} {
				raw := oldWrapper(t, magic, codec, want)
				b := next(t, raw)
				last := want[len(want)-1].Offset
				if b.BaseOffset != want[0].Offset || b.LastOffset() != last || int(b.Count) != len(want) || b.Codec() != codec || b.CheckCRC() != nil {
					t.Errorf("%s: %v %+v", name, b.CheckCRC(), b.Header)
				}
				if diff := diffRecords(want, read(t, d, b)); diff != "" {
					t.Error(magic, codec, name, diff)
				}
				runs, err := d.Recode(b, want[0].Offset+1, RecodeOptions{})
				if err != nil {
					t.Fatal(magic, codec, name, err)
				}
				if diff := diffRecords(want[1:], readRuns(t, runs, 0)); diff != "" {
					t.Error(magic, codec, name, diff)
				}
			}
		}
	}
}

// KAFKA-3160: the first Java clients computed the frame header's checksum from
// the wrong place, so no check of it may refuse magic 0.
func TestOldLZ4HeaderChecksum(t *testing.T) {
	recs := oldSample(0, 0, 10)
	raw := oldWrapper(t, 0, LZ4, recs)
	if at := bytes.Index(raw, lz4Head[:6]); at < 0 || raw[at+6] == lz4Head[6] {
		t.Fatal("the fixture has a sound header checksum")
	}
	if diff := diffRecords(recs, read(t, NewDecoder(Limits{}), next(t, raw))); diff != "" {
		t.Error(diff)
	}
}

func TestOldLogAppendTime(t *testing.T) {
	recs := oldSample(1, 20, 5)
	raw := oldWrapper(t, 1, Gzip, recs)
	raw[atLegacyAttributes] |= attrLogAppendTime
	binary.BigEndian.PutUint64(raw[atLegacyTimestamp:], 1_900_000_000_000)
	binary.BigEndian.PutUint32(raw[atLegacyCRC:], crc32.ChecksumIEEE(raw[atMagic:]))
	b := next(t, raw)
	if !b.LogAppendTime() || b.MaxTimestamp != 1_900_000_000_000 || b.CheckCRC() != nil {
		t.Errorf("%v %+v", b.CheckCRC(), b.Header)
	}
	for i := range recs {
		recs[i].Timestamp = 1_900_000_000_000
	}
	if diff := diffRecords(recs, read(t, NewDecoder(Limits{}), b)); diff != "" {
		t.Error(diff)
	}
}

// Bits that mean something in magic 2 mean nothing here.
func TestOldAttributes(t *testing.T) {
	for magic, want := range map[byte]int16{0: 0, 1: attrLogAppendTime} {
		b := next(t, oldMessage(magic, 0xf8, 3, 4, nil, []byte("v")))
		if b.Attributes != want {
			t.Errorf("magic %d: attributes %#x", magic, b.Attributes)
		}
	}
}

func TestOldCorrupt(t *testing.T) {
	value := func(codec Codec, inner ...[]byte) []byte {
		v, err := compress(codec, nil, bytes.Join(inner, nil))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	msg := func(magic byte, offset int64) []byte { return oldMessage(magic, 0, offset, 1, nil, []byte("v")) }
	edit := func(raw []byte, at int, word uint32) []byte {
		binary.BigEndian.PutUint32(raw[at:], word)
		return raw
	}
	inner := oldMessage(1, 0, 0, 1, nil, []byte("v"))
	inner[len(inner)-1] ^= 1
	const keyAt0, keyAt1 = 18, 26
	for name, raw := range map[string][]byte{
		"the largest offset there is":    msg(1, math.MaxInt64),
		"key length -2":                  edit(msg(1, 5), keyAt1, 1<<32-2),
		"key longer than the message":    edit(msg(0, 5), keyAt0, 100),
		"key length 2^31-1":              edit(msg(0, 5), keyAt0, 1<<31-1),
		"value length -2":                edit(msg(1, 5), keyAt1+4, 1<<32-2),
		"bytes behind the value":         edit(msg(1, 5), keyAt1+4, 0),
		"zstd in magic 1":                oldMessage(1, byte(Zstd), 5, 1, nil, value(Zstd, msg(1, 0))),
		"codec 7":                        oldMessage(0, 7, 5, 1, nil, []byte("v")),
		"wrapper with null value":        oldMessage(1, byte(Gzip), 5, 1, nil, nil),
		"wrapper with empty value":       oldMessage(1, byte(LZ4), 5, 1, nil, []byte{}),
		"wrapper of nothing":             oldMessage(1, byte(Gzip), 5, 1, nil, value(Gzip)),
		"wrapper of noise":               oldMessage(1, byte(Snappy), 5, 1, nil, value(Snappy, []byte("a text that is long enough for a message"))),
		"inner message cut short":        oldMessage(1, byte(Gzip), 5, 1, nil, value(Gzip, msg(1, 0), msg(1, 1)[:20])),
		"inner message compressed":       oldMessage(1, byte(Gzip), 5, 1, nil, value(Gzip, oldMessage(1, byte(Gzip), 0, 1, nil, value(Gzip, msg(1, 0))))),
		"inner message of magic 2":       oldMessage(1, byte(Gzip), 5, 1, nil, value(Gzip, oldMessage(2, 0, 0, 1, nil, nil))),
		"inner offset negative":          oldMessage(1, byte(Gzip), 5, 1, nil, value(Gzip, msg(1, -1))),
		"inner offsets stand still":      oldMessage(1, byte(Gzip), 5, 1, nil, value(Gzip, msg(1, 1), msg(1, 1))),
		"inner offsets fall":             oldMessage(0, byte(Gzip), 5, 1, nil, value(Gzip, msg(0, 5), msg(0, 4))),
		"magic 1 inner beyond the outer": oldMessage(1, byte(Gzip), 5, 1, nil, value(Gzip, msg(1, 6))),
		"magic 0 inner beyond the outer": oldMessage(0, byte(Gzip), 5, 1, nil, value(Gzip, msg(0, 6))),
		"inner offsets too far apart":    oldMessage(0, byte(Gzip), 1<<40, 1, nil, value(Gzip, msg(0, 5), msg(0, 1<<40))),
	} {
		if _, rest, err := Next(raw); !errors.Is(err, ErrCorrupt) || len(rest) != len(raw) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := next(t, oldMessage(1, byte(Gzip), 5, 1, nil, value(Gzip, inner)))
	if _, err := tryRead(NewDecoder(Limits{}), b); !errors.Is(err, ErrCorrupt) {
		t.Error("inner checksum:", err)
	}
}

// A magic 0 wrapper whose last message the cleaner dropped would keep its outer
// offset: the batch still reaches up to there.
func TestOldWrapperKeepsItsLastOffset(t *testing.T) {
	inner, err := compress(Gzip, nil, oldMessage(0, 0, 100, 0, nil, []byte("v")))
	if err != nil {
		t.Fatal(err)
	}
	b := next(t, oldMessage(0, byte(Gzip), 105, 0, nil, inner))
	if b.BaseOffset != 100 || b.LastOffset() != 105 || b.Count != 1 || b.Contiguous() {
		t.Errorf("%+v", b.Header)
	}
}
