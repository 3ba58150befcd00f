// Package shift says which target offset belongs to which source offset where the two are not equal but a
// constant distance apart.
//
// A partition's Map is a short list of segments, in order: from a source offset on, up to another, the target
// offset is the source offset less the segment's shift. A topic that is carried shifted has one segment from its
// first copied offset on; each repair that attaches the copy anew closes the last segment and adds one. What lies
// between two segments is lost on the source's side (offsets that are nowhere on the target) or foreign on the
// target's side (offsets that hold nothing of the source).
//
// The package is arithmetic: it reads and stores nothing, and does not decide when a segment begins.
package shift

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Open is the end of a segment that is still being copied.
const Open int64 = math.MaxInt64

// most bounds what is read back, so that sums do not overflow.
const most = int64(1) << 61

// Segment is one stretch of source offsets [From, Until) that is on the target at a constant distance.
type Segment struct {
	From  int64 `json:"from"`
	Until int64 `json:"until"` // Open while it grows
	Shift int64 `json:"shift"` // source offset less target offset; may be negative
}

// Target is the target offset of the segment's first source offset.
func (s Segment) Target() int64 { return s.From - s.Shift }

// targetEnd is the target offset behind the segment, Open if it is open.
func (s Segment) targetEnd() int64 {
	if s.Until == Open {
		return Open
	}
	return s.Until - s.Shift
}

// Map holds a partition's segments in order. An empty one means that all offsets are equal.
type Map []Segment

// Plain says whether target offsets are the source's.
func (m Map) Plain() bool {
	return len(m) == 0 || len(m) == 1 && m[0] == Segment{0, Open, 0}
}

// Begin is the map of a partition that is attached to an empty target: source offset from is target offset 0.
func Begin(from int64) Map { return Map{{from, Open, from}} }

// Last is the segment that is being copied.
func (m Map) Last() Segment {
	if len(m) == 0 {
		return Segment{0, Open, 0}
	}
	return m[len(m)-1]
}

// Attach closes what was copied up to source offset agreed, exclusive, and goes on: source offset from is target
// offset end, the target's log end. It returns a new map.
func (m Map) Attach(agreed, from, end int64) Map {
	out := slices.Clone(m)
	if len(out) == 0 {
		out = Map{{0, Open, 0}}
	}
	for len(out) > 0 && out[len(out)-1].From >= agreed {
		out = out[:len(out)-1]
	}
	if n := len(out); n > 0 {
		out[n-1].Until = min(out[n-1].Until, agreed)
	}
	return append(out, Segment{from, Open, from - end})
}

// Prune drops the segments of which the target, whose log starts at start, holds nothing any more.
func (m Map) Prune(start int64) Map {
	n := 0
	for n < len(m)-1 && m[n].targetEnd() <= start {
		n++
	}
	return m[n:]
}

// Position translates "the next offset to read". exact is false where the source offset is not on the target: the
// position is then the first that is, behind it.
func (m Map) Position(source int64) (target int64, exact bool) {
	if len(m) == 0 {
		return source, true
	}
	for i, s := range m {
		if source >= s.Until {
			continue
		}
		if source >= s.From {
			return source - s.Shift, true
		}
		// Before this segment. Who has read all of the one before has missed nothing if this one goes on there.
		exact := i > 0 && m[i-1].Until == s.From
		return s.Target(), exact
	}
	panic("shift: the last segment is closed")
}

// Start is where the target's log should start when the source's starts at source. A foreign stretch before a
// segment stays until the source's log start is inside the segment.
func (m Map) Start(source int64) int64 {
	if len(m) == 0 {
		return source
	}
	for i, s := range m {
		if source >= s.Until && i < len(m)-1 {
			continue
		}
		if source > s.From || source == s.From && (i == 0 && s.Target() == 0) {
			return source - s.Shift
		}
		if i == 0 {
			return 0
		}
		return m[i-1].targetEnd()
	}
	panic("shift: not reached")
}

// StartSeen is the reverse of Start for a target whose log starts at target: the least source offset from which on
// the target holds everything that is not lost for good.
func (m Map) StartSeen(target int64) int64 {
	if len(m) == 0 {
		return target
	}
	for i, s := range m {
		if target >= s.targetEnd() {
			continue
		}
		if target >= s.Target() {
			return target + s.Shift
		}
		if i == 0 {
			return 0
		}
		return m[i-1].Until
	}
	return m.Last().From
}

// Stretch is a range of offsets [From, To).
type Stretch struct{ From, To int64 }

// Empty says whether it holds no offset.
func (s Stretch) Empty() bool { return s.From >= s.To }

// Lost are the source offsets before segment i that are nowhere on the target: between it and the segment before.
// Nothing is said of what lies before the first segment.
func (m Map) Lost(i int) Stretch {
	if i == 0 {
		return Stretch{}
	}
	return Stretch{m[i-1].Until, m[i].From}
}

// Foreign are the target offsets before segment i that hold nothing of the source.
func (m Map) Foreign(i int) Stretch {
	if i == 0 {
		return Stretch{0, m[0].Target()}
	}
	return Stretch{m[i-1].targetEnd(), m[i].Target()}
}

// Check says what is wrong with a map that was read from somewhere.
func (m Map) Check() error {
	for i, s := range m {
		switch {
		case s.From < 0 || s.From > most || s.Shift > most || s.Shift < -most || s.Until != Open && s.Until > most:
			return fmt.Errorf("segment %d is beyond all offsets", i)
		case s.Target() < 0:
			return fmt.Errorf("segment %d begins at a negative offset", i)
		case s.Until <= s.From:
			return fmt.Errorf("segment %d is empty", i)
		case (s.Until == Open) != (i == len(m)-1):
			return errors.New("not exactly the last segment is open")
		case i > 0 && (s.From < m[i-1].Until || s.Target() < m[i-1].targetEnd()):
			return fmt.Errorf("segment %d begins before the one before it ends", i)
		}
	}
	return nil
}

// String is the form in which a map is stored: from:until:shift, separated by commas, until empty for an open one.
func (m Map) String() string {
	var b strings.Builder
	for i, s := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		until := ""
		if s.Until != Open {
			until = strconv.FormatInt(s.Until, 10)
		}
		fmt.Fprintf(&b, "%d:%s:%d", s.From, until, s.Shift)
	}
	return b.String()
}

// Parse reads what String writes.
func Parse(text string) (Map, error) {
	if text == "" {
		return nil, nil
	}
	var m Map
	for part := range strings.SplitSeq(text, ",") {
		from, rest, _ := strings.Cut(part, ":")
		until, by, ok := strings.Cut(rest, ":")
		if !ok {
			return nil, fmt.Errorf("segment %q: want from:until:shift", part)
		}
		if until == "" {
			until = strconv.FormatInt(Open, 10)
		}
		var s Segment
		for _, n := range []struct {
			to   *int64
			text string
		}{{&s.From, from}, {&s.Until, until}, {&s.Shift, by}} {
			v, err := strconv.ParseInt(n.text, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("segment %q: %q is no offset", part, n.text)
			}
			*n.to = v
		}
		m = append(m, s)
	}
	return m, m.Check()
}
