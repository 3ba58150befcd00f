package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/estate"
)

// Answers come from whoever listens at a broker's address. No target may panic, hang or allocate more than a fixed
// multiple of what came; what is taken must be what kmsg, another reader of the same bytes, takes.

// answerFactor is how many bytes reading may allocate for each byte of an answer, and answerSlack what it may take in
// any case (the race detector and the fuzzer allocate too).
const (
	answerFactor = 16
	answerSlack  = 1 << 20
)

// nameless gives every topic id a name.
func nameless(id estate.TopicID) string { return "t" + string(id[:]) }

// fetchSample is an answer with everything in it.
func fetchSample(version int16) []byte {
	resp := kmsg.NewPtrFetchResponse()
	resp.Version, resp.ThrottleMillis, resp.SessionID = version, 7, 99
	for i := range 2 {
		t := kmsg.NewFetchResponseTopic()
		t.Topic, t.TopicID = "orders", [16]byte{byte(i), 15: 1}
		for n := range 3 {
			p := kmsg.NewFetchResponseTopicPartition()
			p.Partition, p.HighWatermark, p.LastStableOffset, p.LogStartOffset = int32(n), 100, 90, 5
			p.PreferredReadReplica = -1
			if n == 1 {
				p.ErrorCode = kerr.OffsetOutOfRange.Code
				p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = 3, 44
				p.CurrentLeader.LeaderID = 2
				p.UnknownTags.Set(77, []byte("later"))
			}
			if n == 2 {
				p.RecordBatches = bytes.Repeat([]byte("b"), 200)
				a := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
				a.ProducerID, a.FirstOffset = 8, 50
				p.AbortedTransactions = append(p.AbortedTransactions, a, a)
			}
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	resp.UnknownTags.Set(9, []byte{1, 2})
	return resp.AppendTo(nil)
}

func FuzzFetchAnswer(f *testing.F) {
	for v := int16(minFetchVersion); v <= maxFetchVersion; v++ {
		f.Add(fetchSample(v), v)
	}
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}, int16(12))    // 2^32-2 topics
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f}, int16(16)) // 2^32-1 tags
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff}, int16(11))          // 2^31-1 topics
	f.Fuzz(func(t *testing.T, body []byte, version int16) {
		version = minFetchVersion + (version&0x7fff)%(maxFetchVersion-minFetchVersion+1)
		var a fetchAnswer
		var err error
		bounded(t, len(body), func() { a, err = readFetchAnswer(body, version, nameless) })
		if err != nil {
			if !errors.Is(err, errAnswer) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		want := kmsg.FetchResponse{Version: version}
		if err := want.ReadFrom(body); err != nil {
			t.Fatalf("taken, and kmsg says: %v", err)
		}
		if diff := cmp.Diff(fetchByKmsg(&want), a, cmpopts.EquateEmpty(), cmp.AllowUnexported(fetchAnswer{}), sameError); diff != "" {
			t.Fatalf("version %d (-kmsg +ours):\n%s", version, diff)
		}
	})
}

var sameError = cmp.Comparer(func(a, b error) bool { return errors.Is(a, b) || errors.Is(b, a) || a == b })

// fetchByKmsg puts what kmsg read into our form.
func fetchByKmsg(resp *kmsg.FetchResponse) fetchAnswer {
	a := fetchAnswer{throttled: resp.ThrottleMillis > 0, err: kerr.ErrorForCode(resp.ErrorCode), session: resp.SessionID}
	for _, t := range resp.Topics {
		name := t.Topic
		if resp.Version >= firstFetchWithIDs {
			name = nameless(t.TopicID)
		}
		for _, p := range t.Partitions {
			f := FetchedPartition{
				TopicPartition: estate.TopicPartition{Topic: name, Partition: p.Partition}, Err: kerr.ErrorForCode(p.ErrorCode),
				HighWatermark: p.HighWatermark, LastStable: p.LastStableOffset, LogStart: p.LogStartOffset, Records: p.RecordBatches,
			}
			for _, x := range p.AbortedTransactions {
				f.Aborted = append(f.Aborted, Aborted{x.ProducerID, x.FirstOffset})
			}
			if p.DivergingEpoch.EndOffset >= 0 {
				f.Diverging = &Divergence{p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset}
			}
			a.parts = append(a.parts, f)
		}
	}
	return a
}

// bounded runs fn and holds what it allocates to the size of its input.
func bounded(t *testing.T, input int, fn func()) {
	t.Helper()
	if n := allocating(fn); n > uint64(answerFactor*input+answerSlack) {
		t.Fatalf("%d bytes were allocated for an answer of %d", n, input)
	}
}

