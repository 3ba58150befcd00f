package digest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/kferry/kferry/internal/batch"
)

// Aborted is one aborted transaction that overlaps what was fetched: every transactional batch of ProducerID
// from FirstOffset up to its abort marker is not to be read.
type Aborted struct {
	ProducerID  int64
	FirstOffset int64
}

// Fetch is what one side answered for one partition, read with isolation read_committed: such an answer
// holds all records up to the last stable offset and says which of them were aborted, so that one read
// serves both isolation levels.
type Fetch struct {
	From    int64 // the offset asked for
	To      int64 // where the interest ends; 0: nowhere
	Records []byte
	Aborted []Aborted
}

// Chunk is an answer taken apart: it says all that there is in [From, Next).
type Chunk struct {
	From, Next int64
	// Need is the size in bytes of a first batch that did not fit into the answer; Next is then From.
	Need int
	// Release, if set, is called when the Comparer no longer looks at the bytes.
	Release func()

	pieces  []piece
	markers int64 // offsets of control markers in [From, Next)
	corrupt *Difference
}

// piece is a data batch.
type piece struct {
	batch.Batch
	aborted bool
}

// Hole is a chunk of offsets that hold nothing at all, for the end of a log where no batch follows to show it.
func Hole(from, next int64) *Chunk { return &Chunk{From: from, Next: next} }

// Split takes an answer apart. It checks structure and checksum of every batch; where a fault is found the
// chunk ends there, and the Comparer reports it when it comes to that offset. Batches of which less than all
// is there are left for the next fetch.
func Split(f Fetch) *Chunk {
	c := &Chunk{From: f.From, Next: f.From}
	aborted := newAbortedSet(f.Aborted)
	rest := f.Records
	for len(rest) > 0 && c.corrupt == nil {
		b, after, err := batch.Next(rest)
		if errors.Is(err, batch.ErrPartial) {
			if c.Next == c.From {
				c.Need = batch.WireSize(rest)
			}
			return c
		}
		if err != nil {
			c.fault(c.Next, err)
			return c
		}
		rest = after
		if b.LastOffset() < f.From {
			continue // an answer may begin before the offset asked for
		}
		if f.To > 0 && b.BaseOffset >= f.To {
			c.Next = f.To
			return c
		}
		c.take(b, aborted)
	}
	return c
}

func (c *Chunk) fault(offset int64, err error) {
	c.corrupt = &Difference{Offset: max(offset, c.Next), Kind: Corrupt, Detail: err.Error()}
	c.Next = c.corrupt.Offset
}

// cut forgets what reaches beyond offset: two batches claim to be there.
func (c *Chunk) cut(offset int64) {
	c.pieces = slices.DeleteFunc(c.pieces, func(p piece) bool { return p.NextOffset() > offset })
	c.Next = offset
}

// take adds one batch.
func (c *Chunk) take(b batch.Batch, aborted *abortedSet) {
	if c.Next > c.From && b.BaseOffset < c.Next {
		err := fmt.Errorf("batch at offset %d after one that ends at %d", b.BaseOffset, c.Next-1)
		c.cut(max(b.BaseOffset, c.From))
		c.fault(c.Next, err)
		return
	}
	if err := b.CheckCRC(); err != nil {
		c.fault(b.BaseOffset, err)
		return
	}
	aborted.advance(b.LastOffset())
	if b.Control() {
		typ, err := b.ControlType()
		if err != nil {
			c.fault(b.BaseOffset, fmt.Errorf("control batch at offset %d: %w", b.BaseOffset, err))
			return
		}
		if typ == batch.Abort {
			aborted.end(b.ProducerID)
		}
		c.markers += b.NextOffset() - max(b.BaseOffset, c.From)
	} else if b.Count > 0 || len(b.Payload()) > 0 { // the cleaner keeps emptied batches for their producer's sequence
		c.pieces = append(c.pieces, piece{b, b.Transactional() && aborted.has(b.ProducerID)})
	}
	c.Next = b.NextOffset()
}

// abortedSet follows, batch by batch, which producers are inside an aborted transaction.
type abortedSet struct {
	list   []Aborted
	active map[int64]bool
}

func newAbortedSet(list []Aborted) *abortedSet {
	byOffset := func(a, b Aborted) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) }
	if !slices.IsSortedFunc(list, byOffset) {
		list = slices.SortedFunc(slices.Values(list), byOffset)
	}
	s := &abortedSet{list: list}
	if len(list) > 0 {
		s.active = make(map[int64]bool, len(list))
	}
	return s
}

func (s *abortedSet) advance(last int64) {
	for len(s.list) > 0 && s.list[0].FirstOffset <= last {
		s.active[s.list[0].ProducerID] = true
		s.list = s.list[1:]
	}
}

func (s *abortedSet) has(id int64) bool { return s.active[id] }
func (s *abortedSet) end(id int64)      { delete(s.active, id) }

// Useful says whether the chunk tells anything: offsets, or a fault.
func (c *Chunk) Useful() bool { return c.Next > c.From || c.corrupt != nil }
