package history

import (
	"context"
	"slices"
)

// checkGroups compares the positions of groups (I5): one to one, or, where offsets differ by design, by the
// record that a consumer would read next.
func checkGroups(ctx context.Context, o *CheckOptions, v *Verdict, read map[string][]*sides) error {
	for _, group := range o.Groups {
		s, err := Positions(ctx, o.Source, group)
		if err != nil {
			return err
		}
		t, err := Positions(ctx, o.Target, group)
		if err != nil {
			return err
		}
		for _, at := range s {
			parts, ok := read[at.Topic]
			if _, stopped := o.until(at.Topic, at.Partition); stopped || !ok || int(at.Partition) >= len(parts) {
				continue
			}
			i := slices.IndexFunc(t, func(p Position) bool { return p.Topic == at.Topic && p.Partition == at.Partition })
			var on *Position
			if i >= 0 {
				on = &t[i]
			}
			v.checked(I5Groups, 1)
			if what := parts[at.Partition].position(at, on); what != "" {
				v.GroupDiff++
				v.violate(I5Groups, "group %s in %s-%d: %s; source %+v, target %+v", group, at.Topic, at.Partition, what, at, on)
			}
		}
	}
	return nil
}

// position says what is wrong with a position on the target, empty if nothing is.
func (p *sides) position(s Position, t *Position) string {
	switch {
	case t == nil:
		return "no position on the target"
	case p.o.Shifted:
		source := byID(p.sc)
		theirs := slices.DeleteFunc(slices.Clone(p.tc), func(r print) bool { return source[r.id] == nil }) // phantoms are counted as such
		if next(p.sc, s.Offset) != next(theirs, t.Offset) {
			return "another record comes next"
		}
	case t.Offset != s.Offset:
		return "another offset"
	case t.Metadata != s.Metadata:
		return "other metadata"
	case t.Epoch != -1:
		return "a leader epoch"
	case t.Offset > p.t.high:
		return "beyond the end"
	}
	return ""
}

// next is the id of the first record from an offset on; 0 at the end.
func next(prints []print, offset int64) uint64 {
	i, _ := slices.BinarySearchFunc(prints, offset, func(p print, o int64) int { return int(p.offset - o) })
	if i == len(prints) {
		return 0
	}
	return prints[i].id
}
