package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/bench/result"
	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
)

// filler writes one workload's topic.
type filler struct {
	workload workload
	rows     int
	start    int64
	cluster  *kafka.Cluster
	conn     *kafka.Conn
	id       kafka.ProducerID
	now      int64 // timestamp of all records, ms

	underWay chan struct{} // a token for each request
	failed   atomic.Pointer[error]
	batches  atomic.Int64
	bytes    atomic.Int64
}

// fill creates and fills the workload's topic on the source and says what it is like.
func fill(ctx context.Context, c *kafka.Cluster, w workload, scale float64) (result.Workload, error) {
	f := &filler{workload: w, rows: w.rows(scale), start: w.start(scale), cluster: c, now: time.Now().UnixMilli(), underWay: make(chan struct{}, 64)}
	if err := f.run(ctx); err != nil {
		return result.Workload{}, fmt.Errorf("fill topic %s: %w", w.name, err)
	}
	return result.Workload{
		Name: w.name, Codec: w.codec.String(), Partitions: w.partitions, RecordBytes: w.recordBytes, BatchBytes: w.recordBytes * w.perBatch,
		Records: f.batches.Load() * int64(w.perBatch), Batches: f.batches.Load(), WireBytes: f.bytes.Load(), Note: w.note,
	}, nil
}

func (f *filler) run(ctx context.Context) error {
	leaders, err := createTopic(ctx, f.cluster, f.workload.name, f.workload.partitions, 1, f.workload.config)
	if err != nil {
		return err
	}
	if f.id, err = f.cluster.InitProducer(ctx, "bench-fill", time.Minute); err != nil {
		return err
	}
	if f.conn, err = f.cluster.Dial(ctx, leaders[0].Node); err != nil {
		return err
	}
	defer f.conn.Close()
	for _, l := range leaders {
		if err := f.advance(ctx, l); err != nil {
			return err
		}
	}
	workers := min(runtime.GOMAXPROCS(0), len(leaders))
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() { errs[i] = f.write(ctx, leaders, i, workers) })
	}
	wg.Wait()
	for range cap(f.underWay) { // wait for the answers
		f.underWay <- struct{}{}
	}
	if err := f.failed.Load(); err != nil {
		errs = append(errs, *err)
	}
	return errors.Join(errs...)
}

// advance occupies the offsets before the log start and deletes them.
func (f *filler) advance(ctx context.Context, l kafka.Leader) error {
	if f.start == 0 {
		return nil
	}
	raw := batch.Filler(batch.MaxFiller)
	for at := int64(0); at < f.start; at += batch.MaxFiller {
		if err := batch.Rewrite(raw, batch.Producer{ID: f.id.ID, Epoch: f.id.Epoch, Sequence: f.sequence(at)}); err != nil {
			return err
		}
		if _, err := f.conn.ProduceOne(ctx, l.TopicPartition, raw, ""); err != nil {
			return err
		}
	}
	_, err := f.cluster.DeleteBefore(ctx, l, f.start)
	return err
}

// sequence is that of a partition's record at an offset.
func (f *filler) sequence(offset int64) int32 { return int32(offset & 0x7fffffff) }

// write fills every n-th partition from i on, row by row, so that the log
// holds all partitions side by side.
func (f *filler) write(ctx context.Context, leaders []kafka.Leader, i, n int) error {
	text := newContent(uint64(i))
	var b batch.Builder
	for row := range f.rows {
		for p := i; p < len(leaders); p += n {
			at := f.start + int64(row*f.workload.perBatch)
			b.Reset()
			for k := range f.workload.perBatch {
				r := text.record(at+int64(k), f.now, f.workload.recordBytes)
				if err := b.Append(&r); err != nil {
					return err
				}
			}
			raw, err := b.Finish(f.workload.codec)
			if err != nil {
				return err
			}
			if err := f.send(ctx, leaders[p].TopicPartition, raw, at); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *filler) send(ctx context.Context, tp estate.TopicPartition, raw []byte, at int64) error {
	if err := batch.Rewrite(raw, batch.Producer{ID: f.id.ID, Epoch: f.id.Epoch, Sequence: f.sequence(at)}); err != nil {
		return err
	}
	select {
	case f.underWay <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := f.failed.Load(); err != nil {
		<-f.underWay
		return *err
	}
	f.batches.Add(1)
	f.bytes.Add(int64(len(raw)))
	err := f.conn.Produce([]kafka.ProduceBatch{{TopicPartition: tp, Batch: raw}}, kafka.AcksLeader, 30_000, "", func(answers []kafka.Produced, err error) {
		for _, a := range answers {
			if err == nil && a.Err != nil {
				err = fmt.Errorf("%s: %w: %s", a.TopicPartition, a.Err, a.Message)
			}
			if err == nil && a.Base != at {
				err = fmt.Errorf("%s: a batch for offset %d went to %d", a.TopicPartition, at, a.Base)
			}
		}
		if err != nil {
			f.failed.CompareAndSwap(nil, &err)
		}
		<-f.underWay
	})
	if err != nil {
		<-f.underWay
	}
	return err
}
