package digest

import (
	"errors"
	"fmt"

	"github.com/kferry/kferry/internal/batch"
)

// Config says what is compared.
type Config struct {
	From, To int64 // offsets [From, To)

	SourceThins Thinning // of records that only the target has; also permits echoes unless ThinNever
	TargetThins Thinning // of records that only the source has

	// AbortedForeign accepts records of aborted transactions on the target that are not kferry's filler: a
	// target that once had producers of its own. Otherwise they are phantoms, because consumers that read
	// uncommitted see them.
	AbortedForeign bool

	// CountAll goes on behind the first difference and counts all of them.
	CountAll bool

	KeyLimit int // keys to remember for each side; 0: DefaultKeyLimit
}

// Comparer compares two sides of one partition. Feed it what Wants asks for until Done. Not safe for
// concurrent use.
type Comparer struct {
	cfg   Config
	at    int64 // all offsets before are decided
	lanes [2]lane
	keys  [2]*Keys
	scan  *batch.Decoder // for whole batches outside the lanes
	stats Stats
	first *Difference
	wants Side
	done  bool
}

// errStopped ends a walk over records early.
var errStopped = errors.New("stopped")

// NewComparer prepares a comparison. Close it.
func NewComparer(cfg Config) *Comparer {
	c := &Comparer{cfg: cfg, at: cfg.From, scan: batch.NewDecoder(batch.DefaultLimits())}
	for side := range c.lanes {
		c.lanes[side] = lane{side: Side(side), to: cfg.To, known: cfg.From, decoder: batch.NewDecoder(batch.DefaultLimits())}
		c.keys[side] = newKeys(Side(side), cfg.KeyLimit)
	}
	c.done = cfg.From >= cfg.To
	return c
}

// Close releases what was fed and not looked at.
func (c *Comparer) Close() {
	c.lanes[Source].discard()
	c.lanes[Target].discard()
}

// Done says whether there is nothing more to compare: the end was reached, or a difference ended it.
func (c *Comparer) Done() bool { return c.done }

// Wants is the side whose next chunk is needed, from the offset where its last one ended.
func (c *Comparer) Wants() Side { return c.wants }

// At is the offset before which everything is decided, but for Keys.
func (c *Comparer) At() int64 { return c.at }

// Stats are the counts so far.
func (c *Comparer) Stats() Stats { return c.stats }

// Difference is the first difference, nil if there is none but for Keys.
func (c *Comparer) Difference() *Difference { return c.first }

// Keys are what a second reading of the other side has to settle: the keys of records that only side has.
func (c *Comparer) Keys(side Side) *Keys { return c.keys[side] }

// Feed takes the next chunk of one side, which must begin where that side's last one ended, and compares as
// far as both sides are known. It is an error to feed anything else.
func (c *Comparer) Feed(side Side, chunk *Chunk) error {
	l := &c.lanes[side]
	if chunk.From != l.known || chunk.Next < chunk.From || l.corrupt != nil {
		chunk.release()
		return fmt.Errorf("compare: %s goes on at offset %d, got offsets %d to %d", side, l.known, chunk.From, chunk.Next)
	}
	if side == Source {
		c.stats.MarkersSource += chunk.markers
	} else {
		c.stats.MarkersTarget += chunk.markers
	}
	l.feed(chunk)
	for !c.done && c.step() {
	}
	if c.done {
		c.Close()
	}
	return nil
}

// step decides the next offset or offsets. False means that the lane in wants must be fed first.
func (c *Comparer) step() bool {
	s, t := &c.lanes[Source], &c.lanes[Target]
	if c.skipAborted(s) {
		return true
	}
	sLow, tLow := s.low(c.at), t.low(c.at)
	if tLow <= sLow && c.skipAborted(t) { // only in its turn: it may be a difference
		return true
	}
	if min(sLow, tLow) >= c.cfg.To {
		c.at, c.done = c.cfg.To, true
		return false
	}
	for _, l := range []*lane{s, t} {
		if l.head() == nil && l.known <= min(sLow, tLow) {
			return c.need(l)
		}
	}
	if s.head() != nil && t.head() != nil && c.rawEqual(s, t) {
		return true
	}
	for _, l := range []*lane{s, t} {
		if low := l.low(c.at); low == min(sLow, tLow) && !l.isOpen() && l.head() != nil {
			c.open(l)
			return true
		}
	}
	switch {
	case sLow < tLow:
		c.onlySource()
	case tLow < sLow:
		return c.onlyTarget(sLow)
	default:
		c.compare()
	}
	return true
}

// need asks for a lane's next chunk, or reports why there will be none.
func (c *Comparer) need(l *lane) bool {
	if l.corrupt != nil {
		c.corrupt(l, l.corrupt.Offset, l.corrupt.Detail)
		return true
	}
	c.wants = l.side
	return false
}

// corrupt reports bytes that cannot be read, and ends the comparison: nobody knows what they were.
func (c *Comparer) corrupt(l *lane, offset int64, detail string) {
	c.differ(max(offset, c.at), Corrupt, "on the "+l.side.String()+": "+detail)
	c.done = true
}

func (c *Comparer) differ(offset int64, kind Kind, detail string) {
	c.stats.Differing++
	if c.first == nil {
		c.first = &Difference{offset, kind, detail}
	}
	if !c.cfg.CountAll {
		c.done = true
	}
}

// open decodes a lane's head.
func (c *Comparer) open(l *lane) {
	p := l.head()
	if l.side == Source {
		c.stats.BatchesDecoded++
		c.stats.Bytes += int64(p.Size())
	}
	if err := l.open(c.at); err != nil {
		c.corrupt(l, p.BaseOffset, err.Error())
	}
}

