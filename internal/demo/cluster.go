package demo

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// NewCluster starts an embedded cluster on loopback, on free ports, against which kferry can be started again and
// again. The caller closes it.
func NewCluster(id string, brokers int) (*kfake.Cluster, error) {
	c, err := kfake.NewCluster(kfake.NumBrokers(brokers), kfake.ClusterID(id))
	if err != nil {
		return nil, fmt.Errorf("start embedded cluster %s on loopback: %w", id, err)
	}
	c.ControlKey(int16(kmsg.InitProducerID), freshProducerIDs(c))
	return c, nil
}

// freshProducerIDs answers kferry's questions for the ids of plain batches and of markers with a new id each time.
//
// A broker gives the same id again with the next epoch, and knows epochs and sequence numbers partition by
// partition, from what was appended. kfake has one epoch for each id, refuses plain batches that go on with the
// epoch before, and does not tell the last sequence number of an id at rest: there an id cannot be taken up again. A
// new id is what a broker gives once it has forgotten the old one (transactional.id.expiration.ms).
func freshProducerIDs(c *kfake.Cluster) func(kmsg.Request) (kmsg.Response, error, bool) {
	next := int64(1 << 40) // control functions run one at a time
	return func(r kmsg.Request) (kmsg.Response, error, bool) {
		req, ok := r.(*kmsg.InitProducerIDRequest)
		if !ok || req.TransactionalID == nil || !plainProducer(*req.TransactionalID) {
			return nil, nil, false
		}
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.ProducerID, resp.ProducerEpoch = next, 0
		next++
		return resp, nil, true
	}
}

// plainProducer says whether a transactional id of kferry names a producer that has no transactions.
func plainProducer(transactionalID string) bool {
	return strings.HasPrefix(transactionalID, "kferry-") &&
		(strings.HasSuffix(transactionalID, "-data") || strings.HasSuffix(transactionalID, "-marks"))
}
