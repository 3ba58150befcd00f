package ledger

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/shift"
)

func TestEntryText(t *testing.T) {
	for _, e := range []Entry{
		{Mode: "identical"},
		{Mode: "shifted", SourceID: estate.TopicID{1}, TargetID: estate.TopicID{2, 3}, Map: shift.Begin(5_000_000_000)},
		{Mode: "identical", TargetID: estate.TopicID{9}, Map: shift.Map(nil).Attach(15, 15, 19), Held: time.Unix(1_700_000_000, 0)},
	} {
		got, err := Parse(e.String())
		if diff := cmp.Diff(e, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", e, err, diff)
		}
	}
	if e, err := Parse("kferry/1 mode=shifted later=thing"); err != nil || e.Mode != "shifted" {
		t.Errorf("a key of a later kferry: %+v, %v", e, err)
	}
	for _, bad := range []string{"", "kferry/2 mode=shifted", "kferry/1 map=5", "kferry/1 target=x", "kferry/1 held=soon", "some group's own words"} {
		if e, err := Parse(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, e)
		}
	}
}

// A map of a long life fits into what brokers take as metadata, 4096 bytes.
func TestEntryFits(t *testing.T) {
	var m shift.Map
	for i := range int64(40) {
		at := (i + 1) * 1_000_000_000_000
		m = m.Attach(at, at, at+i)
	}
	e := Entry{Mode: "identical", SourceID: estate.TopicID{1}, TargetID: estate.TopicID{2}, Map: m, Held: time.Now()}
	if n := len(e.String()); n > 4096 {
		t.Errorf("40 repairs take %d bytes", n)
	}
}

func TestAbout(t *testing.T) {
	a, b, none := estate.TopicID{1}, estate.TopicID{2}, estate.TopicID{}
	e := Entry{SourceID: a, TargetID: b}
	if !e.About(a, b) || !e.About(none, b) || e.About(b, b) || e.About(a, a) {
		t.Error("an entry is about its own topics only")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Entry{Mode: "shifted", Map: shift.Begin(7)}.String())
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(e.String()); err != nil || again.Map.String() != e.Map.String() {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
