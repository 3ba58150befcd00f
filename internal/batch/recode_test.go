package batch

import (
	"errors"
	"math/rand/v2"
	"testing"
)

// readRuns checks that every run is what a broker takes, and returns the records
// at their source offsets.
func readRuns(t testing.TB, runs []Run, maxBytes int) (recs []Record) {
	t.Helper()
	d := NewDecoder(Limits{})
	for i, run := range runs {
		b := next(t, run.Raw)
		if reason := Passable(&b.Header, 0, maxBytes); reason != ReasonNone || b.CheckCRC() != nil || b.Count != run.Count {
			t.Errorf("run %d: %s, %v, count %d, %+v", i, reason, b.CheckCRC(), run.Count, b.Header)
		}
		newest := b.BaseTimestamp
		for _, r := range read(t, d, b) {
			newest = max(newest, r.Timestamp)
			r.Offset += run.Base
			recs = append(recs, r)
		}
		if b.MaxTimestamp != newest {
			t.Errorf("run %d: max timestamp %d, the records say %d", i, b.MaxTimestamp, newest)
		}
	}
	return recs
}

func TestRecodeSplitsAtHolesAndSize(t *testing.T) {
	d := NewDecoder(Limits{})
	all := sample(50, 300)
	for _, codec := range codecs {
		kept, raw := compacted(t, all, codec, func(i int) bool { return i%10 != 4 && i != 5 })
		for _, limit := range []int{0, 400} {
			runs, err := d.Recode(next(t, raw), 61, RecodeOptions{MaxBytes: limit})
			if err != nil {
				t.Fatal(codec, err)
			}
			if limit == 0 && len(runs) != 30 {
				t.Errorf("%s: %d runs, want 30", codec, len(runs))
			}
			if diff := diffRecords(kept[9:], readRuns(t, runs, limit)); diff != "" {
				t.Error(codec, limit, diff)
			}
			for _, run := range runs {
				if limit == 0 && next(t, run.Raw).Codec() != codec {
					t.Errorf("%s became %s", codec, next(t, run.Raw).Codec())
				}
			}
		}
	}
}

func TestRecodeChangesCodec(t *testing.T) {
	want := sample(3, 40)
	for _, from := range codecs {
		for _, to := range codecs {
			runs, err := NewDecoder(Limits{}).Recode(next(t, build(t, want, from)), 0, RecodeOptions{Codec: &to})
			if err != nil || len(runs) != 1 || next(t, runs[0].Raw).Codec() != to {
				t.Fatalf("%s to %s: %v", from, to, err)
			}
			if diff := diffRecords(want, readRuns(t, runs, 0)); diff != "" {
				t.Error(from, to, diff)
			}
		}
	}
}

func TestRecodeLogAppendTime(t *testing.T) {
	recs := sample(8, 10)
	raw := build(t, recs, Snappy)
	h := parseHeader(raw)
	h.Attributes |= attrLogAppendTime
	h.MaxTimestamp = 1_800_000_000_000
	Seal(raw, h)
	runs, err := NewDecoder(Limits{}).Recode(next(t, raw), 0, RecodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range recs {
		recs[i].Timestamp = h.MaxTimestamp
	}
	if diff := diffRecords(recs, readRuns(t, runs, 0)); diff != "" {
		t.Error(diff)
	}
}

func TestRecodeFrom(t *testing.T) {
	raw := build(t, sample(100, 10), Zstd)
	for from, want := range map[int64]int{-5: 10, 100: 10, 101: 9, 109: 1, 110: 0, 1 << 60: 0} {
		runs, err := NewDecoder(Limits{}).Recode(next(t, raw), from, RecodeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		recs := readRuns(t, runs, 0)
		if len(recs) != want || (want > 0 && recs[0].Offset != max(from, 100)) {
			t.Errorf("from %d: %d records", from, len(recs))
		}
		if want == 0 && len(runs) != 0 {
			t.Errorf("from %d: a run without records", from)
		}
	}
}

func TestRecodeAtTheLimit(t *testing.T) {
	noise := make([]byte, 5000)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(noise)
	for _, codec := range codecs {
		var one Builder
		one.Append(&Record{Offset: 9, Value: noise})
		exact, err := one.Finish(None) // nothing is smaller than noise as it is
		if err != nil {
			t.Fatal(err)
		}
		raw, err := one.Finish(codec)
		if err != nil {
			t.Fatal(err)
		}
		place(raw, 9)
		d := NewDecoder(Limits{})
		for _, limit := range []int{len(exact) + 1, len(exact)} {
			runs, err := d.Recode(next(t, raw), 0, RecodeOptions{MaxBytes: limit})
			if err != nil || len(readRuns(t, runs, limit)) != 1 {
				t.Errorf("%s: limit %d, batch of %d: %v", codec, limit, len(exact), err)
			}
		}
		_, err = d.Recode(next(t, raw), 0, RecodeOptions{MaxBytes: len(exact) - 1})
		var large *TooLargeError
		if !errors.As(err, &large) || !errors.Is(err, ErrTooLarge) || errors.Is(err, ErrCorrupt) || large.Offset != 9 || large.Size != len(exact) || large.Max != len(exact)-1 {
			t.Errorf("%s: one byte too many: %v", codec, err)
		}
	}
}

// What is too large compressed and larger still plain is named by the smaller.
func TestRecodeTooLargeNamesTheSmallestSize(t *testing.T) {
	raw := build(t, []Record{{Offset: 9, Value: make([]byte, 5000)}}, Zstd)
	_, err := NewDecoder(Limits{}).Recode(next(t, raw), 0, RecodeOptions{MaxBytes: len(raw) - 1})
	var large *TooLargeError
	if !errors.As(err, &large) || large.Size != len(raw) || large.Offset != 9 {
		t.Error(err)
	}
	if runs, err := NewDecoder(Limits{}).Recode(next(t, raw), 0, RecodeOptions{MaxBytes: len(raw)}); err != nil || len(runs) != 1 {
		t.Error(err)
	}
}

// One huge record among small ones must not stop the small ones from fitting,
// wherever it stands.
func TestRecodeUnevenRecords(t *testing.T) {
	noise := make([]byte, 3000)
	rand.NewChaCha8([32]byte{2}).Read(noise)
	for huge := range 5 {
		recs := sample(0, 5)
		for i := range recs {
			recs[i].Value = noise[:100]
		}
		recs[huge].Value = noise
		for _, codec := range codecs {
			runs, err := NewDecoder(Limits{}).Recode(next(t, build(t, recs, codec)), 0, RecodeOptions{MaxBytes: 3200})
			if err != nil {
				t.Fatal(codec, huge, err)
			}
			if diff := diffRecords(recs, readRuns(t, runs, 3200)); diff != "" {
				t.Error(codec, huge, diff)
			}
		}
	}
}
