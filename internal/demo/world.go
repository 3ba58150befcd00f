package demo

import (
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
	var err error
	if w.source, err = NewCluster("kferry-demo-source", brokers); err != nil {
		return nil, err
	}
	if w.target, err = NewCluster("kferry-demo-target", brokers); err != nil {
		w.close()
		return nil, err
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
