package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/kferry/kferry/internal/estate"
)

// ProduceOne produces one batch with acks=all and waits for the offset of its first record.
func (c *Conn) ProduceOne(ctx context.Context, tp estate.TopicPartition, raw []byte, transactionalID string) (int64, error) {
	type answer struct {
		out []Produced
		err error
	}
	answered := make(chan answer, 1)
	timeout := int32(answerTimeout / time.Millisecond)
	err := c.Produce([]ProduceBatch{{tp, raw}}, AcksAll, timeout, transactionalID, func(out []Produced, err error) {
		answered <- answer{out, err}
	})
	if err != nil {
		return -1, err
	}
	select {
	case a := <-answered:
		switch {
		case a.err != nil:
			return -1, fmt.Errorf("produce to %s: %w", tp, a.err)
		case len(a.out) != 1 || a.out[0].TopicPartition != tp:
			return -1, fmt.Errorf("produce to %s: the broker left it out of its answer, which is about %d partitions: %w", tp, len(a.out), kerr.UnknownServerError)
		case a.out[0].Err != nil:
			return -1, fmt.Errorf("produce to %s: %s: %w", tp, a.out[0].Message, a.out[0].Err)
		}
		return a.out[0].Base, nil
	case <-ctx.Done():
		return -1, fmt.Errorf("produce to %s: %w", tp, ctx.Err())
	}
}
