package replicate

import (
	"context"
	"sync"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
)

// gather joins questions about single partitions into requests about many: while one request is under way,
// those who ask meanwhile wait and share the next. Opening a thousand partitions takes tens of requests
// instead of thousands, and asking about one takes no longer than without.
type gather[A any] struct {
	ask func(context.Context, []kafka.Leader) map[estate.TopicPartition]A

	mu      sync.Mutex // guards the rest
	waiting []question[A]
	asking  bool
}

type question[A any] struct {
	leader kafka.Leader
	answer chan A
}

// gatherMax bounds one request.
const gatherMax = 500

// get asks about one partition. It returns ctx's error only if ctx ended first.
func (g *gather[A]) get(ctx context.Context, l kafka.Leader) (A, error) {
	q := question[A]{l, make(chan A, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, q)
	mine := !g.asking
	g.asking = true
	g.mu.Unlock()
	if mine {
		g.askAll(ctx)
	}
	select {
	case a := <-q.answer:
		return a, nil
	case <-ctx.Done():
		var none A
		return none, ctx.Err()
	}
}

// askAll asks until nobody waits. A request that fails because the asker's time is over tells the others so,
// and they try again.
func (g *gather[A]) askAll(ctx context.Context) {
	for {
		g.mu.Lock()
		n := min(len(g.waiting), gatherMax)
		now := g.waiting[:n:n]
		g.waiting = g.waiting[n:]
		if n == 0 {
			g.asking = false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		leaders := make([]kafka.Leader, n)
		for i, q := range now {
			leaders[i] = q.leader
		}
		answers := g.ask(ctx, leaders)
		for _, q := range now {
			q.answer <- answers[q.leader.TopicPartition]
		}
	}
}

// questions are what is asked about single partitions when they are opened.
type questions struct {
	sourceEnds gather[kafka.Ends]
	targetEnds gather[kafka.Ends]
	logEnds    gather[kafka.LogEnd]
	producers  gather[kafka.ProducerStates]
}

func newQuestions(source, target *kafka.Cluster) *questions {
	return &questions{
		sourceEnds: gather[kafka.Ends]{ask: source.Ends},
		targetEnds: gather[kafka.Ends]{ask: target.Ends},
		logEnds:    gather[kafka.LogEnd]{ask: target.LogEnds},
		producers:  gather[kafka.ProducerStates]{ask: target.ProducersOf},
	}
}
