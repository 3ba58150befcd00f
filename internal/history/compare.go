package history

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Rules say what may differ, beyond what no copy can keep: records of aborted transactions may be missing on
// the target, and a time that the source's broker gave (LogAppendTime) comes as the producer's (CreateTime)
// with the same value.
type Rules struct {
	// Echoes: where the source has a hole, the target may hold copies of the next committed record.
	Echoes bool
	// AbortedFillers: where the source has a hole, the target may hold records of an aborted transaction,
	// which read_committed does not show.
	AbortedFillers bool
	// Thinned: the source's cleaner may have removed records after they were copied. What the target holds
	// beyond the source must be a tombstone or have a later record of the same key.
	Thinned bool
}

// Difference is one place where the target is not what the source is.
type Difference struct {
	Topic     string
	Partition int32
	Offset    int64 // -1 where it means nothing
	What      string
}

func (d Difference) String() string {
	if d.Offset < 0 {
		return fmt.Sprintf("%s-%d: %s", d.Topic, d.Partition, d.What)
	}
	return fmt.Sprintf("%s-%d at offset %d: %s", d.Topic, d.Partition, d.Offset, d.What)
}

// Result is what a comparison found. Everything that was not compared is named in Differences.
type Result struct {
	Partitions  int
	Committed   int64 // records compared in read_committed
	Uncommitted int64 // further records that only read_uncommitted shows on the source: aborted ones
	AbortedKept int64 // of these, how many the target has
	Echoes      int64 // permitted copies in holes
	Fillers     int64 // permitted aborted fillers in holes
	Thinned     int64 // permitted records that the source's cleaner took after the copy
	Unstable    int64 // offsets of the source behind its last stable offset: open transactions
	Positions   int   // group positions compared
	Differences []Difference
}

// Equal says whether nothing differs.
func (r *Result) Equal() bool { return len(r.Differences) == 0 }

// String is one line of counts, and a line for each difference.
func (r *Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d partitions, %d committed and %d aborted records (%d kept), %d echoes, %d fillers, %d thinned, %d unstable, %d group positions: %d differences",
		r.Partitions, r.Committed, r.Uncommitted, r.AbortedKept, r.Echoes, r.Fillers, r.Thinned, r.Unstable, r.Positions, len(r.Differences))
	for _, d := range r.Differences {
		b.WriteString("\n  " + d.String())
	}
	return b.String()
}

// mostDifferences of one partition are listed; the comparison of the partition ends with the last.
const mostDifferences = 5

// Compare reads the topics of both clusters completely, in both isolation levels, and compares them at equal
// offsets: log start, log end (the source's last stable offset), key and value (null is not empty), headers in
// order, timestamp. The error says that something could not be read.
func Compare(ctx context.Context, source, target *kgo.Client, topics []string, rules Rules) (*Result, error) {
	res := &Result{}
	s, err := readEnds(ctx, source, topics)
	if err != nil {
		return nil, fmt.Errorf("read the ends of the source: %w", err)
	}
	t, err := readEnds(ctx, target, topics)
	if err != nil {
		return nil, fmt.Errorf("read the ends of the target: %w", err)
	}
	for _, topic := range topics {
		if len(s[topic]) != len(t[topic]) {
			res.Differences = append(res.Differences, Difference{topic, -1, -1, fmt.Sprintf("%d partitions on the source, %d on the target", len(s[topic]), len(t[topic]))})
			continue
		}
		for id := range s[topic] {
			p := pairing{topic: topic, partition: int32(id), source: s[topic][id], target: t[topic][id], rules: rules, res: res}
			if err := p.compare(ctx, source, target); err != nil {
				return nil, err
			}
		}
	}
	return res, nil
}

// pairing is one partition on both sides.
type pairing struct {
	topic          string
	partition      int32
	source, target ends
	rules          Rules
	res            *Result
	found          int

	// Committed and uncommitted views of both sides.
	sc, su, tc, tu *reader

	extra map[string]int64 // with Thinned: keys of extra records on the target that must come again
}

func (p *pairing) differ(offset int64, format string, args ...any) {
	p.found++
	p.res.Differences = append(p.res.Differences, Difference{p.topic, p.partition, offset, fmt.Sprintf(format, args...)})
}

