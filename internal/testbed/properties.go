package testbed

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// serverProperties is the whole server.properties of one broker.
func (b *Broker) serverProperties() map[string]string {
	c := b.cluster
	p := map[string]string{
		"log.dirs":                       b.dataDir(),
		"listeners":                      b.listeners(),
		"advertised.listeners":           b.advertisedListeners(),
		"listener.security.protocol.map": c.protocolMap(),
		"inter.broker.listener.name":     internalListener,

		"auto.create.topics.enable":        "false",
		"group.initial.rebalance.delay.ms": "0",
	}
	maps.Copy(p, internalTopics(c.options))
	maps.Copy(p, c.securityProperties())
	if c.Version.zooKeeper() {
		p["broker.id"] = strconv.Itoa(b.ID)
		p["zookeeper.connect"] = c.zooKeeper.port.addr()
		p["zookeeper.session.timeout.ms"] = strconv.Itoa(sessionTimeoutMillis)
	} else {
		p["process.roles"] = "broker,controller"
		p["node.id"] = strconv.Itoa(b.ID)
		p["controller.listener.names"] = controllerListener
		p["controller.quorum.voters"] = c.quorumVoters()
	}
	if !c.options.Benchmark {
		// A killed broker can register again when its old session has ended.
		p["broker.session.timeout.ms"] = "5000"
		p["broker.heartbeat.interval.ms"] = "1000"
		// 128 MiB of cleaner buffer by default, a quarter of a test's heap.
		p["log.cleaner.dedupe.buffer.size"] = strconv.Itoa(16 << 20)
	}
	maps.Copy(p, c.options.Config)
	maps.Copy(p, b.extra)
	return p
}

// internalTopics keeps the brokers' own topics small, so that a cluster starts
// and restarts quickly, and as well replicated as the brokers allow.
func internalTopics(o Options) map[string]string {
	replicas := min(o.Brokers, 3)
	minISR := max(1, replicas-1)
	const partitions = "5"
	p := map[string]string{
		"default.replication.factor":               strconv.Itoa(replicas),
		"offsets.topic.num.partitions":             partitions,
		"offsets.topic.replication.factor":         strconv.Itoa(replicas),
		"transaction.state.log.num.partitions":     partitions,
		"transaction.state.log.replication.factor": strconv.Itoa(replicas),
		"transaction.state.log.min.isr":            strconv.Itoa(minISR),
	}
	if o.Version == V43 { // KIP-932
		p["share.coordinator.state.topic.num.partitions"] = partitions
		p["share.coordinator.state.topic.replication.factor"] = strconv.Itoa(replicas)
		p["share.coordinator.state.topic.min.isr"] = strconv.Itoa(minISR)
	}
	return p
}

func (b *Broker) listeners() string {
	list := []string{internalListener + "://" + b.internal.addr()}
	if !b.cluster.Version.zooKeeper() {
		list = append(list, controllerListener+"://"+b.controller.addr())
	}
	for i, l := range b.cluster.options.Security.Listeners {
		list = append(list, l.Name+"://"+b.clients[i].addr())
	}
	return strings.Join(list, ",")
}

func (b *Broker) advertisedListeners() string {
	list := []string{internalListener + "://" + b.inside}
	for i, l := range b.cluster.options.Security.Listeners {
		list = append(list, l.Name+"://"+b.advertised[i])
	}
	return strings.Join(list, ",")
}

func (c *Cluster) protocolMap() string {
	list := []string{internalListener + ":PLAINTEXT", controllerListener + ":PLAINTEXT"}
	for _, l := range c.options.Security.Listeners {
		list = append(list, l.Name+":"+l.Protocol)
	}
	return strings.Join(list, ",")
}

func (c *Cluster) quorumVoters() string {
	var list []string
	for _, b := range c.brokers {
		list = append(list, strconv.Itoa(b.ID)+"@"+b.controller.addr())
	}
	return strings.Join(list, ",")
}

// writeProperties writes a Java properties file, sorted by key.
func writeProperties(path string, p map[string]string) error {
	var s strings.Builder
	for _, k := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&s, "%s=%s\n", k, propertyEscaper.Replace(p[k]))
	}
	if err := os.WriteFile(path, []byte(s.String()), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

var propertyEscaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