func produceSample() []byte {
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = maxProduceVersion
	t := kmsg.NewProduceResponseTopic()
	t.Topic = "orders"
	for n := range 3 {
		p := kmsg.NewProduceResponseTopicPartition()
		p.Partition, p.BaseOffset, p.LogStartOffset = int32(n), 50, 3
		if n == 1 {
			p.ErrorCode, p.ErrorMessage = kerr.InvalidRecord.Code, kmsg.StringPtr("one or more records have been rejected")
			for i := range 9 {
				e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
				e.RelativeOffset, e.ErrorMessage = int32(i), kmsg.StringPtr("no key")
				p.ErrorRecords = append(p.ErrorRecords, e)
			}
			p.CurrentLeader.LeaderID = 2
		}
		t.Partitions = append(t.Partitions, p)
	}
	resp.Topics = append(resp.Topics, t, t)
	return resp.AppendTo(nil)
}

func FuzzProduceAnswer(f *testing.F) {
	f.Add(produceSample())
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, body []byte) {
		var out []Produced
		var err error
		bounded(t, len(body), func() { out, err = readProduced(body) })
		if err != nil {
			if !errors.Is(err, errAnswer) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		want := kmsg.ProduceResponse{Version: maxProduceVersion}
		if err := want.ReadFrom(body); err != nil {
			t.Fatalf("taken, and kmsg says: %v", err)
		}
		for _, topic := range want.Topics {
			for _, p := range topic.Partitions {
				if len(out) == 0 {
					t.Fatal("kmsg took more")
				}
				got := out[0]
				out = out[1:]
				if got.Topic != topic.Topic || got.Partition != p.Partition || got.Base != p.BaseOffset || got.LogStart != p.LogStartOffset || !errors.Is(got.Err, kerr.ErrorForCode(p.ErrorCode)) {
					t.Fatalf("kmsg took %+v, we %+v", p, got)
				}
			}
		}
		if len(out) > 0 {
			t.Fatal("kmsg took less")
		}
	})
}

func markerSample(version int16) []byte {
	resp := kmsg.NewPtrWriteTxnMarkersResponse()
	resp.Version = version
	for id := range int64(2) {
		m := kmsg.NewWriteTxnMarkersResponseMarker()
		m.ProducerID = id
		for _, name := range []string{"a", "b"} {
			t := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			t.Topic = name
			for n := range 2 {
				p := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
				p.Partition, p.ErrorCode = int32(n), int16(n)*kerr.NotLeaderForPartition.Code
				t.Partitions = append(t.Partitions, p)
			}
			m.Topics = append(m.Topics, t)
		}
		resp.Markers = append(resp.Markers, m)
	}
	return resp.AppendTo(nil)
}

func FuzzMarkerAnswer(f *testing.F) {
	f.Add(markerSample(0), int16(0))
	f.Add(markerSample(1), int16(1))
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff}, int16(0))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, int16(1))
	f.Fuzz(func(t *testing.T, body []byte, version int16) {
		version &= 1
		var out map[estate.TopicPartition]error
		var err error
		bounded(t, 4*len(body), func() { out, err = readMarked(body, version) }) // maps are wide
		if err != nil {
			if !errors.Is(err, errAnswer) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		resp := kmsg.WriteTxnMarkersResponse{Version: version}
		if err := resp.ReadFrom(body); err != nil {
			t.Fatalf("taken, and kmsg says: %v", err)
		}
		want := map[estate.TopicPartition]error{}
		for _, m := range resp.Markers {
			for _, topic := range m.Topics {
				for _, p := range topic.Partitions {
					tp := estate.TopicPartition{Topic: topic.Topic, Partition: p.Partition}
					if err := kerr.ErrorForCode(p.ErrorCode); err != nil || want[tp] == nil {
						want[tp] = err
					}
				}
			}
		}
		if !reflect.DeepEqual(want, out) {
			t.Fatalf("kmsg took %v, we %v", want, out)
		}
	})
}

func FuzzResponseHeader(f *testing.F) {
	f.Add([]byte{0, 0, 0, 5, 'x'}, true)
	f.Add([]byte{0, 0, 0, 5, 0, 'x'}, true)
	f.Add([]byte{0, 0, 0, 5, 2, 0, 1, 'a', 1, 0, 'x'}, true)
	f.Add([]byte{0, 0, 0, 5, 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, true)
	f.Add([]byte{0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x0f}, true)
	f.Add([]byte{0, 0, 0, 6, 0}, false)
	f.Fuzz(func(t *testing.T, frame []byte, flexible bool) {
		if len(frame) < 4 { // readAnswer refuses such a frame
			return
		}
		body, err := stripResponseHeader(frame, call{id: 5, flexible: flexible})
		if err != nil {
			return
		}
		if id := binary.BigEndian.Uint32(frame); id != 5 {
			t.Fatalf("answer %d was taken for 5", id)
		}
		if len(body) > len(frame)-4 || !bytes.HasSuffix(frame, body) || (flexible && len(body) == len(frame)-4) {
			t.Fatalf("a body of %d bytes in a frame of %d", len(body), len(frame))
		}
	})
}
