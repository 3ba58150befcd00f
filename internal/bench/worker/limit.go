package worker

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
)

// limit finds out how fast the target takes a topic's batches when nothing has
// to be fetched meanwhile: the batches are read into memory and rewritten
// before the first one is sent, and then sent over one connection to each
// broker, one batch of every partition in a request, acknowledged by the
// leader, as much under way as kferry allows itself.
func limit(ctx context.Context, f *flag.FlagSet, args []string) error {
	var s sides
	s.flags(f)
	window := f.Int64("window", 32<<20, "bytes under way to one broker")
	if err := f.Parse(args); err != nil {
		return err
	}
	source, err := open(ctx, "source", s.source)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := open(ctx, "target", s.target)
	if err != nil {
		return err
	}
	defer target.Close()
	logs, err := readTopic(ctx, source, s.topic)
	if err != nil {
		return err
	}
	id, err := target.InitProducer(ctx, "bench-limit", time.Minute)
	if err != nil {
		return err
	}
	if err := rewriteAll(logs, id); err != nil {
		return err
	}
	debug.SetGCPercent(-1) // gigabytes of batches that stay: there is nothing to collect
	brokers, err := byLeader(ctx, target, s.topic, logs)
	if err != nil {
		return err
	}
	errs := make([]error, len(brokers))
	var wg sync.WaitGroup
	for i, b := range brokers {
		wg.Go(func() { errs[i] = b.send(ctx, target, *window) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// partitionLog is all batches of one partition.
type partitionLog struct {
	tp      estate.TopicPartition
	batches [][]byte
}

func readTopic(ctx context.Context, c *kafka.Cluster, topic string) ([]partitionLog, error) {
	md, err := c.Metadata(ctx, []string{topic})
	if err != nil {
		return nil, err
	}
	var logs []partitionLog
	for _, p := range md.Topics[topic].Partitions {
		l := kafka.Leader{TopicPartition: estate.TopicPartition{Topic: topic, Partition: p.ID}, Node: p.Leader, Epoch: p.LeaderEpoch}
		log, err := readPartition(ctx, c, l)
		if err != nil {
			return nil, err
		}
		logs = append(logs, log)
	}
	return logs, nil
}

func readPartition(ctx context.Context, c *kafka.Cluster, l kafka.Leader) (partitionLog, error) {
	log := partitionLog{tp: l.TopicPartition}
	ends := c.Ends(ctx, []kafka.Leader{l})[l.TopicPartition]
	if ends.Err != nil {
		return log, ends.Err
	}
	for at := ends.Start; at < ends.High; {
		ans, err := c.FetchOne(ctx, l, at, 16<<20, false)
		if err != nil {
			return log, err
		}
		rest := slices.Clone(ans.Partitions[0].Records)
		ans.Buffer.Release()
		for before := at; ; {
			var b batch.Batch
			if b, rest, err = batch.Next(rest); errors.Is(err, batch.ErrPartial) {
				if at == before {
					return log, fmt.Errorf("read %s at %d: nothing came", l.TopicPartition, at)
				}
				break
			} else if err != nil {
				return log, err
			}
			log.batches = append(log.batches, b.Raw)
			at = b.NextOffset()
		}
	}
	return log, nil
}

func rewriteAll(logs []partitionLog, id kafka.ProducerID) error {
	for _, l := range logs {
		sequence := int32(0)
		for _, raw := range l.batches {
			b, _, err := batch.Next(raw)
			if err != nil {
				return err
			}
			if err := batch.Rewrite(raw, batch.Producer{ID: id.ID, Epoch: id.Epoch, Sequence: sequence}); err != nil {
				return err
			}
			sequence = batch.NextSequence(sequence, b.Count)
		}
	}
	return nil
}

// brokerLoad is what one broker of the target gets.
type brokerLoad struct {
	node int32
	logs []partitionLog
}

func byLeader(ctx context.Context, c *kafka.Cluster, topic string, logs []partitionLog) ([]*brokerLoad, error) {
	md, err := c.Metadata(ctx, []string{topic})
	if err != nil {
		return nil, err
	}
	partitions := md.Topics[topic].Partitions
	if len(partitions) != len(logs) {
		return nil, fmt.Errorf("topic %s has %d partitions on the target, %d on the source", topic, len(partitions), len(logs))
	}
	var loads []*brokerLoad
	for i, p := range partitions {
		at := slices.IndexFunc(loads, func(l *brokerLoad) bool { return l.node == p.Leader })
		if at < 0 {
			at = len(loads)
			loads = append(loads, &brokerLoad{node: p.Leader})
		}
		loads[at].logs = append(loads[at].logs, logs[i])
	}
	return loads, nil
}

// send sends everything and waits for the last answer.
func (l *brokerLoad) send(ctx context.Context, c *kafka.Cluster, window int64) error {
	conn, err := c.Dial(ctx, l.node)
	if err != nil {
		return err
	}
	defer conn.Close()
	w := newWindow(window)
	for row := 0; ; row++ {
		var request []kafka.ProduceBatch
		size := int64(0)
		for _, log := range l.logs {
			if row < len(log.batches) {
				request = append(request, kafka.ProduceBatch{TopicPartition: log.tp, Batch: log.batches[row]})
				size += int64(len(log.batches[row]))
			}
		}
		if len(request) == 0 {
			return w.drain()
		}
		if err := w.enter(size); err != nil {
			return err
		}
		err := conn.Produce(request, kafka.AcksLeader, 30_000, "", func(answers []kafka.Produced, err error) {
			for _, a := range answers {
				if a.Err != nil {
					err = fmt.Errorf("produce to %s: %w: %s", a.TopicPartition, a.Err, a.Message)
				}
			}
			w.leave(size, err)
		})
		if err != nil {
			return err
		}
	}
}

// window bounds the bytes under way.
type window struct {
	limit int64

	mu      sync.Mutex // guards what follows
	changed *sync.Cond
	bytes   int64
	err     error
}

func newWindow(limit int64) *window {
	w := &window{limit: limit}
	w.changed = sync.NewCond(&w.mu)
	return w
}

func (w *window) enter(n int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.bytes >= w.limit && w.err == nil {
		w.changed.Wait()
	}
	w.bytes += n
	return w.err
}

func (w *window) leave(n int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes -= n
	if err != nil && w.err == nil {
		w.err = err
	}
	w.changed.Broadcast()
}

func (w *window) drain() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.bytes > 0 && w.err == nil {
		w.changed.Wait()
	}
	return w.err
}
