package shift

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The cases of a life: [0,15) equal, four foreign records at 15 to 18, then the source's 15 on from 19; later the
// source deleted its offsets 30 to 39 before they were copied.
var life = Map{{0, 15, 0}, {15, 30, -4}, {40, Open, 6}}

func TestPositions(t *testing.T) {
	for _, c := range []struct {
		m      Map
		source int64
		want   int64
		exact  bool
	}{
		{nil, 7, 7, true},
		{Begin(5_000_000_000), 5_000_000_000, 0, true},
		{Begin(5_000_000_000), 5_000_000_123, 123, true},
		{Begin(5_000_000_000), 4_999_999_999, 0, false},
		{life, 14, 14, true},
		{life, 15, 19, true}, // read all of the first segment: goes on behind the foreign stretch
		{life, 29, 33, true},
		{life, 30, 34, false}, // its next record is lost
		{life, 39, 34, false},
		{life, 40, 34, true},
		{life, 41, 35, true},
	} {
		if got, exact := c.m.Position(c.source); got != c.want || exact != c.exact {
			t.Errorf("%v: position %d is %d (exact %v), want %d (%v)", c.m, c.source, got, exact, c.want, c.exact)
		}
	}
}

func TestStarts(t *testing.T) {
	for _, c := range []struct {
		m            Map
		source, want int64 // the source's log start, and the target's that follows it
		seen         int64 // that start, seen from the source
	}{
		{nil, 7, 7, 7},
		{Begin(1000), 1000, 0, 1000},
		{Begin(1000), 1010, 10, 1010},
		{life, 3, 3, 3},
		{life, 15, 15, 15}, // the foreign stretch 15 to 18 stays
		{life, 16, 20, 16},
		{life, 35, 34, 40}, // nothing foreign between: the next segment begins there
		{life, 41, 35, 41},
		{Map{{100, Open, 90}}, 100, 0, 0}, // ten records that were there before stay
		{Map{{100, Open, 90}}, 101, 11, 101},
	} {
		got := c.m.Start(c.source)
		if got != c.want {
			t.Errorf("%v: source start %d, target start %d, want %d", c.m, c.source, got, c.want)
		}
		if seen := c.m.StartSeen(got); seen != c.seen {
			t.Errorf("%v: target start %d is seen as %d, want %d", c.m, got, seen, c.seen)
		}
	}
	if got := life.StartSeen(17); got != 15 {
		t.Errorf("a start inside the foreign stretch is seen as %d, want 15", got)
	}
}

func TestAttach(t *testing.T) {
	for _, c := range []struct {
		name              string
		m                 Map
		agreed, from, end int64
		want              Map
	}{
		{"foreign append", nil, 15, 15, 19, Map{{0, 15, 0}, {15, Open, -4}}},
		{"overtaken", Map{{0, 15, 0}, {15, Open, -4}}, 30, 40, 34, life},
		{"nothing agrees", nil, 0, 3, 10, Map{{3, Open, -7}}},
		{"the source lost more than the last segment", life, 12, 12, 50, Map{{0, 12, 0}, {12, Open, -38}}},
		{"shifted, then foreign", Begin(1000), 1005, 1005, 9, Map{{1000, 1005, 1000}, {1005, Open, 996}}},
	} {
		got := c.m.Attach(c.agreed, c.from, c.end)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if err := got.Check(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestStretches(t *testing.T) {
	if got := life.Foreign(1); got != (Stretch{15, 19}) {
		t.Errorf("foreign: %v", got)
	}
	if got := life.Lost(1); !got.Empty() {
		t.Errorf("lost: %v", got)
	}
	if got := life.Lost(2); got != (Stretch{30, 40}) {
		t.Errorf("lost: %v", got)
	}
	if got := life.Foreign(2); !got.Empty() {
		t.Errorf("foreign: %v", got)
	}
	if diff := cmp.Diff(life[1:], life.Prune(19)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(life[2:], life.Prune(1000)); diff != "" {
		t.Error(diff)
	}
}

func TestText(t *testing.T) {
	for _, m := range []Map{nil, life, Begin(5_000_000_000)} {
		got, err := Parse(m.String())
		if diff := cmp.Diff(m, got); err != nil || diff != "" {
			t.Errorf("%v: %v %s", m, err, diff)
		}
	}
	for _, bad := range []string{"x", "1:2", "1:2:3:4", "5:4:0,9::0", "0:10:0", "0::0,5::0", "-1::0", "0:10:0,5::0", "0:10:0,20::15", "3::9", "99999999999999999999::0"} {
		if m, err := Parse(bad); err == nil {
			t.Errorf("%q is read as %v", bad, m)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(life.String())
	f.Add("::")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse(text)
		if err != nil || len(m) == 0 {
			return
		}
		again, err := Parse(m.String())
		if err != nil || !cmp.Equal(m, again) {
			t.Fatalf("%q: %v, then %v (%v)", text, m, again, err)
		}
		for _, s := range m {
			if at, exact := m.Position(s.From); !exact || at != s.Target() {
				t.Fatalf("%v: position %d is %d", m, s.From, at)
			}
		}
	})
}
