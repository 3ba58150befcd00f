package batch

import (
	"encoding/binary"
	"errors"
	"testing"
)

// controlBatch writes a batch as a coordinator does. key nil leaves the record
// out, as the cleaner does.
func controlBatch(t testing.TB, key []byte) []byte {
	h := Header{BaseOffset: 42, Attributes: attrControl | attrTransactional, ProducerID: 7, BaseSequence: -1}
	var recs []placed
	if key != nil {
		h.Count = 1
		recs = []placed{{0, Record{Key: key, Value: []byte{0, 0, 0, 0, 0, 9}}}}
	}
	return encode(t, h, recs)
}

func TestControlType(t *testing.T) {
	for name, c := range map[string]struct {
		key  []byte
		want ControlType
		bad  bool
	}{
		"abort":                      {[]byte{0, 0, 0, 0}, Abort, false},
		"commit":                     {[]byte{0, 0, 0, 1}, Commit, false},
		"version 1 commit":           {[]byte{0, 1, 0, 1}, Commit, false},
		"longer key of a later time": {[]byte{0, 2, 0, 0, 9, 9}, Abort, false},
		"leader change":              {[]byte{0, 0, 0, 2}, 2, false},
		"unknown":                    {[]byte{0, 0, 0x12, 0x34}, 0x1234, false},
		"emptied by the cleaner":     {nil, Emptied, false},
		"negative version":           {[]byte{0xff, 0xff, 0, 1}, Emptied, true},
		"key cut short":              {[]byte{0, 0, 0}, Emptied, true},
		"empty key":                  {[]byte{}, Emptied, true},
	} {
		b := next(t, controlBatch(t, c.key))
		got, err := b.ControlType()
		if got != c.want || (err != nil) != c.bad || (c.bad && !errors.Is(err, ErrCorrupt)) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		if c.want >= 0 && c.want < 2 && got.String() != map[ControlType]string{Abort: "abort", Commit: "commit"}[c.want] {
			t.Errorf("%s is called %s", name, got)
		}
	}
}

func TestControlBatchesHoldNoRecords(t *testing.T) {
	b := next(t, controlBatch(t, []byte{0, 0, 0, 1}))
	d := NewDecoder(Limits{})
	if err := d.Records(b, func(*Record) error { t.Error("a record"); return nil }); !errors.Is(err, ErrControl) {
		t.Error(err)
	}
	if _, err := d.Recode(b, 0, RecodeOptions{}); !errors.Is(err, ErrControl) {
		t.Error(err)
	}
	var into Builder
	if err := d.Merge(&into, b, 0); !errors.Is(err, ErrControl) {
		t.Error(err)
	}
}

func TestControlTypeOfData(t *testing.T) {
	for _, raw := range [][]byte{build(t, sample(1, 1), None), oldMessage(1, attrControl, 1, 1, []byte{0, 0, 0, 1}, nil)} {
		if _, err := next(t, raw).ControlType(); err == nil {
			t.Error("data was read as a marker")
		}
	}
}

func TestControlTypeCompressed(t *testing.T) {
	raw := encode(t, Header{Attributes: attrControl | int16(Gzip), Count: 1}, []placed{{0, Record{Key: binary.BigEndian.AppendUint32(nil, 1)}}})
	if got, err := next(t, raw).ControlType(); got != Commit || err != nil {
		t.Error(got, err)
	}
}
