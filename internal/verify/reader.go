package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/verify/digest"
)

const (
	fetchWait      = 500 * time.Millisecond // how long a broker may hold an answer for want of data
	fetchTimeout   = 40 * time.Second       // after which a connection is given up
	maxFetchBytes  = 192 << 20              // for a batch that does not fit, below what a connection takes
	provingAnswers = 2                      // empty answers that prove a hole at the end of the log
)

// reader reads one partition of one side from next to to, in order, alone in each fetch, so that an empty
// answer is never for want of room. Offsets are the source's: a side with a shift is asked at its own.
type reader struct {
	Side
	which    digest.Side
	links    *links
	next, to int64
	bytes    int           // of the next fetch
	most     int           // to which bytes grows from fetch to fetch
	patience time.Duration // without progress
	tiered   bool          // the topic keeps records in remote storage (KIP-405)
}

// fed is what a reader hands over: a chunk, or why there is none.
type fed struct {
	chunk *digest.Chunk
	err   error
}

// run sends chunks until the end, an error or the end of ctx, and closes out.
func (r *reader) run(ctx context.Context, out chan<- fed) {
	defer close(out)
	for r.next < r.to {
		chunk, err := r.read(ctx)
		if err == nil {
			r.next = chunk.Next
			r.bytes = max(r.bytes, min(4*r.bytes, r.most))
		}
		select {
		case out <- fed{chunk, err}:
		case <-ctx.Done():
			release(chunk)
			return
		}
		if err != nil {
			return
		}
	}
}

func release(c *digest.Chunk) {
	if c != nil && c.Release != nil {
		c.Release()
	}
}

// read returns the next chunk. It looks again for as long as patience allows; an error is final.
func (r *reader) read(ctx context.Context) (*digest.Chunk, error) {
	try := attempts{patience: r.patience, since: time.Now()}
	empty := 0
	for {
		chunk, state, err := r.fetch(ctx, empty > 0)
		switch {
		case ctx.Err() != nil:
			release(chunk)
			return nil, ctx.Err()
		case err != nil:
			empty = 0
			if err = r.recover(ctx, err); err == nil {
				continue
			}
			if final(err) {
				return nil, err
			}
			if err := try.again(ctx, err); err != nil {
				return nil, err
			}
		case chunk != nil:
			return chunk, nil
		case state.grow > r.bytes:
			if state.grow > maxFetchBytes {
				return nil, fmt.Errorf("the batch at offset %d of the %s has %d bytes, which is more than kferry reads at once", r.next, r.which, state.grow)
			}
			r.bytes = state.grow
		case empty == 0 && !state.throttled && (state.stable < 0 || state.stable > r.next):
			empty = 1 // nothing, though there should be something: from now on ask anew
		case state.alone && state.stable > r.next:
			if empty++; empty > provingAnswers {
				return r.hole(min(state.stable, r.to))
			}
		default:
			empty = 0
			if err := try.again(ctx, state.nothing(r)); err != nil {
				return nil, err
			}
		}
	}
}

// hole is the end of a log without batches: everything there was compacted away.
func (r *reader) hole(end int64) (*digest.Chunk, error) {
	if r.tiered {
		return nil, fmt.Errorf("the %s answered nothing at offset %d; with remote storage that may be a slow read or an empty end of the log, and cannot be told apart", r.which, r.next)
	}
	return digest.Hole(r.next, end), nil
}

// emptyAnswer is what is known after an answer without a usable batch.
type emptyAnswer struct {
	stable    int64 // last stable offset, -1 if not told
	alone     bool  // a new session's answer, not throttled and without a single byte
	throttled bool
	grow      int // bytes that the next batch needs
}

func (e emptyAnswer) nothing(r *reader) error {
	if e.throttled {
		return fmt.Errorf("the %s's quota holds back the fetch at offset %d", r.which, r.next)
	}
	return fmt.Errorf("the %s has no stable offset at %d (its last stable offset is %d, %d was expected)", r.which, r.next, e.stable, r.to)
}

