package batch

import (
	"testing"

	"github.com/klauspost/compress/zstd"
)

func TestFiller(t *testing.T) {
	d := NewDecoder(Limits{})
	for _, n := range []int{1, 2, 63, 64, 65, 127, 128, 129, 8191, 8192, 8193, 8256, 8257, 16383, 16384, 16385, 16386, 24576, 24577, 100_003, MaxFiller} {
		for name, raw := range map[string][]byte{"plain": Filler(n), "keyed": KeyedFiller(n, 1234)} {
			if err := Rewrite(raw, Producer{ID: 1}); err != nil {
				t.Fatal(err)
			}
			b := next(t, raw)
			if err := b.CheckCRC(); err != nil || int(b.Count) != n || !b.Contiguous() || !IsFiller(b) || b.Codec() != Zstd {
				t.Errorf("%s %d: %v %+v", name, n, err, b.Header)
			}
			i := int64(0)
			err := d.Records(b, func(r *Record) error {
				key, timestamp := r.Key != nil, r.Timestamp
				if r.Offset != i || key != (name == "keyed" || i == 0) || (key && string(r.Key) != FillerKey) || r.Value != nil || r.Headers != nil ||
					(name == "keyed" && timestamp != 1234) || (name == "plain" && timestamp != NoTimestamp) {
					t.Fatalf("%s %d: record %d is %+v", name, n, i, r)
				}
				i++
				return nil
			})
			if err != nil || i != int64(n) {
				t.Errorf("%s %d: %d records, %v", name, n, i, err)
			}
		}
	}
	for _, n := range []int{-1, 0, MaxFiller + 1} {
		if Filler(n) != nil || KeyedFiller(n, 0) != nil {
			t.Errorf("a filler of %d records", n)
		}
	}
}

// The size is what makes seeding cheap; a change of layout that loses it would
// otherwise go unnoticed.
func TestFillerIsTiny(t *testing.T) {
	for n, most := range map[int]int{1: 100, 1000: 1300, MaxFiller: 6800} {
		if got := len(Filler(n)); got > most {
			t.Errorf("%d records take %d bytes, want at most %d", n, got, most)
		}
	}
	if got := len(KeyedFiller(MaxFiller, 0)); got > 11000 {
		t.Errorf("a keyed filler takes %d bytes", got)
	}
}

// A decoder that cannot see the whole frame at once must be able to read it: the
// window is what a broker sets memory aside for.
func TestFillerReadsAsAStream(t *testing.T) {
	raw := KeyedFiller(MaxFiller, 0)
	var head zstd.Header
	if err := head.Decode(raw[HeaderSize:]); err != nil || head.WindowSize > 256<<10 || head.SingleSegment {
		t.Fatalf("%v %+v", err, head)
	}
	d := NewDecoder(Limits{MaxDecompressed: 22 << 20}) // below the bound by blocks: the slower reader
	b := next(t, raw)
	if err := d.Records(b, func(*Record) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestFillerWithin(t *testing.T) {
	for _, c := range []struct{ n, maxBytes, want int }{
		{5000, 1 << 20, 5000},
		{3 * MaxFiller, 1 << 20, MaxFiller},
		{1 << 14, 1 << 10, 64},
		{1 << 14, 3 << 10, 8192},
		{1, 93, 0},
		{0, 1 << 20, 0},
	} {
		raw, n := FillerWithin(c.n, c.maxBytes)
		if n != c.want || len(raw) > c.maxBytes || (n > 0 && int(next(t, raw).Count) != n) {
			t.Errorf("FillerWithin(%d, %d): %d records, %d bytes, want %d records", c.n, c.maxBytes, n, len(raw), c.want)
		}
	}
}

func TestIsFillerOnOthers(t *testing.T) {
	recs := sample(0, 4)
	recs[1].Key = []byte(FillerKey)
	marker := next(t, controlBatch(t, []byte{0, 0, 0, 1}))
	_, emptied := compacted(t, recs, None, func(int) bool { return false })
	for name, b := range map[string]*Batch{
		"data":           next(t, build(t, recs, Gzip)),
		"marker":         marker,
		"emptied":        next(t, emptied),
		"message":        next(t, oldMessage(1, 0, 5, 5, []byte(FillerKey), nil)),
		"nothing at all": {},
	} {
		if IsFiller(b) {
			t.Error(name, "was taken for a filler")
		}
	}
}
