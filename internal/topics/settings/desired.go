package settings

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Policy says how many replicas a target topic gets. The zero value follows the source as far as the target
// has brokers for it.
type Policy struct {
	Replication Count
	MinInsync   Count
}

// Count is a number of replicas: N if it is above 0, else the source's, as far as possible or exactly.
type Count struct {
	N     int
	Exact bool // the source's number even where the target cannot have it
}

// of applies the policy to the source's number under an upper bound.
func (c Count) of(source, most int) int {
	switch {
	case c.N > 0:
		return c.N
	case c.Exact:
		return source
	}
	return max(1, min(source, most))
}

// Replicas is the replication factor for a topic that has source replicas, on a target with so many
// brokers. The note is empty unless the source's number was lowered.
func (p Policy) Replicas(source, brokers int) (factor int, note string) {
	factor = p.Replication.of(source, brokers)
	if p.Replication.N == 0 && factor < source {
		note = fmt.Sprintf("replication factor is %d and not the source's %d: the target has %d brokers", factor, source, brokers)
	}
	return factor, note
}

// Desired is the configuration whose effective values on the target equal the source's: what is set on the
// source topic, and what the source's brokers make of the rest where the target's would make something else.
// replicas is the target topic's replication factor.
func Desired(source, target Topic, policy Policy, replicas int) Wanted {
	want := Wanted{Set: map[string]string{}, Effective: map[string]string{}}
	wish := source.translate(target, &want)
	if isr, ok := number(source[minInsync].Value); ok {
		capped := policy.MinInsync.of(int(isr), replicas)
		if policy.MinInsync.N == 0 && capped < int(isr) {
			want.note("min.insync.replicas is %d and not the source's %d: the topic has %d replicas", capped, isr, replicas)
		}
		wish[minInsync] = strconv.Itoa(capped)
	}
	for key, value := range wish {
		now, known := target[key]
		if !known || private[key] {
			continue
		}
		want.Effective[key] = value
		if source[key].Set || !now.Inherits || !Equal(key, now.Default, value) {
			want.Set[key] = value
		}
	}
	want.unknown(source, target)
	slices.Sort(want.Notes)
	return want
}

// translate is the source's effective configuration in keys that the target knows.
func (source Topic) translate(target Topic, want *Wanted) map[string]string {
	wish := make(map[string]string, len(source))
	for key, v := range source {
		if key != formatVersion {
			wish[key] = v.Value
		}
	}
	maps.Copy(wish, source.timestampLimits(target, want))
	return wish
}

// timestampLimits translates between one limit for both directions (until 3.5), one for each (since 4.0),
// and the releases between that know both, where a limit for one direction counts unless it is unlimited.
func (source Topic) timestampLimits(target Topic, want *Wanted) map[string]string {
	_, sourceOld := source[timestampBoth]
	_, sourceNew := source[timestampBefore]
	_, targetOld := target[timestampBoth]
	_, targetNew := target[timestampBefore]
	if !sourceOld && !sourceNew || sourceOld == targetOld && sourceNew == targetNew {
		return nil // the same keys on both sides
	}
	before, after := source.timestampLimit(timestampBefore), source.timestampLimit(timestampAfter)
	if targetNew {
		limits := map[string]string{timestampBefore: before, timestampAfter: after}
		if targetOld {
			limits[timestampBoth] = unlimited
		}
		return limits
	}
	if before != after {
		want.note("%s is %s: the target knows one limit for both directions, and the source has %s before and %s after",
			timestampBoth, larger(before, after), before, after)
	}
	return map[string]string{timestampBoth: larger(before, after)}
}

func (source Topic) timestampLimit(key string) string {
	if v, ok := source[key]; ok && v.Value != unlimited {
		return v.Value
	}
	if v, ok := source[timestampBoth]; ok {
		return v.Value
	}
	return unlimited
}

// unknown notes what was set on the source topic and means nothing to the target.
func (want *Wanted) unknown(source, target Topic) {
	for key, v := range source {
		_, known := target[key]
		switch {
		case !v.Set:
		case private[key]:
			if v.Value != "" {
				want.note("%s=%s is not carried: it names brokers of the source", key, v.Value)
			}
		case key == formatVersion:
			want.note("%s=%s is not carried: batches are written in format 2", key, v.Value)
		case key == timestampBoth, key == timestampBefore, key == timestampAfter:
		case !known:
			want.note("%s=%s is not carried: the target does not know this key", key, v.Value)
		}
	}
}

func (want *Wanted) note(format string, args ...any) {
	want.Notes = append(want.Notes, fmt.Sprintf(format, args...))
}

func number(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// larger is the larger of two numbers in decimal; what is no number loses.
func larger(a, b string) string {
	x, okA := number(a)
	y, okB := number(b)
	if !okA || okB && y > x {
		return b
	}
	return a
}
