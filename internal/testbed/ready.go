package testbed

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// awaitReady waits until the broker itself answers a Metadata request with at
// least want brokers, itself among them. A KRaft broker lists itself only when
// the controller has unfenced it, so from then on it can lead partitions.
func (b *Broker) awaitReady(ctx context.Context, want int) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.internal.addr()))
	if err != nil {
		return fmt.Errorf("make a client for broker %d: %w", b.ID, err)
	}
	defer cl.Close()
	p := b.process()
	for {
		last := b.knows(ctx, cl, want)
		if last == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("broker %d ended while it started (%s); its log says:\n%s", b.ID, p.ended(), b.Tail(20))
		case <-ctx.Done():
			return fmt.Errorf("broker %d is not ready (%v): %w; its log says:\n%s", b.ID, last, ctx.Err(), b.Tail(20))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// knows asks the broker once.
func (b *Broker) knows(ctx context.Context, cl *kgo.Client, want int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // no topics: the brokers alone
	resp, err := req.RequestWith(ctx, cl.SeedBrokers()[0])
	if err != nil {
		return err
	}
	self := false
	for _, broker := range resp.Brokers {
		self = self || int(broker.NodeID) == b.ID
	}
	if !self || len(resp.Brokers) < want || resp.ControllerID < 0 {
		return fmt.Errorf("it knows %d of %d brokers, itself: %v, controller: %d", len(resp.Brokers), want, self, resp.ControllerID)
	}
	return nil
}
