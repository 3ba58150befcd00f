package batch

import (
	"errors"
	"testing"
)

func TestBuildThenRead(t *testing.T) {
	want := sample(1000, 500)
	d := NewDecoder(Limits{})
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			b := next(t, build(t, want, codec))
			if err := b.CheckCRC(); err != nil {
				t.Error(err)
			}
			if b.Codec() != codec || b.Count != 500 || b.BaseOffset != 1000 || b.NextOffset() != 1500 || b.Size() != len(b.Raw) {
				t.Errorf("header %+v", b.Header)
			}
			if b.BaseTimestamp != want[0].Timestamp || b.MaxTimestamp != 1_700_000_000_000+6000-6 {
				t.Errorf("timestamps %d %d", b.BaseTimestamp, b.MaxTimestamp)
			}
			if diff := diffRecords(want, read(t, d, b)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBuilderSizeIsExactUncompressed(t *testing.T) {
	var b Builder
	for i, r := range sample(5, 200) {
		if err := b.Append(&r); err != nil {
			t.Fatal(err)
		}
		raw, err := b.Finish(None)
		if err != nil || len(raw) != b.Size() || cap(raw) != len(raw) || b.Len() != i+1 || b.Base() != 5 {
			t.Fatalf("record %d: %d bytes, Size %d, %v", i, len(raw), b.Size(), err)
		}
	}
}

func TestBuilderRefusesHoles(t *testing.T) {
	var b Builder
	for _, offset := range []int64{10, 11} {
		if err := b.Append(&Record{Offset: offset}); err != nil {
			t.Fatal(err)
		}
	}
	size := b.Size()
	for _, offset := range []int64{13, 11, 9, -1} {
		if err := b.Append(&Record{Offset: offset}); err == nil {
			t.Errorf("offset %d was taken after 11", offset)
		}
	}
	if b.Size() != size || b.Len() != 2 {
		t.Error("a refused record left something behind")
	}
	b.Reset()
	if _, err := b.Finish(None); err == nil {
		t.Error("an empty batch was finished")
	}
	if err := b.Append(&Record{Offset: 99}); err != nil || b.Base() != 99 {
		t.Error("a reset builder does not begin anew:", err)
	}
	if _, err := b.Finish(Codec(5)); err == nil {
		t.Error("codec 5 was written")
	}
}

func TestBuilderRefusesAGibibyte(t *testing.T) {
	var b Builder
	if err := b.Append(&Record{}); err != nil {
		t.Fatal(err)
	}
	room := maxBuild - b.Size()
	if err := b.open(1, 0, room-20); err != nil { // a head takes at most 21 bytes
		t.Error(err)
	}
	if err := b.open(1, 0, room+1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("more than 1 GiB in one batch: %v", err)
	}
}

func TestMerge(t *testing.T) {
	all := sample(0, 90)
	d := NewDecoder(Limits{})
	var into Builder
	for i, codec := range codecs { // 5 batches of 18, the first two records not wanted
		b := next(t, build(t, all[18*i:18*i+18], codec))
		if err := d.Merge(&into, b, 2); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := into.Finish(LZ4)
	if err != nil {
		t.Fatal(err)
	}
	place(raw, into.Base())
	if diff := diffRecords(all[2:], read(t, d, next(t, raw))); diff != "" {
		t.Error(diff)
	}

	size := into.Size()
	_, holed := compacted(t, sample(90, 10), None, func(i int) bool { return i != 5 })
	for name, raw := range map[string][]byte{
		"a batch with a hole": holed,
		"a batch behind":      build(t, sample(80, 5), None),
		"a batch ahead":       build(t, sample(91, 5), None),
	} {
		if err := d.Merge(&into, next(t, raw), 0); err == nil {
			t.Error(name, "was merged")
		}
		if into.Size() != size || into.Len() != 88 {
			t.Error(name, "left something behind")
		}
	}
}
