package replicate

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/report"
)

var (
	randomTime = flag.Duration("random-time", 18*time.Second, "how long TestRandomHistories goes on")
	randomSeed = flag.Uint64("random-seed", 0, "run this history alone and log what happens")
)

// Random histories between embedded clusters, with the engine stopped at random moments, leaders that move and
// requests that fail after or before they had an effect. The judge shares no code with the engine.
func TestRandomHistories(t *testing.T) {
	before := settleTime
	settleTime = 20 * time.Millisecond // embedded clusters have no late requests
	t.Cleanup(func() { settleTime = before })
	if *randomSeed != 0 {
		r := &rig{t: t}
		r.start()
		r.round(*randomSeed)
		t.Log(r.log.String())
		return
	}
	first := uint64(time.Now().UnixNano()) % 1_000_000 * 10_000
	for n := range uint64(2) { // most of a round is waiting
		t.Run(fmt.Sprint("seeds from ", first+n*1000), func(t *testing.T) {
			t.Parallel()
			r := &rig{t: t}
			r.start()
			r.rounds(first + n*1000)
		})
	}
}

// rounds goes through seeds until the time is over.
func (r *rig) rounds(seed uint64) {
	rounds := 0
	for deadline := time.Now().Add(*randomTime); time.Now().Before(deadline) || rounds < 3; rounds++ {
		began := time.Now()
		r.round(seed)
		if took := time.Since(began); took > slowRound {
			r.t.Logf("seed %d took %v:\n%s", seed, took, r.log.String())
		}
		if r.t.Failed() {
			r.t.Fatalf("log:\n%s\nonce more, perhaps: go test ./internal/replicate -run TestRandomHistories -v -random-seed %d", r.log.String(), seed)
		}
		seed++
	}
	r.t.Logf("%d histories, %d interruptions, %d requests disturbed: %s", rounds, r.stops, r.disturbed, r.total.String())
	if r.total.Committed == 0 || r.total.Uncommitted == 0 || r.stops == 0 || r.disturbed == 0 {
		r.t.Error("nothing of what is hard was there")
	}
}

