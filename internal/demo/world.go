package demo

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// world is the two clusters.
type world struct {
	source, target *kfake.Cluster
}

// brokers of each cluster.
const brokers = 3

func newWorld() (*world, error) {
	w := &world{}
	for _, c := range []struct {
		to *(*kfake.Cluster)
		id string
	}{{&w.source, "kferry-demo-source"}, {&w.target, "kferry-demo-target"}} {
		var err error
		*c.to, err = kfake.NewCluster(kfake.NumBrokers(brokers), kfake.ClusterID(c.id))
		if err != nil {
			w.close()
			return nil, fmt.Errorf("start embedded cluster %s on loopback: %w", c.id, err)
		}
	}
	return w, nil
}

func (w *world) close() {
	for _, c := range []*kfake.Cluster{w.source, w.target} {
		if c != nil {
			c.Close()
		}
	}
}

func (w *world) sourceAddrs() string { return strings.Join(w.source.ListenAddrs(), ",") }
func (w *world) targetAddrs() string { return strings.Join(w.target.ListenAddrs(), ",") }

// client is a client of the source.
func (w *world) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(w.source.ListenAddrs()...)}, opts...)...)
}
