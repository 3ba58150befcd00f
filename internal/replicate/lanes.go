package replicate

import (
	"context"
	"hash/fnv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
)

// A broker's socket buffers are small by default (socket.receive.buffer.bytes and socket.send.buffer.bytes,
// 100 KiB each, fixed sizes that switch the kernel's own tuning off), so on a long link one connection carries
// about two of them a round trip, whatever its window. Several connections to each broker, with each
// partition on one of them, multiply that; on a short link one is best, because its requests carry more
// partitions.

// lane is one connection's worth of partitions at one target broker.
type lane struct {
	node int32
	n    int
}

const (
	lanesMax     = 8
	roundTripFor = 10 * time.Millisecond // of round trip, for one more lane
)

// lanesFor is how many connections to a broker a round trip calls for.
func lanesFor(roundTrip time.Duration) int {
	return int(min(max(roundTrip/roundTripFor, 1), lanesMax))
}

// roundTrip is the shortest of a few round trips to some broker of a cluster.
func roundTrip(ctx context.Context, c *kafka.Cluster) (time.Duration, error) {
	for node := range c.Brokers() {
		conn, err := c.Dial(ctx, node)
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		best := time.Hour
		for range 3 {
			start := time.Now()
			if err := conn.Ping(ctx); err != nil {
				return 0, err
			}
			best = min(best, time.Since(start))
		}
		return best, nil
	}
	return 0, nil
}

// measureLanes decides on the number of connections to each broker of both sides.
func (e *Engine) measureLanes(ctx context.Context) error {
	var source, target time.Duration
	both, bothCtx := errgroup.WithContext(ctx)
	both.Go(func() (err error) { source, err = roundTrip(bothCtx, e.o.Source); return err })
	both.Go(func() (err error) { target, err = roundTrip(bothCtx, e.o.Target); return err })
	if err := both.Wait(); err != nil {
		return err
	}
	e.sourceLanes, e.targetLanes = lanesFor(source), lanesFor(target)
	e.log.Info("round trips measured", "source", source, "target", target,
		"sourceConnections", e.sourceLanes, "targetConnections", e.targetLanes)
	return nil
}

// laneOf spreads partitions over n lanes; neighbours of one topic go to different ones.
func laneOf(tp estate.TopicPartition, n int) int {
	if n <= 1 {
		return 0
	}
	h := fnv.New32a()
	h.Write([]byte(tp.Topic))
	return int((h.Sum32() + uint32(tp.Partition)) % uint32(n))
}
