package replicate

import (
	"context"
	"sync"
	"time"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/replicate/mirror"
)

// marker writes control markers to one target broker by WriteTxnMarkers: everything that waits goes out in one
// request, one request at a time, over a connection of its own, because the broker answers only when the
// markers are replicated.
type marker struct {
	engine *Engine
	node   int32

	mu    sync.Mutex // guards queue
	queue []markJob
	wake  chan struct{}

	conn *kafka.Conn // owned by run
}

// markJob is one partition that waits for markers.
type markJob struct {
	p   *partition
	act mirror.Action
}

// beginAll begins the jobs whose answer is still wanted, and returns them.
func beginAll(jobs []markJob) []markJob {
	var live []markJob
	for _, j := range jobs {
		if j.p.begin(j.act) {
			live = append(live, j)
		}
	}
	return live
}

func finishAll(live []markJob) {
	for _, j := range live {
		j.p.finish()
	}
}

// marksPerRequest bounds one request over all its partitions; a broker writes ten to fifty thousand markers a
// second.
const marksPerRequest = 5_000

func newMarker(e *Engine, node int32) *marker {
	return &marker{engine: e, node: node, wake: make(chan struct{}, 1)}
}

func (k *marker) add(j markJob) {
	k.mu.Lock()
	k.queue = append(k.queue, j)
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// take returns the jobs of the next request.
func (k *marker) take() []markJob {
	k.mu.Lock()
	defer k.mu.Unlock()
	var jobs []markJob
	total := int64(0)
	for len(k.queue) > 0 && (len(jobs) == 0 || total+k.queue[0].act.Count <= marksPerRequest) {
		total += k.queue[0].act.Count
		jobs = append(jobs, k.queue[0])
		k.queue = k.queue[1:]
	}
	return jobs
}

func (k *marker) run(ctx context.Context) {
	defer func() {
		if k.conn != nil {
			k.conn.Close()
		}
	}()
	for ctx.Err() == nil {
		jobs := k.take()
		if len(jobs) == 0 {
			select {
			case <-k.wake:
			case <-ctx.Done():
			}
			continue
		}
		k.write(ctx, jobs)
	}
}

// write sends one request and waits for its answer.
func (k *marker) write(ctx context.Context, jobs []markJob) {
	live := beginAll(jobs)
	defer finishAll(live)
	if len(live) == 0 {
		return
	}
	if k.conn == nil || k.conn.Err() != nil {
		conn, err := k.engine.o.Target.Dial(ctx, k.node)
		if err != nil {
			k.unknown(live, err)
			sleep(ctx, 500*time.Millisecond)
			return
		}
		k.conn = conn
	}
	marks := make([]kafka.Marks, len(live))
	for i, j := range live {
		marks[i] = kafka.Marks{TopicPartition: j.p.TopicPartition, N: int(j.act.Count)}
	}
	type answer struct {
		refused map[estate.TopicPartition]error
		err     error
	}
	answered := make(chan answer, 1)
	err := k.conn.WriteMarkers(k.engine.markID, 0, marks, func(refused map[estate.TopicPartition]error, err error) {
		answered <- answer{refused, err}
	})
	if err != nil {
		k.unknown(live, err)
		return
	}
	select {
	case a := <-answered:
		if a.err != nil {
			k.unknown(live, a.err)
			return
		}
		for _, j := range live {
			err, ok := a.refused[j.p.TopicPartition]
			k.settle(j, err, ok)
		}
	case <-time.After(choreTimeout):
		k.conn.Close()
		<-answered
		k.unknown(live, kafka.ErrClosed)
	case <-ctx.Done():
	}
}

func (k *marker) unknown(jobs []markJob, err error) {
	k.engine.trouble("write markers", err, "node", k.node)
	k.engine.refreshSoon()
	for _, j := range jobs {
		j.p.step(func(m *mirror.Machine) { m.Unknown(j.act.Generation) })
	}
}

func (k *marker) settle(j markJob, err error, answered bool) {
	gen := j.act.Generation
	switch {
	case !answered:
		j.p.step(func(m *mirror.Machine) { m.Unknown(gen) })
	case err == nil:
		j.p.step(func(m *mirror.Machine) { m.Filled(gen, j.act.Base+j.act.Count) })
	case kafka.TroubleOf(err) == kafka.Denied:
		j.p.step(func(m *mirror.Machine) {
			m.Refused(gen, j.act.Base, fault.GapRefused,
				"grant ALTER on the cluster (Kafka 3.8 and newer) or CLUSTER_ACTION to kferry's principal on the target, then start kferry again",
				"writing control markers is denied: "+err.Error())
		})
	default:
		k.unknown([]markJob{j}, err)
	}
}
