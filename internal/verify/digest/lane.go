package digest

import (
	"iter"

	"github.com/kferry/kferry/internal/batch"
)

// lane is one side's way through the offsets: batches that were fed and not yet compared, and the records of
// the one that is open.
type lane struct {
	side    Side
	to      int64
	known   int64 // all that there is before this offset was fed
	chunks  []*Chunk
	corrupt *Difference // at known
	decoder *batch.Decoder

	// The open batch, if next is not nil. rec is its next record, valid until advance.
	next func() (*batch.Record, bool)
	stop func()
	err  error
	rec  *batch.Record
	kind timeKind
}

// timeKind is a record's timestamp type.
type timeKind uint8

const (
	createTime timeKind = iota
	logAppendTime
	noTimestamp // magic 0
)

var timeNames = [...]string{createTime: "CreateTime", logAppendTime: "LogAppendTime", noTimestamp: "none (magic 0)"}

func timeKindOf(h *batch.Header) timeKind {
	switch {
	case h.LogAppendTime():
		return logAppendTime
	case h.Magic == 0:
		return noTimestamp
	}
	return createTime
}

// feed takes a chunk that goes on where the lane ends.
func (l *lane) feed(c *Chunk) {
	l.known, l.corrupt = c.Next, c.corrupt
	if len(c.pieces) == 0 {
		c.release()
		return
	}
	l.chunks = append(l.chunks, c)
}

func (c *Chunk) release() {
	c.pieces = nil
	if c.Release != nil {
		c.Release()
		c.Release = nil
	}
}

// head is the first batch not yet compared, nil if none was fed.
func (l *lane) head() *piece {
	if len(l.chunks) == 0 {
		return nil
	}
	return &l.chunks[0].pieces[0]
}

// drop is done with the head.
func (l *lane) drop() {
	l.close()
	c := l.chunks[0]
	c.pieces = c.pieces[1:]
	if len(c.pieces) == 0 {
		c.release()
		l.chunks[0] = nil
		l.chunks = l.chunks[1:]
	}
}

// isOpen says whether rec is the lane's next record.
func (l *lane) isOpen() bool { return l.rec != nil }

// low is the lowest offset, not below at, where this lane may have its next record: exactly there if it is
// open, known and empty before that otherwise.
func (l *lane) low(at int64) int64 {
	switch p := l.head(); {
	case l.rec != nil:
		return l.rec.Offset
	case p != nil:
		return max(at, p.BaseOffset)
	}
	return max(at, l.known)
}

// open decodes the head up to its first record at or after at. Without one the head is dropped.
func (l *lane) open(at int64) error {
	p := l.head()
	l.kind = timeKindOf(&p.Header)
	l.next, l.stop = iter.Pull(func(yield func(*batch.Record) bool) {
		l.err = l.decoder.Records(&p.Batch, func(r *batch.Record) error {
			if !yield(r) {
				return errStopped
			}
			return nil
		})
	})
	for {
		if err := l.advance(); err != nil || l.rec == nil || l.rec.Offset >= at {
			return err
		}
	}
}

// advance goes to the next record of the open batch, and drops the batch behind the last one of interest. An
// error is that of decoding.
func (l *lane) advance() error {
	rec, ok := l.next()
	if ok && rec.Offset < l.to {
		l.rec = rec
		return nil
	}
	l.rec = nil
	if !ok && l.err != nil {
		err := l.err
		l.close()
		return err
	}
	l.drop()
	return nil
}

// close forgets the open batch without dropping it.
func (l *lane) close() {
	if l.stop != nil {
		l.stop()
	}
	l.next, l.stop, l.rec, l.err = nil, nil, nil, nil
}

// discard lets go of everything.
func (l *lane) discard() {
	l.close()
	for _, c := range l.chunks {
		c.release()
	}
	l.chunks = nil
}
