package verify

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/shift"
	"github.com/kferry/kferry/internal/verify/digest"
)

// at makes every partition shifted by m.
func at(m shift.Map) func(*Options) {
	return func(o *Options) {
		o.Shifts = func(estate.TopicPartition, estate.TopicID, estate.TopicID) (shift.Map, error) { return m, nil }
	}
}

// shiftedWorld is topic orders with 100 records on the source, of which 40 to 99 are left, and on the target from 0.
func shiftedWorld(t *testing.T, change func(*kgo.Record)) *world {
	w := fakeWorld(t)
	w.create("orders", 1, nil)
	records := kvs("orders", 0, 0, 100)
	w.produce(w.plain[source], records...)
	w.deleteBefore(source, "orders", 0, 40)
	w.writeFrom(40, 100, change)
	return w
}

// writeFrom writes the source's records [from, to) to the target's end.
func (w *world) writeFrom(from, to int64, change func(*kgo.Record)) {
	var copies []*kgo.Record
	for _, r := range w.visible(source, "orders", 0) {
		if r.Offset < from || r.Offset >= to {
			continue
		}
		c := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp, Offset: r.Offset}
		if change != nil {
			change(c)
		}
		copies = append(copies, c)
	}
	w.produce(w.plain[target], copies...)
}

func TestShiftedEqual(t *testing.T) {
	w := shiftedWorld(t, nil)
	res := w.run("orders", at(shift.Begin(40)))
	wantEqual(t, res, 60)
	if l := res.PerTopic[0]; l.Mode != "shifted" || l.Shift != "40" {
		t.Errorf("%+v", l)
	}
	if text := text(res); !strings.Contains(text, "MODE") || !strings.Contains(text, "shifted by 40") {
		t.Errorf("the table does not say so:\n%s", text)
	}
	if raw, err := json.Marshal(res); err != nil || !strings.Contains(string(raw), `"mode":"shifted","shift":"40"`) {
		t.Errorf("nor does the JSON: %s, %v", raw, err)
	}
	// The target's log start follows by the same distance.
	w.deleteBefore(source, "orders", 0, 50)
	if res := w.run("orders", at(shift.Begin(40))); res.Result != Different || res.Differences[0].Kind != digest.LogStart {
		t.Errorf("the target still holds 10 records that the source deleted:\n%s", text(res))
	}
	w.deleteBefore(target, "orders", 0, 10)
	wantEqual(t, w.run("orders", at(shift.Begin(40))), 50)
}

func TestShiftedDifferent(t *testing.T) {
	w := shiftedWorld(t, func(r *kgo.Record) {
		if r.Offset == 77 {
			r.Value = []byte("other")
		}
	})
	wantDifferent(t, w.run("orders", at(shift.Begin(40))), digest.Value, 0, 77) // at the source's offset
	if res := w.run("orders", at(shift.Map{{From: 40, Until: shift.Open, Shift: 39}})); res.Result != Different {
		t.Errorf("at a wrong distance:\n%s", text(res))
	}
	side := w.sideOf(target, "orders", 0)
	side.Shift = 40
	diff, err := CompareRange(t.Context(), w.sideOf(source, "orders", 0), side, 40, 100, RangeOptions{})
	if err != nil || diff == nil || diff.Offset != 77 {
		t.Errorf("CompareRange: %+v, %v", diff, err)
	}
}

// Segments are compared each at its distance, and what lies between them is named.
func TestSegments(t *testing.T) {
	w := shiftedWorld(t, nil) // the target's 0 to 59 are the source's 40 to 99
	foreign := kvs("orders", 0, 900, 5)
	w.produce(w.plain[target], foreign...)                   // its 60 to 64 are nobody's
	w.produce(w.plain[source], kvs("orders", 0, 100, 50)...) // the source's 100 to 149
	w.writeFrom(110, 150, nil)                               // the target's 65 on are the source's 110 on; 100 to 109 are lost
	m := shift.Begin(40).Attach(100, 110, 65)
	res := w.run("orders", at(m))
	if res.Result != Incomplete || res.RecordsCompared != 100 || len(res.Differences) != 0 || len(res.Skipped) != 2 ||
		res.Skipped[0].What != "target offsets 60 to 64" || res.Skipped[1].What != "offsets 100 to 109" {
		t.Fatalf("%d records, skipped %+v\n%s", res.RecordsCompared, res.Skipped, text(res))
	}
	if l := res.PerTopic[0]; l.Shift != "45" {
		t.Errorf("%+v", l)
	}
	// When the source's log start has passed it, nothing is left that could not be compared.
	w.deleteBefore(source, "orders", 0, 120)
	w.deleteBefore(target, "orders", 0, 75)
	wantEqual(t, w.run("orders", at(m)), 30)
}

func TestShiftNotKnown(t *testing.T) {
	w := shiftedWorld(t, nil)
	res := w.run("orders", func(o *Options) {
		o.Shifts = func(estate.TopicPartition, estate.TopicID, estate.TopicID) (shift.Map, error) {
			return nil, errors.New("nobody knows")
		}
	})
	wantIncomplete(t, res, "the partition", "nobody knows")
}
