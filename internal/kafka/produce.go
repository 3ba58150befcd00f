package kafka

import (
	"encoding/binary"
	"fmt"
	"net"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/estate"
)

// ProduceBatch is one batch for one partition, complete wire bytes. One request carries at most one batch of
// a partition (the broker refuses more since Produce v3).
type ProduceBatch struct {
	estate.TopicPartition
	Batch []byte
}

// Produced is the broker's answer for one batch.
type Produced struct {
	estate.TopicPartition
	Err      error  // a kerr error
	Message  string // the broker's own words about Err, may be empty
	Base     int64  // offset given to the first record
	LogStart int64
}

// Produce versions: 9 is the first flexible one (Kafka 2.8) and the lowest we speak; 11 is the last in which
// a transactional batch must have been added to its transaction before (12 adds it by itself, KIP-890), and
// 13 names topics by id.
const (
	minProduceVersion = 9
	maxProduceVersion = 11
)

// Acks says when a produce request counts as done.
type Acks int16

const (
	AcksLeader Acks = 1  // appended by the leader: only while the high watermark is watched separately
	AcksAll    Acks = -1 // in the log of every in-sync replica
)

// Produce sends one request made of batches and returns as soon as it is written; done gets one Produced for
// each batch, in the order of the answer, or an error after which the outcome of all is unknown. The batches
// may be reused when Produce returns. The broker is given timeoutMillis for replication, or the cluster's request
// timeout where that is shorter. transactionalID is empty except for fillers inside a transaction.
// An error return means that nothing was sent and done will not be called.
func (c *Conn) Produce(batches []ProduceBatch, acks Acks, timeoutMillis int32, transactionalID string, done func([]Produced, error)) error {
	version := min(c.MaxVersion(int16(kmsg.Produce)), maxProduceVersion)
	if version < minProduceVersion {
		return fmt.Errorf("produce to %s: the broker offers version %d, kferry needs %d (Kafka 2.8): %w",
			c.addr, version, minProduceVersion, kerr.UnsupportedVersion)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	id := c.nextID()
	timeoutMillis = int32(min(int64(timeoutMillis), c.patience.Milliseconds()))
	frame := c.produceFrame(batches, version, id, acks, timeoutMillis, transactionalID)
	return c.send(frame, call{id: id, flexible: true, done: func(body []byte, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		out, err := readProduced(body)
		if err != nil {
			err = fmt.Errorf("read produce answer of %s: %w", c.addr, err)
		}
		done(out, err)
	}})
}

// produceFrame lays the request out as parts: framing from c.scratch, record bytes where they lie. The
// caller holds c.writing.
func (c *Conn) produceFrame(batches []ProduceBatch, version int16, id int32, acks Acks, timeoutMillis int32, transactionalID string) net.Buffers {
	b := append(c.scratch[:0], 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(kmsg.Produce))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(id))
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.clientID)))
	b = append(b, c.clientID...)
	b = append(b, 0) // no tags in the header
	if transactionalID == "" {
		b = append(b, 0)
	} else {
		b = appendCompactString(b, transactionalID)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(acks))
	b = binary.BigEndian.AppendUint32(b, uint32(timeoutMillis))

	topics := groupByTopic(batches)
	b = binary.AppendUvarint(b, uint64(len(topics))+1)
	cuts := make([]int, 0, len(batches)) // where in b each batch belongs
	ordered := make([][]byte, 0, len(batches))
	total := 0
	for _, t := range topics {
		b = appendCompactString(b, batches[t[0]].Topic)
		b = binary.AppendUvarint(b, uint64(len(t))+1)
		for _, i := range t {
			raw := batches[i].Batch
			b = binary.BigEndian.AppendUint32(b, uint32(batches[i].Partition))
			b = binary.AppendUvarint(b, uint64(len(raw))+1)
			cuts = append(cuts, len(b))
			ordered = append(ordered, raw)
			total += len(raw)
			b = append(b, 0) // no tags in the partition
		}
		b = append(b, 0) // no tags in the topic
	}
	b = append(b, 0) // no tags in the body
	binary.BigEndian.PutUint32(b, uint32(len(b)-4+total))
	c.scratch = b

	frame := make(net.Buffers, 0, 2*len(batches)+1)
	from := 0
	for i, cut := range cuts {
		frame = append(frame, b[from:cut], ordered[i])
		from = cut
	}
	return append(frame, b[from:])
}

func appendCompactString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s))+1)
	return append(b, s...)
}

// groupByTopic returns, for each topic in order of first appearance, the indexes of its batches.
func groupByTopic(batches []ProduceBatch) [][]int {
	var groups [][]int
	index := make(map[string]int, 4)
	for i := range batches {
		g, ok := index[batches[i].Topic]
		if !ok {
			g = len(groups)
			index[batches[i].Topic] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	return groups
}
