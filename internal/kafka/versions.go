package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// apiVersions holds the version range of each API key that a broker offers.
type apiVersions map[int16]versionRange

type versionRange struct{ min, max int16 }

// clientSoftwareName shows up in the broker's connection metrics (KIP-511).
const clientSoftwareName = "kferry"

// negotiate asks for the API versions. Version 3 is known since Kafka 2.4; a broker that does not know it
// answers in version 0 with UNSUPPORTED_VERSION, which is older than anything kferry works with.
func (c *Conn) negotiate(ctx context.Context) error {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = 3
	req.ClientSoftwareName = clientSoftwareName
	req.ClientSoftwareVersion = Version
	resp, err := c.exchange(ctx, func(done func([]byte, error)) error { return c.Start(req, own, done) }, req)
	if err != nil {
		return err
	}
	av := resp.(*kmsg.ApiVersionsResponse)
	if err := kerr.ErrorForCode(av.ErrorCode); err != nil {
		return fmt.Errorf("%w (kferry needs Kafka 2.8 or newer)", err)
	}
	c.versions = make(apiVersions, len(av.ApiKeys))
	for _, k := range av.ApiKeys {
		c.versions[k.ApiKey] = versionRange{k.MinVersion, k.MaxVersion}
	}
	return nil
}

// Version is kferry's own version as told to brokers; set by the linker for releases.
var Version = "dev"

// MaxVersion is the highest version of an API key that the broker offers, -1 if it does not know the key.
func (c *Conn) MaxVersion(key int16) int16 {
	r, ok := c.versions[key]
	if !ok {
		return -1
	}
	return r.max
}

// pickVersion sets the highest version that both sides know. A version above 0 that is already set in the
// request is an upper bound.
func (c *Conn) pickVersion(req kmsg.Request) error {
	r, ok := c.versions[req.Key()]
	if !ok {
		return fmt.Errorf("%s to %s: the broker does not offer this API: %w", kmsg.NameForKey(req.Key()), c.addr, kerr.UnsupportedVersion)
	}
	upper := req.MaxVersion()
	if v := req.GetVersion(); v > 0 {
		upper = v
	}
	v := min(upper, r.max)
	if v < r.min {
		return fmt.Errorf("%s to %s: the broker offers versions %d to %d, kferry needs at most %d: %w",
			kmsg.NameForKey(req.Key()), c.addr, r.min, r.max, upper, kerr.UnsupportedVersion)
	}
	req.SetVersion(v)
	return nil
}