func (p *pairing) compare(ctx context.Context, source, target *kgo.Client) error {
	p.res.Partitions++
	p.res.Unstable += p.source.high - p.source.stable
	if p.source.start != p.target.start {
		p.differ(-1, "the source's log starts at %d, the target's at %d", p.source.start, p.target.start)
	}
	if p.source.stable != p.target.high {
		p.differ(-1, "the source's log ends at %d (last stable offset), the target's at %d", p.source.stable, p.target.high)
	}
	if p.target.stable != p.target.high {
		p.differ(-1, "a transaction is open on the target: last stable offset %d, log end %d", p.target.stable, p.target.high)
	}
	view := func(cl *kgo.Client, e ends, end int64, committed bool) *reader {
		return &reader{client: cl, topic: p.topic, partition: p.partition, leader: e.leader, committed: committed, next: e.start, end: end}
	}
	p.sc, p.su = view(source, p.source, p.source.stable, true), view(source, p.source, p.source.stable, false)
	p.tc, p.tu = view(target, p.target, p.target.stable, true), view(target, p.target, p.target.high, false)
	p.extra = map[string]int64{}
	for p.found < mostDifferences {
		more, err := p.step(ctx)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	for key, offset := range p.extra {
		p.differ(offset, "the target has a record of key %q that the source has not, and no later one of that key", clip([]byte(key)))
	}
	return nil
}

// heads are the records at the smallest offset that any view stands at.
type heads struct {
	offset         int64
	sc, su, tc, tu *kgo.Record
}

func (p *pairing) heads(ctx context.Context) (h heads, more bool, err error) {
	views := [4]*reader{p.sc, p.su, p.tc, p.tu}
	var records [4]*kgo.Record
	for i, v := range views {
		r, err := v.peek(ctx)
		if err != nil {
			return h, false, err
		}
		if records[i] = r; r != nil && (!more || r.Offset < h.offset) {
			h.offset, more = r.Offset, true
		}
	}
	for i := range records {
		if records[i] != nil && records[i].Offset == h.offset {
			views[i].take()
		} else {
			records[i] = nil
		}
	}
	h.sc, h.su, h.tc, h.tu = records[0], records[1], records[2], records[3]
	return h, more, nil
}

// step compares what both sides have at the next offset.
func (p *pairing) step(ctx context.Context) (more bool, err error) {
	h, more, err := p.heads(ctx)
	if err != nil || !more {
		return false, err
	}
	switch {
	case h.sc != nil && h.su == nil, h.tc != nil && h.tu == nil:
		p.differ(h.offset, "a record is shown by read_committed and not by read_uncommitted")
	case h.sc != nil && h.tc != nil:
		p.res.Committed++
		if what := unequal(h.sc, h.tc); what != "" {
			p.differ(h.offset, "%s", what)
		}
		p.seenAgain(h.tc)
	case h.sc != nil && h.tu != nil:
		p.differ(h.offset, "a committed record of the source is an aborted one on the target")
	case h.sc != nil:
		p.differ(h.offset, "the target has no record here: %s", describe(h.sc))
	case h.su != nil:
		p.res.Uncommitted++
		if h.tc != nil {
			p.differ(h.offset, "an aborted record of the source is a committed one on the target")
		} else if h.tu != nil && unequal(h.su, h.tu) == "" {
			p.res.AbortedKept++
		}
	default:
		return true, p.beyond(ctx, h)
	}
	return true, nil
}

// beyond judges a record of the target at an offset where the source has none.
func (p *pairing) beyond(ctx context.Context, h heads) error {
	if h.tc == nil {
		p.res.Fillers++
		if !p.rules.AbortedFillers {
			p.differ(h.offset, "the target has an aborted record where the source has a hole: %s", describe(h.tu))
		}
		return nil
	}
	if p.rules.Echoes {
		next, err := p.sc.peek(ctx)
		if err != nil {
			return err
		}
		if next != nil && unequal(next, h.tc) == "" {
			p.res.Echoes++
			return nil
		}
	}
	if p.rules.Thinned && h.tc.Key != nil {
		p.res.Thinned++
		p.seenAgain(h.tc)
		if h.tc.Value != nil {
			p.extra[string(h.tc.Key)] = h.offset
		}
		return nil
	}
	p.differ(h.offset, "the target has a record where the source has none: %s", describe(h.tc))
	return nil
}

// seenAgain notes that the target has a later record of a key.
func (p *pairing) seenAgain(r *kgo.Record) {
	if r.Key != nil {
		delete(p.extra, string(r.Key))
	}
}

// unequal says how two records differ, empty if they do not.
func unequal(a, b *kgo.Record) string {
	switch {
	case !same(a.Key, b.Key):
		return fmt.Sprintf("key %s on the source, %s on the target", quote(a.Key), quote(b.Key))
	case !same(a.Value, b.Value):
		return fmt.Sprintf("value %s on the source, %s on the target", quote(a.Value), quote(b.Value))
	case millis(a) != millis(b):
		return fmt.Sprintf("timestamp %d on the source, %d on the target", millis(a), millis(b))
	case len(a.Headers) != len(b.Headers):
		return fmt.Sprintf("%d headers on the source, %d on the target", len(a.Headers), len(b.Headers))
	}
	for i, h := range a.Headers {
		if o := b.Headers[i]; h.Key != o.Key || !same(h.Value, o.Value) {
			return fmt.Sprintf("header %d is %q=%s on the source, %q=%s on the target", i, h.Key, quote(h.Value), o.Key, quote(o.Value))
		}
	}
	if b.Attrs.TimestampType() != 0 {
		return fmt.Sprintf("the target's timestamp type is %d, want CreateTime", b.Attrs.TimestampType())
	}
	return ""
}

// same compares bytes; null is not empty.
func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// millis is a record's timestamp; messages of format v0 have none, which is -1 elsewhere.
func millis(r *kgo.Record) int64 {
	if r.Attrs.TimestampType() < 0 {
		return -1
	}
	return r.Timestamp.UnixMilli()
}

func describe(r *kgo.Record) string {
	return fmt.Sprintf("key %s, value %s, timestamp %d", quote(r.Key), quote(r.Value), millis(r))
}

func quote(b []byte) string {
	if b == nil {
		return "null"
	}
	return fmt.Sprintf("%q", clip(b))
}

func clip(b []byte) []byte {
	const most = 40
	if len(b) > most {
		return b[:most]
	}
	return b
}

// Add adds what another comparison found.
func (r *Result) Add(o *Result) {
	r.Partitions += o.Partitions
	r.Committed += o.Committed
	r.Uncommitted += o.Uncommitted
	r.AbortedKept += o.AbortedKept
	r.Echoes += o.Echoes
	r.Fillers += o.Fillers
	r.Thinned += o.Thinned
	r.Unstable += o.Unstable
	r.Positions += o.Positions
	r.Differences = append(r.Differences, o.Differences...)
}
