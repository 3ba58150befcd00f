package groups

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// TestRealBrokers holds the rules that only brokers can judge, between 2.8 and a 4.3 that forgets positions
// after a minute.
func TestRealBrokers(t *testing.T) {
	t.Parallel()
	kafka28 := testbed.Shared(t, testbed.V28)
	kafka43 := testbed.New(t, testbed.Options{Version: testbed.V43, Config: map[string]string{
		"offsets.retention.minutes": "1", "offsets.retention.check.interval.ms": "1000", "group.initial.rebalance.delay.ms": "0",
	}})
	tests := map[string]struct {
		source, target *testbed.Cluster
		run            func(p *pair)
	}{
		"rules 2.8 to 4.3":          {kafka28, kafka43, carries},
		"rules 4.3 to 2.8":          {kafka43, kafka28, carries},
		"live classic on 4.3":       {kafka28, kafka43, func(p *pair) { liveGroups(p, kafka43.Addrs(), kgo.ClientID("somebody")) }},
		"live KIP-848 on 4.3":       {kafka28, kafka43, func(p *pair) { liveGroups(p, kafka43.Addrs(), kgo.ServerSideBalancer()) }},
		"live classic on 2.8":       {kafka43, kafka28, func(p *pair) { liveGroups(p, kafka28.Addrs(), kgo.ClientID("somebody")) }},
		"KIP-848 source":            {kafka43, kafka28, func(p *pair) { p.topic("orders", 1, 100); newProtocol(p, kafka43.Addrs()) }},
		"open transaction on 2.8":   {kafka28, kafka43, func(p *pair) { realTransaction(p, kafka28) }},
		"open transaction on 4.3":   {kafka43, kafka28, func(p *pair) { realTransaction(p, kafka43) }},
		"idle groups do not expire": {kafka28, kafka43, idleGroups},
	}
	n := 0
	for name, test := range tests {
		n++
		suffix := fmt.Sprintf("-%d", n)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, test.source.Addrs(), test.target.Addrs())
			p.suffix = suffix
			test.run(p)
		})
	}
}

func realTransaction(p *pair, source *testbed.Cluster) {
	p.topic("orders", 2, 100)
	openTransaction(p, source.Addrs(), func(rows map[string]report.Group) {
		p.row(rows, "eos", 1, 1, "an open transaction on the source may still change it")
		p.holds("eos", "orders-1=11@-1/")
	})
}

// idleGroups carries a group for which nobody commits, on the clock, until the target has forgotten another one
// that nobody keeps alive.
func idleGroups(p *pair) {
	p.topic("orders", 2, 100)
	p.commit(p.a, "idle", "orders", 0, 5, "m")
	p.commit(p.a, "idle", "orders", 1, 0, "")
	p.commit(p.b, "control", "orders", 0, 5, "")
	p.restart(Options{Now: time.Now})
	for end := time.Now().Add(100 * time.Second); ; time.Sleep(2 * time.Second) {
		p.row(p.rows(p.syncer.Sync(p.t.Context(), p.mark)), "idle", 2, 0, "")
		p.holds("idle", "orders-0=5@-1/m", "orders-1=0@-1/")
		if len(p.stored("control")) == 0 {
			break
		}
		if time.Now().After(end) {
			p.t.Fatal("the target did not forget the control group: nothing was proven")
		}
	}
}
