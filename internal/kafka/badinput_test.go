package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/estate"
)

// frameOf is a frame with a length of its own choice.
func frameOf(length uint32, rest ...byte) rawFrame {
	return append(binary.BigEndian.AppendUint32(nil, length), rest...)
}

// What must end in an error that names what is wrong, at once, and close the connection.
func TestBadInputFrames(t *testing.T) {
	for name, c := range map[string]struct {
		answer any
		want   string
	}{
		"correlation id of another":        {frameOf(5, 0, 0, 0, 99, 0), "answer with correlation id 99 where "},
		"length 2^31-1":                    {frameOf(1<<31-1, 0, 0, 0, 0), "frame of 2147483647 bytes"},
		"length -1":                        {frameOf(1<<32-1, 0, 0, 0, 0), "frame of -1 bytes"},
		"length 0":                         {frameOf(0), "frame of 0 bytes"},
		"length 3":                         {frameOf(3, 0, 0, 0), "frame of 3 bytes"},
		"one byte over the largest":        {frameOf(maxFrame+1, 0), "frame of 268435457 bytes"},
		"HTTP":                             {rawFrame("HTTP/1.1 400 Bad Request\r\n"), "not a Kafka broker"},
		"a TLS alert":                      {rawFrame("\x15\x03\x03\x00\x02\x02\x0a"), "not a Kafka broker"},
		"hung up":                          {hangUp{}, "read from"},
		"cut inside the frame":             {cut(frameOf(100, 0, 0, 0, 0, 1, 2)), "read from"},
		"answer that breaks the protocol":  {rawBody("\x00\x00"), "breaks the protocol"},
		"a body of another version":        {rawBody(fetchSample(16)), "breaks the protocol"},
		"bytes behind the body":            {rawBody(append(fetchSample(12), 1, 2, 3)), "3 bytes are left over"},
		"never an answer":                  {mute{}, "deadline exceeded"},
		"four billion tags in six bytes":   {rawBody(binary.AppendUvarint(append(make([]byte, 10), 1), 1<<32-1)), "breaks the protocol"},
		"four billion topics in ten bytes": {rawBody(binary.AppendUvarint(make([]byte, 10), 1<<32-1)), "breaks the protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLiar(t)
			start := time.Now()
			var s *Session
			var err error
			n := allocating(func() {
				_, s, err = l.fetch(t, estate.TopicID{}, func(*kmsg.FetchRequest) any { return c.answer })
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want an error with %q", err, c.want)
			}
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("it took %v", d)
			}
			if n > 8<<20 { // two clients with their buffers
				t.Errorf("%d MiB were allocated", n>>20)
			}
			select {
			case <-s.conn.Closed():
			case <-time.After(3 * time.Second):
				t.Error("the connection is still trusted")
			}
		})
	}
}

// An answer that nobody asked for would be taken for the next one's.
func TestBadInputAnswerTwice(t *testing.T) {
	l := newLiar(t)
	_, s, err := l.fetch(t, estate.TopicID{}, func(*kmsg.FetchRequest) any { return twice{told(nil)} })
	if err != nil {
		t.Fatal(err)
	}
	<-s.conn.Closed()
	if err := s.conn.Err(); err == nil || !strings.Contains(err.Error(), "nobody asked for") {
		t.Errorf("the connection ended by %v", err)
	}
}

