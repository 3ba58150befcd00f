package faultproxy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/testbed"
	"github.com/kferry/kferry/internal/testbed/faultproxy"
)

// lab is one broker behind proxies, on the clients' side and among the brokers.
type lab struct {
	t               *testing.T
	cluster         *testbed.Cluster
	outside, inside *faultproxy.Proxy
	direct          *kadm.Client // past the proxy, by the brokers' own listener
}

// Every action is seen to have its effect on a real broker. One broker serves all cases.
func TestFaults(t *testing.T) {
	l := &lab{t: t}
	proxy := func(p **faultproxy.Proxy) func(int, string) string {
		return func(_ int, addr string) string {
			made, err := faultproxy.New(addr, 1)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(made.Close)
			*p = made
			return made.Addr()
		}
	}
	l.cluster = testbed.New(t, testbed.Options{
		Version: testbed.V43, HeapMB: 256, Advertise: proxy(&l.outside), AdvertiseInternal: proxy(&l.inside),
		Config: map[string]string{"producer.id.expiration.ms": "1000", "producer.id.expiration.check.interval.ms": "200"},
	})
	l.direct = kadm.NewClient(client(t, kgo.SeedBrokers(l.cluster.Internal())))
	for name, run := range map[string]func(*lab, string){
		"drop-response":                         dropResponse,
		"drop-response, idempotent":             dropResponseIdempotent,
		"drop-response, producer forgotten":     producerForgotten,
		"late":                                  late,
		"duplicate":                             duplicate,
		"delay":                                 delays,
		"throttle":                              throttle,
		"silence":                               silence,
		"reset":                                 resets,
		"partition":                             partition,
		"counting":                              counting,
		"drop-response of a coordinator's mark": markerTwice,
	} {
		t.Run(name, func(t *testing.T) {
			at := *l
			at.t = t
			topic := topicName(name)
			if _, err := l.direct.CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(l.outside.Clear)
			t.Cleanup(l.inside.Clear)
			run(&at, topic)
		})
	}
}

func topicName(test string) string {
	b := []byte(test)
	for i, c := range b {
		if c == ' ' || c == ',' || c == '\'' {
			b[i] = '_'
		}
	}
	return string(b)
}

func client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.DisableClientMetrics(), kgo.MetadataMinAge(50*time.Millisecond))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// blind is a producer without idempotence: it sends again what was not answered.
func (l *lab) blind(opts ...kgo.Opt) *kgo.Client {
	return client(l.t, append(opts, kgo.SeedBrokers(l.cluster.Bootstrap()), kgo.DisableIdempotentWrite())...)
}

func (l *lab) produce(cl *kgo.Client, topic string, value string) {
	l.t.Helper()
	if err := cl.ProduceSync(l.t.Context(), &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr(); err != nil {
		l.t.Fatal(err)
	}
}

// end is the topic's log end, asked past the proxy's rules.
func (l *lab) end(topic string) int64 {
	l.t.Helper()
	lists, err := l.direct.ListEndOffsets(l.t.Context(), topic)
	if err != nil {
		l.t.Fatal(err)
	}
	return lists[topic][0].Offset
}

func (l *lab) wantEnd(topic string, want int64) {
	l.t.Helper()
	var got int64
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if got = l.end(topic); got == want {
			return
		}
	}
	l.t.Errorf("the log ends at %d, want %d", got, want)
}

func dropResponse(l *lab, topic string) {
	rule := l.outside.Add(faultproxy.Rule{APIs: []int16{faultproxy.Produce}, Action: faultproxy.DropResponse, Most: 1})
	l.produce(l.blind(), topic, "a")
	l.wantEnd(topic, 2) // the one whose answer was lost, and the one sent again
	if rule.Done() != 1 {
		l.t.Errorf("%d answers dropped, want 1", rule.Done())
	}
}

func dropResponseIdempotent(l *lab, topic string) {
	rule := l.outside.Add(faultproxy.Rule{APIs: []int16{faultproxy.Produce}, Action: faultproxy.DropResponse, Most: 1})
	cl := client(l.t, kgo.SeedBrokers(l.cluster.Bootstrap()))
	l.produce(cl, topic, "a")
	l.produce(cl, topic, "b")
	l.wantEnd(topic, 2)
	if rule.Done() != 1 {
		l.t.Errorf("%d answers dropped, want 1", rule.Done())
	}
}

// The hazard that a copy of old data meets: the broker forgets producers by the timestamps of their records, so
// what an idempotent producer sends again is appended again.
func producerForgotten(l *lab, topic string) {
	l.outside.Add(faultproxy.Rule{APIs: []int16{faultproxy.Produce}, Action: faultproxy.DropResponse, Most: 1})
	l.outside.Add(faultproxy.Rule{APIs: []int16{faultproxy.Produce}, Action: faultproxy.DelayRequest, Delay: 4 * time.Second})
	cl := client(l.t, kgo.SeedBrokers(l.cluster.Bootstrap()))
	old := &kgo.Record{Topic: topic, Value: []byte("a"), Timestamp: time.Now().Add(-72 * time.Hour)}
	if err := cl.ProduceSync(l.t.Context(), old).FirstErr(); err != nil {
		l.t.Fatal(err)
	}
	l.wantEnd(topic, 2)
}

