package e2e

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/testbed"
)

// kferry is killed with SIGKILL again and again while producers write to the source, transactions among it;
// in the end nothing is lost, repeated or shifted.
func TestKilledAgainAndAgain(t *testing.T) {
	kills := 12
	if long() {
		kills = 150
	}
	for _, pair := range []struct {
		name           string
		source, target testbed.Version
	}{
		{"3.9 to 4.3", testbed.V39, testbed.V43},
		{"4.3 to 2.8", testbed.V43, testbed.V28},
	} {
		t.Run(pair.name, func(t *testing.T) {
			f := newFlow(t, cluster(t, pair.source), cluster(t, pair.target), "gaps: {wide: 8}")
			topics := f.write(history.Random(2, 300*kills/12, false))
			live := map[string]int32{f.topic("live"): 3, f.topic("slow"): 1}
			for name, partitions := range live {
				if err := f.from.Create(t.Context(), name, partitions, nil); err != nil {
					t.Fatal(err)
				}
				topics = append(topics, name)
			}
			writing, err := f.from.GoLive(t.Context(), live, 400)
			if err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
			for range kills {
				r := f.start()
				time.Sleep(time.Duration(300+rng.IntN(1700)) * time.Millisecond)
				r.kill()
			}
			if err := writing.Stop(); err != nil {
				t.Fatal(err)
			}
			doc := f.mustCatchUp()
			res := f.equal(history.Rules{AbortedFillers: true}, topics...)
			t.Logf("%d records written live, %d kills, %d copied by the last run: %s", writing.Written(), kills, doc.Totals.RecordsCopied, res)
			if res.Committed < writing.Written()/3 {
				t.Errorf("only %d of %d records were compared", res.Committed, writing.Written())
			}
		})
	}
}