// tail keeps the end of what is written.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if len(t.b) > 64<<10 {
		t.b = slices.Clone(t.b[len(t.b)-16<<10:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

// slowRound is how long a round takes at most, unless something waits for what does not come.
const slowRound = 10 * time.Second

// rig is a pair of embedded clusters that all rounds use.
type rig struct {
	t            *testing.T
	fakeA, fakeB *kfake.Cluster
	judge        *history.Writer // of the target
	log          tail

	stops, disturbed int
	total            history.Result
}

func (r *rig) start() {
	r.fakeA, r.fakeB = r.embedded("a"), r.embedded("b")
	r.judge = r.writer(r.fakeB, 0)
	r.fakeB.ControlKey(int16(kmsg.InitProducerID), r.dataID)
	r.fakeB.ControlKey(int16(kmsg.Produce), r.forget)
}

// firstDataID is where the producer ids of copied data begin here.
const firstDataID = 1 << 40

// dataID answers for the ids of copied data, as real brokers do in effect: there a new epoch fences nobody before
// it was used in a partition, and the engine never uses one. The embedded cluster fences at once.
func (r *rig) dataID(req kmsg.Request) (kmsg.Response, error, bool) {
	r.fakeB.KeepControl()
	init := req.(*kmsg.InitProducerIDRequest)
	if init.TransactionalID == nil || !strings.HasSuffix(*init.TransactionalID, "-data") {
		return nil, nil, false
	}
	h := fnv.New32a()
	io.WriteString(h, *init.TransactionalID)
	resp := init.ResponseKind().(*kmsg.InitProducerIDResponse)
	resp.ProducerID = firstDataID + int64(h.Sum32())
	return resp, nil, true
}

// forget takes the producer id out of copied batches. The embedded cluster remembers sequences and does not tell
// them (DescribeProducers), with which nobody could go on after an unknown outcome. This way it is a broker that
// forgets every producer at once, as real ones forget those of old records.
func (r *rig) forget(req kmsg.Request) (kmsg.Response, error, bool) {
	r.fakeB.KeepControl()
	for _, t := range req.(*kmsg.ProduceRequest).Topics {
		for _, p := range t.Partitions {
			const crc, attributes, pid, epoch, sequence = 17, 21, 43, 51, 53
			be := binary.BigEndian
			if id := be.Uint64(p.Records[pid:]); id < firstDataID || id > firstDataID+math.MaxUint32 {
				continue
			}
			be.PutUint64(p.Records[pid:], math.MaxUint64)
			be.PutUint16(p.Records[epoch:], math.MaxUint16)
			be.PutUint32(p.Records[sequence:], math.MaxUint32)
			be.PutUint32(p.Records[crc:], crc32.Checksum(p.Records[attributes:], crc32.MakeTable(crc32.Castagnoli)))
		}
	}
	return nil, nil, false
}

func (r *rig) embedded(alias string) *kfake.Cluster {
	r.t.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.ClusterID(alias))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(fake.Close)
	return fake
}

func (r *rig) open(fake *kfake.Cluster, alias string) *kafka.Cluster {
	r.t.Helper()
	c, err := kafka.Open(r.t.Context(), kafka.Connection{Alias: alias, Bootstrap: fake.ListenAddrs()})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) writer(fake *kfake.Cluster, seed uint64) *history.Writer {
	r.t.Helper()
	w, err := history.NewWriter(history.Options{
		Bootstrap: fake.ListenAddrs(), Seed: seed,
		Compact: func(string) error { fake.Compact(); return nil },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(w.Close)
	return w
}

// round writes histories with one seed while the engine copies them, again and again interrupted.
func (r *rig) round(seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	w := r.writer(r.fakeA, seed)
	flow := fmt.Sprintf("r%d", seed)
	kept, compacted := flow+"-kept", flow+"-compacted"
	o := r.options(rng, flow)
	ctx := r.t.Context()
	for name, h := range map[string]history.Topic{
		kept:      history.Random(1+rng.Int32N(4), rng.IntN(80), false),
		compacted: history.Random(1+rng.Int32N(3), rng.IntN(80), true),
	} {
		if err := w.Write(ctx, name, h); err != nil {
			r.t.Fatal(err)
		}
	}
	written := make(chan error, 1)
	go func() { written <- w.Write(ctx, flow+"-late", history.Random(2, 40+int(seed%40), false)) }()
	trouble := r.trouble(rng)
	for n := rng.IntN(5); n > 0; n-- {
		r.interrupted(o, time.Duration(5+rng.IntN(250))*time.Millisecond)
	}
	if err := <-written; err != nil {
		r.t.Fatal(err)
	}
	r.interrupted(o, time.Duration(rng.IntN(300))*time.Millisecond)
	for _, h := range trouble {
		r.disturbed += int(h.Hits())
		h.Remove()
	}
	r.finish(w, o, kept, compacted, flow+"-late")
}

// options are those of one round.
func (r *rig) options(rng *rand.Rand, flow string) Options {
	o := Options{
		Flow: flow, Include: []*regexp.Regexp{regexp.MustCompile("^" + flow + "-.*$")},
		FillExpired: true, WideGap: int64(3 + rng.IntN(30)), TopicRefresh: 50 * time.Millisecond, GroupInterval: 50 * time.Millisecond,
		WideHoles: []mirror.HoleFiller{mirror.HolesAuto, mirror.HolesEcho, mirror.HolesAborted, mirror.HolesMarkers}[rng.IntN(4)],
		Fillers:   []FillerPermission{FillersAuto, FillersMarkers, FillersEndTxn}[rng.IntN(3)],
		NoGroups:  rng.IntN(2) == 0,
		Logger:    slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if rng.IntN(3) == 0 {
		o.MemoryBytes, o.InFlightBytes = 1<<20, 64<<10
	}
	return o
}

// trouble makes requests of the flow fail now and then: refused, or answered wrong after they had their effect.
func (r *rig) trouble(rng *rand.Rand) []*kfake.FaultHandle {
	some := func(one int) func(kmsg.Request) bool {
		mine := rand.New(rand.NewPCG(rng.Uint64(), 1))
		return func(req kmsg.Request) bool { return mine.IntN(one) == 0 }
	}
	fault := func(on *kfake.Cluster, key kmsg.Key, err *kerr.Error, one int) *kfake.FaultHandle {
		return on.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: err, Count: -1, When: some(one)})
	}
	var hs []*kfake.FaultHandle
	for _, f := range []func() *kfake.FaultHandle{
		func() *kfake.FaultHandle { return fault(r.fakeB, kmsg.Produce, kerr.NotEnoughReplicasAfterAppend, 20) },
		func() *kfake.FaultHandle { return fault(r.fakeB, kmsg.Produce, kerr.RequestTimedOut, 20) },
		func() *kfake.FaultHandle { return fault(r.fakeB, kmsg.EndTxn, kerr.ConcurrentTransactions, 10) },
		func() *kfake.FaultHandle {
			return fault(r.fakeB, kmsg.InitProducerID, kerr.CoordinatorLoadInProgress, 10)
		},
		func() *kfake.FaultHandle {
			return fault(r.fakeB, kmsg.OffsetForLeaderEpoch, kerr.NotLeaderForPartition, 10)
		},
		func() *kfake.FaultHandle { return fault(r.fakeA, kmsg.Fetch, kerr.NotLeaderForPartition, 10) },
		func() *kfake.FaultHandle { return fault(r.fakeB, kmsg.DeleteRecords, kerr.RequestTimedOut, 5) },
	} {
		if rng.IntN(2) == 0 {
			hs = append(hs, f())
		}
	}
	return hs
}

// interrupted runs the engine and stops it after a while. Leaders move meanwhile.
func (r *rig) interrupted(o Options, after time.Duration) {
	ctx, cancel := context.WithTimeout(r.t.Context(), after)
	defer cancel()
	moving := time.AfterFunc(after/2, func() {
		r.fakeB.ShufflePartitionLeaders()
		r.fakeA.ShufflePartitionLeaders()
	})
	defer moving.Stop()
	r.stops++
	r.run(ctx, o, after+20*time.Second)
}

// run runs the engine and fails the test if it does not come to an end.
func (r *rig) run(ctx context.Context, o Options, most time.Duration) (*report.Document, error) {
	type end struct {
		doc *report.Document
		err error
	}
	ended := make(chan end, 1)
	var last atomic.Pointer[report.Document]
	o.Source, o.Target = r.open(r.fakeA, "a"), r.open(r.fakeB, "b") // as another process would
	defer o.Source.Close()
	defer o.Target.Close()
	o.OnReport = func(doc *report.Document) { last.Store(doc) }
	go func() {
		doc, err := Run(ctx, o)
		ended <- end{doc, err}
	}()
	select {
	case e := <-ended:
		return e.doc, e.err
	case <-time.After(most):
		doc, _ := json.MarshalIndent(last.Load(), "", " ")
		stacks := make([]byte, 1<<20)
		r.t.Fatalf("the engine did not end within %v; log:\n%s\nlast report:\n%s\ngoroutines:\n%s", most, r.log.String(), doc, stacks[:runtime.Stack(stacks, true)])
		return nil, nil
	}
}

// finish lets the engine catch up without any trouble, and judges.
func (r *rig) finish(w *history.Writer, o Options, topics ...string) {
	r.t.Helper()
	groups, err := w.WriteGroups(r.t.Context(), o.Flow+"-", topics)
	if err != nil {
		r.t.Fatal(err)
	}
	o.UntilCaughtUp, o.NoGroups = true, false
	doc, err := r.run(r.t.Context(), o, 60*time.Second)
	if err != nil {
		r.t.Errorf("run: %v", err)
		return
	}
	if len(doc.Faults) > 0 || !doc.CaughtUp {
		var words []string
		for i := range doc.Faults {
			words = append(words, doc.Faults[i].Error())
		}
		r.t.Errorf("caught up %t, faults:\n%s", doc.CaughtUp, strings.Join(words, "\n"))
		return
	}
	res := &history.Result{}
	for _, topic := range topics {
		rules := history.Rules{AbortedFillers: true}
		if strings.HasSuffix(topic, "-compacted") {
			rules.Echoes, rules.Thinned = true, true
		}
		one, err := history.Compare(r.t.Context(), w.Client(), r.judge.Client(), []string{topic}, rules)
		if err != nil {
			r.t.Errorf("compare: %v", err)
			return
		}
		res.Add(one)
	}
	if err := history.CompareGroups(r.t.Context(), w.Client(), r.judge.Client(), groups, topics, res); err != nil {
		r.t.Errorf("compare groups: %v", err)
		return
	}
	if !res.Equal() {
		r.t.Errorf("%s", res)
	}
	r.total.Add(res)
}