// next goes on behind a lane's record.
func (c *Comparer) next(l *lane) {
	base := l.head().BaseOffset
	if err := l.advance(); err != nil {
		c.corrupt(l, base, err.Error())
	}
}

// rawEqual compares the heads of both lanes by their bytes and is done with them if they are equal. Batches
// that reach over the borders of the range are left to the records, so that counts are exact.
func (c *Comparer) rawEqual(s, t *lane) bool {
	a, b := s.head(), t.head()
	if s.isOpen() || t.isOpen() || b.aborted || a.BaseOffset < c.at || a.NextOffset() > c.cfg.To || !sameBatch(&a.Batch, &b.Batch) {
		return false
	}
	if c.keys[Source].Len()+c.keys[Target].Len() > 0 {
		err := c.scan.Records(&a.Batch, func(r *batch.Record) error {
			c.settle(r.Key)
			return nil
		})
		if err != nil {
			c.corrupt(s, a.BaseOffset, err.Error())
			return true
		}
	}
	c.stats.BatchesIdentical++
	c.stats.Records += int64(a.Count)
	c.stats.Bytes += int64(a.Size())
	c.at = a.NextOffset()
	s.drop()
	t.drop()
	return true
}

// settle is told of a key that both sides have at the present offset.
func (c *Comparer) settle(key []byte) {
	c.stats.ThinnedSource += c.keys[Target].settle(key)
	c.stats.ThinnedTarget += c.keys[Source].settle(key)
}

// compare judges the records that both lanes have at the same offset.
func (c *Comparer) compare() {
	s, t := &c.lanes[Source], &c.lanes[Target]
	offset := s.rec.Offset
	d := compareRecords(s.rec, t.rec)
	if d == nil && s.kind != t.kind {
		d = c.timeKinds(s.kind, t.kind)
	}
	if d != nil {
		c.differ(offset, d.Kind, d.Detail)
	} else {
		c.stats.Records++
	}
	c.stats.ThinnedSource += c.keys[Target].settle(s.rec.Key)
	c.stats.ThinnedTarget += c.keys[Source].settle(t.rec.Key)
	c.at = offset + 1
	c.next(s)
	c.next(t)
}

// timeKinds judges differing timestamp types of records with equal timestamps. No broker takes a batch with
// the broker's time from a client as it is, so it arrives as CreateTime.
func (c *Comparer) timeKinds(s, t timeKind) *Difference {
	switch {
	case s == logAppendTime && t == createTime:
		c.stats.LogAppendTime++
		return nil
	case s == noTimestamp && t == createTime:
		c.stats.NoTimestamp++
		return nil
	}
	return &Difference{Kind: TimestampType, Detail: fmt.Sprintf("timestamp type %s on the source, %s on the target", timeNames[s], timeNames[t])}
}

// onlySource judges a record that the target does not have.
func (c *Comparer) onlySource() {
	l := &c.lanes[Source]
	r := l.rec
	c.stats.ThinnedSource += c.keys[Target].settle(r.Key)
	switch {
	case c.cfg.TargetThins == ThinNever || r.Key == nil:
		c.differ(r.Offset, Missing, "a record that the target does not have: "+describeRecord(r))
	case c.cfg.TargetThins == ThinAccepted:
		c.stats.ThinnedTarget++
	default:
		c.keys[Source].add(r)
	}
	c.at = r.Offset + 1
	c.next(l)
}

// onlyTarget judges a record that the source does not have. Whether it is an echo can be said only when the
// source's next record is known; false means that the source must be fed first.
func (c *Comparer) onlyTarget(sLow int64) bool {
	s, t := &c.lanes[Source], &c.lanes[Target]
	r := t.rec
	if c.cfg.SourceThins != ThinNever && !s.isOpen() && sLow < c.cfg.To {
		if s.head() == nil {
			return c.need(s)
		}
		c.open(s)
		return true
	}
	c.stats.ThinnedTarget += c.keys[Source].settle(r.Key)
	switch {
	case c.cfg.SourceThins == ThinNever || r.Key == nil:
		c.differ(r.Offset, Phantom, "a record that the source does not have: "+describeRecord(r))
	case s.isOpen() && compareRecords(s.rec, r) == nil:
		c.stats.Echoes++
	case c.cfg.SourceThins == ThinAccepted:
		c.stats.ThinnedSource++
	default:
		c.keys[Target].add(r)
	}
	c.at = r.Offset + 1
	c.next(t)
	return true
}

// skipAborted is done with a lane's head if it belongs to an aborted transaction.
func (c *Comparer) skipAborted(l *lane) bool {
	p := l.head()
	if p == nil || !p.aborted {
		return false
	}
	records := min(int64(p.Count), p.NextOffset()-max(p.BaseOffset, c.cfg.From), c.cfg.To-p.BaseOffset)
	if l.side == Source {
		c.stats.AbortedNotCopied += records
		l.drop()
		return true
	}
	filler, err := isFiller(c.scan, &p.Batch)
	switch {
	case err != nil:
		c.corrupt(l, p.BaseOffset, err.Error())
		return true
	case filler:
		c.stats.AbortedFillers += records
	default:
		c.stats.AbortedForeign += records
		if !c.cfg.AbortedForeign {
			c.differ(p.BaseOffset, Phantom, "records of an aborted transaction that are not kferry's filler: consumers that read uncommitted see them")
		}
	}
	l.drop()
	return true
}