// fetch asks once. With anew it is a request of a new session, whose answer tells everything. Chunk is nil if
// there was nothing usable in the answer.
func (r *reader) fetch(ctx context.Context, anew bool) (*digest.Chunk, emptyAnswer, error) {
	state := emptyAnswer{stable: -1}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	k, err := r.links.to(ctx, r.Leader.Node)
	if err != nil {
		return nil, state, err
	}
	session := k.session
	if anew {
		session = kafka.NewSession(k.conn)
	}
	answer, err := session.Fetch(ctx, []kafka.FetchPosition{{
		TopicPartition: r.Leader.TopicPartition, TopicID: r.TopicID, Offset: r.next - r.Shift,
		LeaderEpoch: r.Leader.Epoch, LastEpoch: -1, MaxBytes: int32(r.bytes),
	}}, kafka.FetchLimits{
		MaxWaitMillis: int32(fetchWait / time.Millisecond), MinBytes: 1, MaxBytes: int32(r.bytes), ReadCommitted: true,
	})
	if err != nil {
		return nil, state, err
	}
	for i := range answer.Partitions {
		p := &answer.Partitions[i]
		if p.TopicPartition != r.Leader.TopicPartition {
			continue
		}
		if p.Err != nil {
			answer.Buffer.Release()
			return nil, state, p.Err
		}
		if err := r.rebase(p); err != nil {
			answer.Buffer.Release()
			return nil, state, &finalError{fmt.Errorf("read %s on the %s: %w", r.Leader.TopicPartition, r.which, err)}
		}
		if chunk := r.split(p); chunk.Need > 0 {
			state.grow = chunk.Need + 1<<10
		} else if chunk.Useful() {
			chunk.Release = answer.Buffer.Release
			return chunk, state, nil
		}
		state.stable = p.LastStable
		if state.stable < 0 {
			state.stable = p.HighWatermark
		}
		state.throttled = answer.Throttled
		state.alone = anew && !answer.Throttled && len(p.Records) == 0
	}
	answer.Buffer.Release()
	return nil, state, nil
}

// rebase brings an answer to the source's offsets.
func (r *reader) rebase(p *kafka.FetchedPartition) error {
	if r.Shift == 0 {
		return nil
	}
	if p.LastStable >= 0 {
		p.LastStable += r.Shift
	}
	p.HighWatermark += r.Shift
	for i := range p.Aborted {
		p.Aborted[i].FirstOffset += r.Shift
	}
	return batch.Rebase(p.Records, r.Shift)
}

func (r *reader) split(p *kafka.FetchedPartition) *digest.Chunk {
	f := digest.Fetch{From: r.next, To: r.to, Records: p.Records}
	for _, a := range p.Aborted {
		f.Aborted = append(f.Aborted, digest.Aborted{ProducerID: a.ProducerID, FirstOffset: a.FirstOffset})
	}
	return digest.Split(f)
}

// recover prepares the next attempt after err; nil means that it may be made at once.
func (r *reader) recover(ctx context.Context, err error) error {
	if kafka.IsFetchSession(err) {
		return nil // the session starts anew by itself
	}
	switch kafka.TroubleOf(err) {
	case kafka.OutOfRange:
		ends := r.Cluster.Ends(ctx, []kafka.Leader{r.Leader})[r.Leader.TopicPartition]
		if ends.Err == nil && ends.Start+r.Shift > r.next {
			return &movedError{r.which, ends.Start + r.Shift}
		}
	case kafka.OtherTopic:
		if rerr := r.refresh(ctx); final(rerr) {
			return rerr
		}
		return err // a new leader may not know the id yet
	case kafka.Denied:
		return &finalError{fmt.Errorf("read %s on the %s: %w", r.Leader.TopicPartition, r.which, err)}
	}
	r.links.drop(r.Leader.Node)
	if rerr := r.refresh(ctx); final(rerr) {
		return rerr
	}
	return fmt.Errorf("read %s on the %s at offset %d: %w", r.Leader.TopicPartition, r.which, r.next, err)
}

// finalError is one that will not pass.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

func final(err error) bool {
	var moved *movedError
	var recreated *recreatedError
	var other *finalError
	return errors.As(err, &moved) || errors.As(err, &recreated) || errors.As(err, &other)
}

// attempts waits between attempts, longer each time, until patience is used up.
type attempts struct {
	patience time.Duration
	since    time.Time
	n        int
}

// again waits; the error is err itself when there is no more patience, or that of ctx.
func (a *attempts) again(ctx context.Context, err error) error {
	if time.Since(a.since) > a.patience {
		return fmt.Errorf("no progress for %s: %w", a.patience, err)
	}
	wait := min(50*time.Millisecond<<min(a.n, 6), 2*time.Second)
	a.n++
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
