package history

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Dense writes batches of n equal records without key or value, more than a client would put into one batch:
// a cheap way to move a log's end far out. It needs about a byte an offset.
func (p *Pen) Dense(ctx context.Context, partition int32, n int, batches int) error {
	raw, err := denseBatch(n, p.now)
	if err != nil {
		return err
	}
	md, err := kadm.NewClient(p.w.client).Metadata(ctx, p.topic)
	if err != nil {
		return err
	}
	leader := p.w.client.Broker(int(md.Topics[p.topic].Partitions[partition].Leader))
	for range batches {
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = -1, 30_000
		rt := kmsg.NewProduceRequestTopic()
		rt.Topic = p.topic
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Partition, rp.Records = partition, raw
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		resp, err := leader.Request(ctx, req)
		if err != nil {
			return err
		}
		if err := kerr.ErrorForCode(resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode); err != nil {
			return fmt.Errorf("produce a dense batch to %s-%d: %w", p.topic, partition, err)
		}
	}
	return nil
}

// denseBatch builds a zstd batch of n records without key, value and headers at one timestamp.
func denseBatch(n int, timestamp int64) ([]byte, error) {
	var records []byte
	for i := range n {
		body := binary.AppendVarint([]byte{0, 0}, int64(i)) // attributes, timestamp delta, offset delta
		body = append(body, 1, 1, 0)                        // null key, null value, no headers
		records = append(binary.AppendVarint(records, int64(len(body))), body...)
	}
	compressor, err := kgo.DefaultCompressor(kgo.ZstdCompression())
	if err != nil {
		return nil, err
	}
	packed, codec := compressor.Compress(new(bytes.Buffer), records)
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: int16(codec), LastOffsetDelta: int32(n - 1),
		FirstTimestamp: timestamp, MaxTimestamp: timestamp,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: int32(n), Records: packed,
	}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw, nil
}
