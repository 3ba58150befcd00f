package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/estate"
)

// Record is one record of a small topic of kferry's own. A nil Value is a tombstone.
type Record struct {
	Key, Value []byte
	Offset     int64
	Time       time.Time
}

// Append writes records to a topic of one partition, in order, and returns when all replicas in sync have
// them. It retries what may be retried; a repeated record of a compacted topic does no harm. Never used for
// the topics of a flow. Needs WRITE on the topic.
func (c *Cluster) Append(ctx context.Context, topic string, records []Record) error {
	if len(records) == 0 {
		return nil
	}
	err := c.produceWithin(ctx, topic, records)
	if errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.UnknownTopicOrPartition) {
		// A topic that was deleted and created again has another id, for which the client would not look.
		c.client.PurgeTopicsFromProducing(topic)
		err = c.produceWithin(ctx, topic, records)
	}
	if err != nil {
		if kerr.TopicAuthorizationFailed == err {
			err = &DeniedError{"Write", "Topic", topic, c.alias, err}
		}
		return fmt.Errorf("write to topic %s of cluster %s: %w", topic, c.alias, err)
	}
	return nil
}

// appendPatience is how long Append waits for an answer, whatever its caller's context says.
const appendPatience = 30 * time.Second

// produceWithin is ProduceSync that ends with its context. franz-go's does not: a batch of its idempotent producer
// whose outcome is unknown cannot be taken back, and a target that went away while kferry was ending kept it from
// ending. Closing the client ends what is left behind here.
func (c *Cluster) produceWithin(ctx context.Context, topic string, records []Record) error {
	out := make([]*kgo.Record, len(records))
	for i, r := range records {
		out[i] = &kgo.Record{Topic: topic, Key: r.Key, Value: r.Value}
	}
	ctx, cancel := context.WithTimeout(ctx, appendPatience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.client.ProduceSync(ctx, out...).FirstErr() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// contentFactor is how many times larger than its batches the content of a small topic may be.
const contentFactor = 4

const (
	// readAttempts times readPause is how long a topic may be without a leader, as it is after its creation
	// and while leaders are elected, before reading it fails.
	readAttempts = 50
	readPause    = 200 * time.Millisecond
)

// ReadAll reads partition 0 of a topic from its log start to the high watermark of this moment. More than
// limit bytes of batches is an error: the topic is not the small one it was taken for. Errors: ErrUnknownTopic;
// *DeniedError (needs READ).
func (c *Cluster) ReadAll(ctx context.Context, topic string, limit int64) ([]Record, error) {
	for attempt := 1; ; attempt++ {
		records, err := c.readAll(ctx, topic, limit)
		if err == nil {
			return records, nil
		}
		if !kerr.IsRetriable(err) || errors.Is(err, ErrUnknownTopic) || attempt == readAttempts {
			return nil, fmt.Errorf("read topic %s of cluster %s: %w", topic, c.alias, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("read topic %s of cluster %s: %w", topic, c.alias, ctx.Err())
		case <-time.After(readPause):
		}
	}
}

func (c *Cluster) readAll(ctx context.Context, topic string, limit int64) ([]Record, error) {
	leader, err := c.leaderOf(ctx, topic)
	if err != nil {
		return nil, err
	}
	ends := c.Ends(ctx, []Leader{leader})[leader.TopicPartition]
	if ends.Err != nil {
		return nil, ends.Err
	}
	var records []Record
	var size, content int64
	for at := ends.Start; at < ends.High; {
		part, err := c.fetchPart(ctx, leader, at)
		if err != nil {
			return nil, fmt.Errorf("at offset %d: %w", at, err)
		}
		if size += part.size; size > limit {
			return nil, fmt.Errorf("it holds more than %d bytes", limit)
		}
		if content += part.content; content > contentFactor*limit {
			return nil, fmt.Errorf("it holds more than %d bytes when decompressed", contentFactor*limit)
		}
		records = append(records, part.records...)
		if part.next <= at { // a tail of which compaction left nothing
			break
		}
		at = part.next
	}
	return records, nil
}

func (c *Cluster) leaderOf(ctx context.Context, topic string) (Leader, error) {
	md, err := c.Metadata(ctx, []string{topic})
	if err != nil {
		return Leader{}, err
	}
	t, ok := md.Topics[topic]
	if !ok {
		if err := md.Errors[topic]; kerr.TopicAuthorizationFailed == err {
			return Leader{}, &DeniedError{"Describe", "Topic", topic, c.alias, err}
		} else if err != nil {
			return Leader{}, err
		}
		return Leader{}, ErrUnknownTopic
	}
	if len(t.Partitions) == 0 || t.Partitions[0].Leader < 0 {
		return Leader{}, kerr.LeaderNotAvailable
	}
	p := t.Partitions[0]
	return Leader{estate.TopicPartition{Topic: topic}, p.Leader, p.LeaderEpoch}, nil
}

type fetchedPart struct {
	records []Record
	size    int64 // bytes of batches
	content int64 // bytes of keys and values
	next    int64 // first offset after what was read
}

// fetchPart reads some batches from an offset on.
func (c *Cluster) fetchPart(ctx context.Context, l Leader, at int64) (fetchedPart, error) {
	const most = 8 << 20
	req := kmsg.NewPtrFetchRequest()
	req.Version = 12 // the last one that names topics by name
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = -1, 500, 1, most, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = l.Topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.FetchOffset, p.PartitionMaxBytes = l.Partition, -1, at, most
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	answer, err := c.ask(ctx, l.Node, req)
	if err != nil {
		return fetchedPart{}, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return fetchedPart{}, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return fetchedPart{}, fmt.Errorf("node %d left %s out of its answer", l.Node, l.TopicPartition)
	}
	rp := &resp.Topics[0].Partitions[0]
	if err := c.refused(rp.ErrorCode, nil, grant{"Read", "Topic", l.Topic}); err != nil {
		return fetchedPart{}, err
	}
	return decodePart(rp.RecordBatches, at)
}

// smallBatch bounds what one batch of a small topic may decompress to, many times what kferry writes into one.
const smallBatch = 64 << 20

// decodePart reads the records from offset at on. Markers hold none.
func decodePart(raw []byte, at int64) (fetchedPart, error) {
	part := fetchedPart{size: int64(len(raw)), next: at}
	d := batch.NewDecoder(batch.Limits{MaxDecompressed: smallBatch})
	for len(raw) > 0 {
		b, rest, err := batch.Next(raw)
		if errors.Is(err, batch.ErrPartial) {
			break
		}
		if err == nil {
			err = b.CheckCRC()
		}
		if err == nil && !b.Control() {
			err = d.Records(&b, func(r *batch.Record) error {
				if r.Offset >= at {
					part.content += int64(len(r.Key) + len(r.Value))
					part.records = append(part.records, Record{bytes.Clone(r.Key), bytes.Clone(r.Value), r.Offset, time.UnixMilli(r.Timestamp)})
				}
				return nil
			})
		}
		if err != nil {
			return fetchedPart{}, err
		}
		raw, part.next = rest, max(part.next, b.NextOffset())
	}
	return part, nil
}
