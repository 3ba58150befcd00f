package kafka

import (
	"context"
	"fmt"
)

// BrokerVersions guesses each node's Kafka release from the API versions that it offers, such as "v3.9". It
// is for messages: what a node can do is asked of it, never concluded from this.
func (c *Cluster) BrokerVersions(ctx context.Context) (map[int32]string, error) {
	versions, err := c.admin.ApiVersions(ctx)
	if err != nil {
		return nil, fmt.Errorf("read versions of cluster %s: %w", c.alias, err)
	}
	out := make(map[int32]string, len(versions))
	for node, v := range versions {
		if v.Err == nil {
			out[node] = v.VersionGuess()
		}
	}
	return out, nil
}