// What is odd about single partitions: exact, or an error that is named.
func TestBadInputFetchAnswers(t *testing.T) {
	type partition = kmsg.FetchResponseTopicPartition
	same := func(t *testing.T, a *FetchAnswer, n int) []FetchedPartition {
		if len(a.Partitions) != n {
			t.Fatalf("%d partitions, want %d", len(a.Partitions), n)
		}
		return a.Partitions
	}
	contradicts := func(t *testing.T, a *FetchAnswer) {
		if err := same(t, a, 1)[0].Err; !errors.Is(err, ErrContradiction) || TroubleOf(err) == NoTrouble {
			t.Errorf("%v, want a contradiction", err)
		}
	}
	large := bytes.Repeat([]byte("r"), 20<<20)
	for name, c := range map[string]struct {
		id    estate.TopicID
		edit  func(*kmsg.FetchResponse, *partition)
		check func(*testing.T, *FetchAnswer)
	}{
		"bigger than asked": {edit: func(_ *kmsg.FetchResponse, p *partition) { p.RecordBatches = large }, check: func(t *testing.T, a *FetchAnswer) {
			if !bytes.Equal(same(t, a, 1)[0].Records, large) {
				t.Error("the records are not what was sent")
			}
		}},
		"a partition twice": {edit: func(r *kmsg.FetchResponse, p *partition) { r.Topics[0].Partitions = append(r.Topics[0].Partitions, *p) }, check: func(t *testing.T, a *FetchAnswer) {
			for _, p := range same(t, a, 2) { // the second is an answer for an offset that is passed by then
				if p.From != 40 || p.TopicPartition != orders {
					t.Errorf("%+v", p)
				}
			}
		}},
		"a partition that was not asked for": {edit: func(_ *kmsg.FetchResponse, p *partition) { p.Partition = 3 }, check: func(t *testing.T, a *FetchAnswer) {
			if p := same(t, a, 1)[0]; p.From != -1 || p.Partition != 3 {
				t.Errorf("%+v: it would pass for an answer from offset %d", p, p.From)
			}
		}},
		"a partition of id -1": {edit: func(_ *kmsg.FetchResponse, p *partition) { p.Partition = -1 }, check: func(t *testing.T, a *FetchAnswer) {
			if p := same(t, a, 1)[0]; p.From != -1 {
				t.Errorf("%+v", p)
			}
		}},
		"no partition": {edit: func(r *kmsg.FetchResponse, _ *partition) { r.Topics = nil }, check: func(t *testing.T, a *FetchAnswer) { same(t, a, 0) }},
		"another topic": {edit: func(r *kmsg.FetchResponse, _ *partition) { r.Topics[0].Topic = "payments" }, check: func(t *testing.T, a *FetchAnswer) {
			if p := same(t, a, 1)[0]; p.From != -1 {
				t.Errorf("%+v", p)
			}
		}},
		"topic id zero": {id: estate.TopicID{1}, edit: func(r *kmsg.FetchResponse, _ *partition) { r.Topics[0].TopicID = [16]byte{} }, check: func(t *testing.T, a *FetchAnswer) {
			if p := same(t, a, 1)[0]; p.From != -1 || p.Topic != "" {
				t.Errorf("%+v", p)
			}
		}},
		"topic id of another": {id: estate.TopicID{1}, edit: func(r *kmsg.FetchResponse, _ *partition) { r.Topics[0].TopicID[0] = 9 }, check: func(t *testing.T, a *FetchAnswer) {
			if p := same(t, a, 1)[0]; p.From != -1 || p.Topic != "" {
				t.Errorf("%+v", p)
			}
		}},
		"an error that nobody knows": {edit: func(_ *kmsg.FetchResponse, p *partition) { p.ErrorCode = 9999 }, check: func(t *testing.T, a *FetchAnswer) {
			if err := same(t, a, 1)[0].Err; !errors.Is(err, kerr.UnknownServerError) || TroubleOf(err) != OtherTrouble {
				t.Errorf("%v", err)
			}
		}},
		"an error, and records": {edit: func(_ *kmsg.FetchResponse, p *partition) {
			p.ErrorCode, p.RecordBatches = kerr.NotLeaderForPartition.Code, []byte("r")
		}, check: func(t *testing.T, a *FetchAnswer) {
			if err := same(t, a, 1)[0].Err; !errors.Is(err, kerr.NotLeaderForPartition) {
				t.Errorf("%v", err)
			}
		}},
		"high watermark before the position": {edit: func(_ *kmsg.FetchResponse, p *partition) { p.HighWatermark, p.LastStableOffset = 7, 7 }, check: func(t *testing.T, a *FetchAnswer) {
			if p := same(t, a, 1)[0]; p.Err != nil || p.HighWatermark != 7 {
				t.Errorf("%+v", p)
			}
		}},
		"last stable offset not told":             {edit: func(_ *kmsg.FetchResponse, p *partition) { p.LastStableOffset = -1 }, check: func(t *testing.T, a *FetchAnswer) { same(t, a, 1) }},
		"last stable offset beyond the watermark": {edit: func(_ *kmsg.FetchResponse, p *partition) { p.LastStableOffset = 101 }, check: contradicts},
		"last stable offset 2^63-1":               {edit: func(_ *kmsg.FetchResponse, p *partition) { p.LastStableOffset = 1<<63 - 1 }, check: contradicts},
		"log start beyond the watermark":          {edit: func(_ *kmsg.FetchResponse, p *partition) { p.LogStartOffset = 101 }, check: contradicts},
		"no watermark and no error": {edit: func(_ *kmsg.FetchResponse, p *partition) {
			p.HighWatermark, p.LastStableOffset, p.LogStartOffset = -1, -1, -1
		}, check: contradicts},
		"nothing, held back by a quota": {edit: func(r *kmsg.FetchResponse, _ *partition) { r.ThrottleMillis = 500 }, check: func(t *testing.T, a *FetchAnswer) {
			if !a.Throttled {
				t.Error("it would pass for a hole")
			}
		}},
		"throttle time negative": {edit: func(r *kmsg.FetchResponse, _ *partition) { r.ThrottleMillis = -1 }, check: func(t *testing.T, a *FetchAnswer) {
			if a.Throttled {
				t.Error("throttled")
			}
		}},
		"aborted transactions as they ended, and twice": {edit: func(_ *kmsg.FetchResponse, p *partition) {
			for _, at := range []int64{60, 40, 60} {
				x := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
				x.ProducerID, x.FirstOffset = at, at
				p.AbortedTransactions = append(p.AbortedTransactions, x)
			}
		}, check: func(t *testing.T, a *FetchAnswer) { // mirror sorts them
			if got := fmt.Sprint(same(t, a, 1)[0].Aborted); got != "[{60 60} {40 40} {60 60}]" {
				t.Error(got)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a, s, err := newLiar(t).fetch(t, c.id, func(*kmsg.FetchRequest) any { return told(c.edit) })
			if err != nil {
				t.Fatal(err)
			}
			defer a.Buffer.Release()
			if s.id != 77 || s.epoch != 1 {
				t.Errorf("session %d epoch %d", s.id, s.epoch)
			}
			c.check(t, a)
		})
	}
}

// An error of the whole answer counts, whatever data comes with it; the next fetch opens a new session.
func TestBadInputErrorWithData(t *testing.T) {
	l := newLiar(t)
	var errorCode atomic.Int32
	answer := func(*kmsg.FetchRequest) any {
		return told(func(r *kmsg.FetchResponse, p *kmsg.FetchResponseTopicPartition) {
			r.ErrorCode, p.RecordBatches = int16(errorCode.Load()), []byte("records")
		})
	}
	_, s, err := l.fetch(t, estate.TopicID{}, answer)
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []int16{kerr.FetchSessionIDNotFound.Code, kerr.InvalidFetchSessionEpoch.Code, kerr.UnknownServerError.Code, 9999} {
		errorCode.Store(int32(code))
		if a, err := poll(t, s); err == nil || a != nil {
			t.Errorf("code %d: %v, %v", code, a, err)
		}
	}
	errorCode.Store(0)
	if _, err := poll(t, s); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, f := range l.fetches {
		fresh := i != 1
		if fresh != (f.SessionEpoch == 0) || fresh != (len(f.Topics) == 1) {
			t.Errorf("request %d: session epoch %d, %d topics", i, f.SessionEpoch, len(f.Topics))
		}
	}
}

// FetchOne needs exactly its partition.
func TestBadInputFetchOne(t *testing.T) {
	for name, edit := range map[string]func(*kmsg.FetchResponse, *kmsg.FetchResponseTopicPartition){
		"left out": func(r *kmsg.FetchResponse, _ *kmsg.FetchResponseTopicPartition) { r.Topics = nil },
		"another":  func(_ *kmsg.FetchResponse, p *kmsg.FetchResponseTopicPartition) { p.Partition = 1 },
		"twice": func(r *kmsg.FetchResponse, p *kmsg.FetchResponseTopicPartition) {
			r.Topics = append(r.Topics, r.Topics[0])
		},
		"contradiction": func(_ *kmsg.FetchResponse, p *kmsg.FetchResponseTopicPartition) { p.LogStartOffset = 500 },
	} {
		l := newLiar(t)
		l.on(kmsg.Fetch, func(kmsg.Request) any { return told(edit) })
		c, err := l.open(t)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := c.FetchOne(t.Context(), Leader{orders, 1, -1}, 40, 1000, true); err == nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestBadInputApiVersions(t *testing.T) {
	only := func(key kmsg.Key, low, high int16) func(k *kmsg.ApiVersionsResponseApiKey) {
		return func(k *kmsg.ApiVersionsResponseApiKey) {
			if k.ApiKey == int16(key) {
				k.MinVersion, k.MaxVersion = low, high
			}
		}
	}
	for name, c := range map[string]struct {
		answer func(*liar) any
		want   string
	}{
		"UNSUPPORTED_VERSION": {func(l *liar) any { r := l.versions(nil); r.ErrorCode = kerr.UnsupportedVersion.Code; return r }, "needs Kafka 2.8 or newer"},
		"nothing offered":     {func(l *liar) any { return kmsg.NewPtrApiVersionsResponse() }, "does not offer this API"},
		"metadata of the future only": {func(l *liar) any { return l.versions(only(kmsg.Metadata, 100, 200)) },
			"the broker offers versions 100 to 200"},
		"a range upside down": {func(l *liar) any { return l.versions(only(kmsg.Metadata, 5, -1)) }, "the broker offers versions 5 to -1"},
		"not an answer":       {func(l *liar) any { return rawBody{0} }, "parse ApiVersions answer"},
		"hung up":             {func(l *liar) any { return hangUp{} }, "hung up"},
		"never answered":      {func(l *liar) any { return mute{} }, "deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLiar(t)
			l.on(kmsg.ApiVersions, func(kmsg.Request) any { return c.answer(l) })
			start := time.Now()
			_, err := l.open(t)
			var unreachable *UnreachableError
			if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want an UnreachableError with %q", err, c.want)
			}
			if d := time.Since(start); d > 8*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
	l := newLiar(t)
	l.on(kmsg.ApiVersions, func(kmsg.Request) any {
		return l.versions(func(k *kmsg.ApiVersionsResponseApiKey) {
			only(kmsg.Fetch, 0, 6)(k)
			only(kmsg.Produce, 0, 8)(k)
			only(kmsg.WriteTxnMarkers, 2, 3)(k)
		})
	})
	if _, _, err := l.fetch(t, estate.TopicID{}, nil); !errors.Is(err, kerr.UnsupportedVersion) || !strings.Contains(err.Error(), "2.8") {
		t.Errorf("fetch: %v", err)
	}
	c, err := l.open(t)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := c.Dial(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Produce(nil, AcksAll, 1, "", nil); !errors.Is(err, kerr.UnsupportedVersion) {
		t.Errorf("produce: %v", err)
	}
	if err := conn.WriteMarkers(ProducerID{}, 0, []Marks{{orders, 1}}, nil); !errors.Is(err, kerr.UnsupportedVersion) {
		t.Errorf("markers: %v", err)
	}
}

func TestBadInputMetadata(t *testing.T) {
	hundredThousand := make([]int32, 0, 200_000)
	for i := range int32(100_000) {
		hundredThousand = append(hundredThousand, i, 1)
	}
	for name, c := range map[string]struct {
		topic kmsg.MetadataResponseTopic
		parts int    // taken
		err   string // told
	}{
		"no partitions":            {topicOf("orders"), 0, "names no partition of topic orders"},
		"a partition left out":     {topicOf("orders", 0, 1, 2, 1), 0, "partition 2 where 1 is due"},
		"a partition twice":        {topicOf("orders", 0, 1, 1, 1, 1, 1), 0, "partition 1 where 2 is due"},
		"partition -1":             {topicOf("orders", -1, 1, 0, 1), 0, "partition -1 where 0 is due"},
		"partition 2^31-1 and -1":  {topicOf("orders", 1<<31-1, 1, -1, 1), 0, "partition -1 where 0 is due"},
		"backwards":                {topicOf("orders", 2, 1, 1, 1, 0, 1), 3, ""},
		"without a leader":         {topicOf("orders", 0, -1), 1, ""},
		"a leader that is nobody":  {topicOf("orders", 0, 99), 1, ""},
		"a leader of -2^31":        {topicOf("orders", 0, -1<<31), 1, ""},
		"10^5 partitions":          {topicOf("orders", hundredThousand...), 100_000, ""},
		"a name with % and /":      {topicOf("a%2f/../b", 0, 1), 1, ""},
		"a name of 249 characters": {topicOf(strings.Repeat("x", 249), 0, 1), 1, ""},
	} {
		l := newLiar(t)
		l.on(kmsg.Metadata, func(kmsg.Request) any { return l.metadata(c.topic) })
		cluster, err := l.open(t)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		md, err := cluster.Metadata(t.Context(), []string{*c.topic.Topic})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s: it took %v", name, d)
		}
		if got := len(md.Topics[*c.topic.Topic].Partitions); got != c.parts {
			t.Errorf("%s: %d partitions were taken, want %d", name, got, c.parts)
		}
		if err := md.Errors[*c.topic.Topic]; (err == nil) != (c.err == "") || (err != nil && (!strings.Contains(err.Error(), c.err) || TroubleOf(err) != Passing)) {
			t.Errorf("%s: %v, want %q", name, err, c.err)
		}
		for i, p := range md.Topics[*c.topic.Topic].Partitions {
			if p.ID != int32(i) {
				t.Fatalf("%s: partition %d at place %d", name, p.ID, i)
			}
			if i > 5 {
				break
			}
		}
	}
}

// Brokers that cannot be: the error names node and address, in bounded time.
func TestBadInputBrokers(t *testing.T) {
	for name, c := range map[string]struct {
		node  int32
		host  string
		port  int32
		want  string
		known bool
	}{
		"a host that does not resolve": {2, "no-such-host.invalid", 9092, "no-such-host.invalid", true},
		"no host":                      {2, "", 9092, "not in the cluster's metadata", false},
		"node -1":                      {-1, "127.0.0.1", 9092, "not in the cluster's metadata", false},
		"port 0":                       {2, "127.0.0.1", 0, "127.0.0.1:0", true},
		"port -1":                      {2, "127.0.0.1", -1, "127.0.0.1:-1", true},
		"port 70000":                   {2, "127.0.0.1", 70_000, "127.0.0.1:70000", true},
		"a host with a line break":     {2, "a\nb", 9092, "connect to", true},
	} {
		l := newLiar(t)
		l.on(kmsg.Metadata, func(kmsg.Request) any {
			resp := l.metadata()
			b := kmsg.NewMetadataResponseBroker()
			b.NodeID, b.Host, b.Port = c.node, c.host, c.port
			resp.Brokers = append(resp.Brokers, b)
			return resp
		})
		cluster, err := l.open(t)
		if err != nil {
			t.Fatal(err)
		}
		if _, known := cluster.Brokers()[c.node]; known != c.known {
			t.Errorf("%s: known is %v", name, known)
		}
		start := time.Now()
		_, err = cluster.Dial(t.Context(), c.node)
		if err == nil || !strings.Contains(err.Error(), c.want) || TroubleOf(err) == NoTrouble {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s: it took %v", name, d)
		}
	}
}

// Offsets that cannot be must not become a position.
func TestBadInputOffsets(t *testing.T) {
	l := newLiar(t)
	c, err := l.open(t)
	if err != nil {
		t.Fatal(err)
	}
	leader := Leader{orders, 1, 0}
	list := func(topic string, partition int32, offset int64) func(kmsg.Request) any {
		return func(kmsg.Request) any {
			resp := kmsg.NewPtrListOffsetsResponse()
			rt, p := kmsg.NewListOffsetsResponseTopic(), kmsg.NewListOffsetsResponseTopicPartition()
			rt.Topic, p.Partition, p.Offset = topic, partition, offset
			rt.Partitions = append(rt.Partitions, p)
			resp.Topics = append(resp.Topics, rt)
			return resp
		}
	}
	for name, answer := range map[string]func(kmsg.Request) any{
		"-1":                list("orders", 0, -1),
		"-2^63":             list("orders", 0, -1<<63),
		"another topic":     list("payments", 0, 5),
		"another partition": list("orders", 1, 5),
		"no topic":          func(kmsg.Request) any { return kmsg.NewPtrListOffsetsResponse() },
		"nonsense":          func(kmsg.Request) any { return rawBody{0, 0, 0, 0, 9} },
	} {
		l.on(kmsg.ListOffsets, answer)
		if e := c.Ends(t.Context(), []Leader{leader})[orders]; e.Err == nil {
			t.Errorf("%s: ends %+v", name, e)
		}
		if e := c.HighWatermarks(t.Context(), []Leader{leader})[orders]; e.Err == nil {
			t.Errorf("%s: high watermark %+v", name, e)
		}
	}
	epoch := func(topic string, offset int64, code int16) func(kmsg.Request) any {
		return func(kmsg.Request) any {
			resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
			rt, p := kmsg.NewOffsetForLeaderEpochResponseTopic(), kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			rt.Topic, p.EndOffset, p.ErrorCode = topic, offset, code
			rt.Partitions = append(rt.Partitions, p)
			resp.Topics = append(resp.Topics, rt)
			return resp
		}
	}
	for name, answer := range map[string]func(kmsg.Request) any{
		"-1":            epoch("orders", -1, 0),
		"another topic": epoch("payments", 5, 0),
		"unknown error": epoch("orders", 5, 9999),
		"no topic":      func(kmsg.Request) any { return kmsg.NewPtrOffsetForLeaderEpochResponse() },
	} {
		l.on(kmsg.OffsetForLeaderEpoch, answer)
		if end, err := c.LogEnd(t.Context(), leader); err == nil {
			t.Errorf("%s: log end %d", name, end)
		}
	}
}

func TestBadInputDeletions(t *testing.T) {
	l := newLiar(t)
	c, err := l.open(t)
	if err != nil {
		t.Fatal(err)
	}
	deleted := func(topic string, partition int32, low int64) func(kmsg.Request) any {
		return func(kmsg.Request) any {
			resp := kmsg.NewPtrDeleteRecordsResponse()
			rt, p := kmsg.NewDeleteRecordsResponseTopic(), kmsg.NewDeleteRecordsResponseTopicPartition()
			rt.Topic, p.Partition, p.LowWatermark = topic, partition, low
			rt.Partitions = append(rt.Partitions, p)
			resp.Topics = append(resp.Topics, rt)
			return resp
		}
	}
	for name, answer := range map[string]func(kmsg.Request) any{
		"less than asked":   deleted("orders", 0, 9),
		"-1":                deleted("orders", 0, -1),
		"another topic":     deleted("payments", 0, 10),
		"another partition": deleted("orders", 1, 10),
		"left out":          func(kmsg.Request) any { return kmsg.NewPtrDeleteRecordsResponse() },
	} {
		l.on(kmsg.DeleteRecords, answer)
		if start, err := c.DeleteBefore(t.Context(), Leader{orders, 1, 0}, 10); err == nil || TroubleOf(err) == BadBatch {
			t.Errorf("%s: %d, %v", name, start, err)
		}
	}
	l.on(kmsg.DeleteRecords, deleted("orders", 0, 12))
	if start, err := c.DeleteBefore(t.Context(), Leader{orders, 1, 0}, 10); err != nil || start != 12 {
		t.Errorf("more than asked: %d, %v", start, err)
	}
}

// An answer to an append that is not about it leaves the outcome unknown: it never passes for a success.
func TestBadInputProduceAnswers(t *testing.T) {
	l := newLiar(t)
	c, err := l.open(t)
	if err != nil {
		t.Fatal(err)
	}
	produced := func(topic string, partition int32, code int16) func(kmsg.Request) any {
		return func(kmsg.Request) any {
			resp := kmsg.NewPtrProduceResponse()
			rt, p := kmsg.NewProduceResponseTopic(), kmsg.NewProduceResponseTopicPartition()
			rt.Topic, p.Partition, p.ErrorCode, p.BaseOffset = topic, partition, code, 40
			rt.Partitions = append(rt.Partitions, p)
			resp.Topics = append(resp.Topics, rt)
			return resp
		}
	}
	one := func() (int64, error) {
		conn, err := c.Dial(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		return conn.ProduceOne(ctx, orders, []byte("batch"), "")
	}
	for name, answer := range map[string]func(kmsg.Request) any{
		"another topic":     produced("payments", 0, 0),
		"another partition": produced("orders", 7, 0),
		"left out":          func(kmsg.Request) any { return kmsg.NewPtrProduceResponse() },
		"unknown error":     produced("orders", 0, 9999),
		"nonsense":          func(kmsg.Request) any { return rawBody{5} },
		"hung up":           func(kmsg.Request) any { return hangUp{} },
		"never":             func(kmsg.Request) any { return mute{} },
	} {
		l.on(kmsg.Produce, answer)
		if base, err := one(); err == nil {
			t.Errorf("%s: appended at %d", name, base)
		}
	}
	l.on(kmsg.Produce, produced("orders", 0, 0))
	if base, err := one(); err != nil || base != 40 {
		t.Errorf("%d, %v", base, err)
	}
}

// A broker with the wrong name for itself, or none.
func TestBadInputClusterID(t *testing.T) {
	l := newLiar(t)
	l.on(kmsg.Metadata, func(kmsg.Request) any { r := l.metadata(); r.ClusterID = nil; return r })
	c, err := l.open(t)
	if err != nil || c.ID() != "" {
		t.Errorf("%q, %v", c.ID(), err)
	}
	addr := net.JoinHostPort(l.host, strconv.Itoa(int(l.port)))
	if _, err := Open(t.Context(), Connection{Alias: "odd", Bootstrap: []string{"127.0.0.1:1", addr}}); err != nil {
		t.Errorf("the second address is good: %v", err)
	}
}

// Whatever a broker answers, no error repeats the password, the token or a proof, and none is long.
func TestBadInputSecretsAreNotEchoed(t *testing.T) {
	const canary = "c4n4ry-hunter2-and-some-more"
	long := strings.Repeat("no ", 1<<20)
	echo := func(req *kmsg.SASLAuthenticateRequest) any {
		resp := kmsg.NewPtrSASLAuthenticateResponse()
		resp.ErrorCode, resp.ErrorMessage = kerr.SaslAuthenticationFailed.Code, kmsg.StringPtr("what is this: "+string(req.SASLAuthBytes))
		return resp
	}
	answers := map[string]func(*kmsg.SASLAuthenticateRequest) any{
		"echo": echo,
		"echo in the proof": func(req *kmsg.SASLAuthenticateRequest) any {
			resp := kmsg.NewPtrSASLAuthenticateResponse()
			resp.SASLAuthBytes = append([]byte("e="), req.SASLAuthBytes...)
			return resp
		},
		"long words": func(req *kmsg.SASLAuthenticateRequest) any {
			resp := kmsg.NewPtrSASLAuthenticateResponse()
			resp.ErrorCode, resp.ErrorMessage = kerr.SaslAuthenticationFailed.Code, &long
			return resp
		},
		"nonsense": func(*kmsg.SASLAuthenticateRequest) any { return rawBody{1} },
		"hung up":  func(*kmsg.SASLAuthenticateRequest) any { return hangUp{} },
		"unknown error": func(*kmsg.SASLAuthenticateRequest) any {
			r := kmsg.NewPtrSASLAuthenticateResponse()
			r.ErrorCode = 9999
			return r
		},
		"an empty step": func(*kmsg.SASLAuthenticateRequest) any { return kmsg.NewPtrSASLAuthenticateResponse() },
		"a long step": func(*kmsg.SASLAuthenticateRequest) any {
			r := kmsg.NewPtrSASLAuthenticateResponse()
			r.SASLAuthBytes = []byte("r=x,s=" + long)
			return r
		},
	}
	secret := NewSecret(canary)
	for _, s := range []SASL{
		{Mechanism: MechanismPlain, Username: "u", Password: secret, Insecure: true}, {Mechanism: MechanismScramSHA256, Username: "u", Password: secret},
		{Mechanism: MechanismScramSHA512, Username: "u", Password: secret}, {Mechanism: MechanismOAuthBearer, Insecure: true, OAuth: &OAuth{Token: secret}},
	} {
		for name, answer := range answers {
			l := newLiar(t)
			l.on(kmsg.SASLHandshake, func(kmsg.Request) any { return kmsg.NewPtrSASLHandshakeResponse() })
			l.on(kmsg.SASLAuthenticate, func(req kmsg.Request) any { return answer(req.(*kmsg.SASLAuthenticateRequest)) })
			conn := Connection{
				Alias: "odd", Bootstrap: []string{net.JoinHostPort(l.host, strconv.Itoa(int(l.port)))}, DialTimeout: 2 * time.Second,
				Security: Security{SASL: &s},
			}
			c, err := Open(t.Context(), conn)
			if err == nil {
				c.Close()
				if s.Mechanism == MechanismPlain && !strings.Contains(name, "error") || s.Mechanism == MechanismOAuthBearer && name == "an empty step" {
					continue // the absence of an error is how they succeed
				}
				t.Errorf("%s, %s: accepted", s.Mechanism, name)
				continue
			}
			text := err.Error() + fmt.Sprintf("%+v %#v", err, err)
			for e := err; e != nil; e = errors.Unwrap(e) {
				text += e.Error()
			}
			if strings.Contains(text, canary) {
				t.Errorf("%s, %s: the secret is in the error: %.500s", s.Mechanism, name, text)
			}
			if n := len(err.Error()); n > 4000 {
				t.Errorf("%s, %s: the error has %d characters", s.Mechanism, name, n)
			}
		}
	}
}
