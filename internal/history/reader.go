package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// NewClient opens a franz-go client as the judge uses it. Requests are capped at those of Kafka 2.8, so that
// Fetch goes by topic name on every release.
func NewClient(bootstrap ...string) (*kgo.Client, error) {
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap...),
		kgo.MaxVersions(kversion.V2_8_0()),
		kgo.MetadataMinAge(50*time.Millisecond),
		kgo.DisableClientMetrics(),
	)
	if err != nil {
		return nil, fmt.Errorf("open client for %v: %w", bootstrap, err)
	}
	return cl, nil
}

// ends are the borders of one partition's log as a consumer sees them.
type ends struct {
	start  int64
	high   int64 // high watermark
	stable int64 // last stable offset
	leader int32
}

// readEnds asks for the borders of every partition of the topics, again while leaders move.
func readEnds(ctx context.Context, cl *kgo.Client, topics []string) (map[string][]ends, error) {
	for attempt := 0; ; attempt++ {
		all, err := tryEnds(ctx, cl, topics)
		if err == nil || attempt >= readRetries || !kerr.IsRetriable(err) {
			return all, err
		}
		time.Sleep(readWait)
	}
}

func tryEnds(ctx context.Context, cl *kgo.Client, topics []string) (map[string][]ends, error) {
	adm := kadm.NewClient(cl)
	md, err := adm.Metadata(ctx, topics...)
	if err != nil {
		return nil, err
	}
	lists := make([]kadm.ListedOffsets, 3)
	for i, list := range []func(context.Context, ...string) (kadm.ListedOffsets, error){
		adm.ListStartOffsets, adm.ListEndOffsets, adm.ListCommittedOffsets,
	} {
		if lists[i], err = list(ctx, topics...); err != nil {
			return nil, err
		}
		if err := lists[i].Error(); err != nil {
			return nil, err
		}
	}
	out := make(map[string][]ends, len(topics))
	for _, topic := range topics {
		t := md.Topics[topic]
		if t.Err != nil {
			return nil, fmt.Errorf("describe topic %s: %w", topic, t.Err)
		}
		out[topic] = make([]ends, len(t.Partitions))
		for id, p := range t.Partitions {
			at := func(i int) int64 { return lists[i][topic][id].Offset }
			out[topic][id] = ends{start: at(0), high: at(1), stable: at(2), leader: p.Leader}
		}
	}
	return out, nil
}

// reader hands out the records of one partition in [next, end), one isolation level, in order of offsets.
type reader struct {
	client    *kgo.Client
	topic     string
	partition int32
	leader    int32
	committed bool
	next, end int64

	ready  []*kgo.Record
	holes  int // answers in a row without progress
	probed int // errors in a row
}

const (
	readBytes   = 512 << 10 // of the wire; what tiny records become in memory is a hundred times as much
	readWait    = 200 * time.Millisecond
	readHoles   = 3 // answers without progress after which the rest is taken for a hole
	readRetries = 20
)

// peek returns the next record without taking it; nil at the end.
func (r *reader) peek(ctx context.Context) (*kgo.Record, error) {
	for len(r.ready) == 0 && r.next < r.end {
		if err := r.fetch(ctx); err != nil {
			return nil, fmt.Errorf("read %s-%d at offset %d: %w", r.topic, r.partition, r.next, err)
		}
	}
	if len(r.ready) == 0 || r.ready[0].Offset >= r.end {
		return nil, nil
	}
	return r.ready[0], nil
}

func (r *reader) take() { r.ready = r.ready[1:] }

// fetch asks for more. An answer without progress below the end is a hole only after it came a few times.
func (r *reader) fetch(ctx context.Context) error {
	answer, err := r.ask(ctx)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	if err != nil {
		if r.probed++; r.probed > readRetries || ctx.Err() != nil || !passing(err) {
			return err
		}
		time.Sleep(readWait)
		return r.locate(ctx)
	}
	r.probed = 0
	isolation := kgo.ReadUncommitted()
	if r.committed {
		isolation = kgo.ReadCommitted()
	}
	got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: r.next, IsolationLevel: isolation, Topic: r.topic, Partition: r.partition,
	}, answer, kgo.DefaultDecompressor(), nil)
	if got.Err != nil {
		return got.Err
	}
	r.ready = got.Records
	if next > r.next {
		r.next, r.holes = next, 0
		return nil
	}
	if r.holes++; r.holes >= readHoles {
		r.next = r.end
	}
	return nil
}

// passing says whether an error may go away by itself.
func passing(err error) bool {
	var ke *kerr.Error
	return !errors.As(err, &ke) || ke.Retriable
}

func (r *reader) ask(ctx context.Context) (*kmsg.FetchResponseTopicPartition, error) {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis = int32(readWait / time.Millisecond)
	req.MinBytes = 1
	req.MaxBytes = readBytes
	req.SessionEpoch = -1
	if r.committed {
		req.IsolationLevel = 1
	}
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic = r.topic
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition = r.partition
	rp.FetchOffset = r.next
	rp.PartitionMaxBytes = readBytes
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := r.client.Broker(int(r.leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	fr := resp.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(fr.ErrorCode); err != nil {
		return nil, err
	}
	if len(fr.Topics) != 1 || len(fr.Topics[0].Partitions) != 1 {
		return nil, errors.New("the answer to a fetch of one partition has another number of them")
	}
	return &fr.Topics[0].Partitions[0], nil
}

// locate finds the leader anew.
func (r *reader) locate(ctx context.Context) error {
	md, err := kadm.NewClient(r.client).Metadata(ctx, r.topic)
	if err != nil {
		return err
	}
	if p, ok := md.Topics[r.topic].Partitions[r.partition]; ok && p.Leader >= 0 {
		r.leader = p.Leader
	}
	return nil
}