func late(l *lab, topic string) {
	rule := l.outside.Add(faultproxy.Rule{APIs: []int16{faultproxy.Produce}, Action: faultproxy.Late, Most: 1, Delay: 4 * time.Second})
	l.produce(l.blind(), topic, "a")
	if got := l.end(topic); got != 1 {
		l.t.Errorf("the log ends at %d before the late request comes, want 1", got)
	}
	l.wantEnd(topic, 2)
	if rule.Picked() != 1 || rule.Done() != 1 {
		l.t.Errorf("picked %d, delivered %d, want 1 and 1", rule.Picked(), rule.Done())
	}
}

func duplicate(l *lab, topic string) {
	l.outside.Add(faultproxy.Rule{APIs: []int16{faultproxy.Produce}, Action: faultproxy.Duplicate, Most: 1})
	l.produce(l.blind(), topic, "a")
	l.wantEnd(topic, 2)
}

func delays(l *lab, topic string) {
	cl := l.blind()
	l.produce(cl, topic, "connects")
	for _, action := range []faultproxy.Action{faultproxy.DelayRequest, faultproxy.DelayResponse} {
		rule := l.outside.Add(faultproxy.Rule{APIs: []int16{faultproxy.Produce}, Action: action, Delay: 400 * time.Millisecond})
		began := time.Now()
		l.produce(cl, topic, "a")
		if took := time.Since(began); took < 400*time.Millisecond {
			l.t.Errorf("%v: took %v", action, took)
		}
		rule.Remove()
	}
	l.outside.SetLink(faultproxy.Link{Delay: 200 * time.Millisecond})
	began := time.Now()
	l.produce(cl, topic, "a")
	if took := time.Since(began); took < 400*time.Millisecond {
		l.t.Errorf("a slow link: took %v", took)
	}
}

func throttle(l *lab, topic string) {
	cl := l.blind(kgo.ProducerBatchCompression(kgo.NoCompression()))
	l.produce(cl, topic, "connects")
	l.outside.SetLink(faultproxy.Link{BytesPerSecond: 50_000})
	began := time.Now()
	l.produce(cl, topic, string(make([]byte, 75_000)))
	if took := time.Since(began); took < 1300*time.Millisecond {
		l.t.Errorf("75 kB at 50 kB/s took %v", took)
	}
}

func silence(l *lab, topic string) {
	cl := l.blind()
	l.produce(cl, topic, "connects")
	rule := l.outside.Add(faultproxy.Rule{APIs: []int16{faultproxy.Metadata}, Action: faultproxy.Silence, Most: 1})
	ask := func(cl *kgo.Client, most time.Duration) error {
		ctx, cancel := context.WithTimeout(l.t.Context(), most)
		defer cancel()
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{}
		_, err := cl.SeedBrokers()[0].Request(ctx, req)
		return err
	}
	if err := ask(cl, time.Second); !errors.Is(err, context.DeadlineExceeded) || rule.Done() != 1 {
		l.t.Errorf("asked over a silent connection: %v, %d silenced", err, rule.Done())
	}
	if err := ask(l.blind(), 10*time.Second); err != nil {
		l.t.Errorf("asked over a new connection: %v", err)
	}
}

func resets(l *lab, _ string) {
	l.outside.Add(faultproxy.Rule{Action: faultproxy.Reset, Most: 1})
	conn, err := net.Dial("tcp", l.outside.Addr())
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close()
	req := kmsg.NewPtrApiVersionsRequest()
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 7)); err != nil {
		l.t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadAll(conn); !errors.Is(err, syscall.ECONNRESET) {
		l.t.Errorf("the connection ended with %v, want a reset", err)
	}
}

func partition(l *lab, topic string) {
	cl := l.blind()
	l.produce(cl, topic, "connects")
	l.outside.Partition(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.produce(cl, topic, "a")
	}()
	select {
	case <-done:
		l.t.Error("a record came through a closed gate")
	case <-time.After(time.Second):
	}
	l.outside.Partition(false)
	<-done
	l.wantEnd(topic, 2)
}

func counting(l *lab, topic string) {
	rule := l.outside.Add(faultproxy.Rule{APIs: []int16{faultproxy.Produce}, Action: faultproxy.Duplicate, Skip: 2, Every: 3, Most: 2})
	cl := l.blind()
	before := l.outside.Seen(faultproxy.Produce)
	for range 14 { // the 5th, 8th, and not the 11th and the 14th
		l.produce(cl, topic, "a")
	}
	l.wantEnd(topic, 16)
	if seen := l.outside.Seen(faultproxy.Produce) - before; rule.Picked() != 2 || seen != 14 {
		l.t.Errorf("picked %d of %d", rule.Picked(), seen)
	}
}

// A coordinator that does not hear of a marker it has written writes it again.
func markerTwice(l *lab, topic string) {
	rule := l.inside.Add(faultproxy.Rule{APIs: []int16{faultproxy.WriteTxnMarkers}, Action: faultproxy.DropResponse, Most: 1})
	cl := client(l.t, kgo.SeedBrokers(l.cluster.Bootstrap()), kgo.TransactionalID(topic))
	if err := cl.BeginTransaction(); err != nil {
		l.t.Fatal(err)
	}
	l.produce(cl, topic, "a")
	if err := cl.EndTransaction(l.t.Context(), kgo.TryCommit); err != nil {
		l.t.Fatal(err)
	}
	l.wantEnd(topic, 3)
	if rule.Done() != 1 {
		l.t.Errorf("%d answers dropped, want 1", rule.Done())
	}
}
