package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/kferry/kferry/internal/config"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/replicate"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/topics/settings"
)

// flowOptions say which flows a command is about: those of a file, or one made of flags.
type flowOptions struct {
	file, flow                               string
	sourceServers, targetServers             string
	sourceCommandConfig, targetCommandConfig string
	topics, shifted                          []string
	replicationFactor                        int
	topicsNarrow                             bool // with a file, --topics chooses among the flow's topics
}

// clusterFlags are the flags that stand in place of a file.
var clusterFlags = []string{"source-bootstrap-server", "target-bootstrap-server", "source-command-config", "target-command-config", "replication-factor", "shifted-topics"}

func (o *flowOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&o.file, "file", "f", "", "`migration.yaml` that describes clusters and flows; - is standard input")
	f.StringVar(&o.flow, "flow", "", "`name` of one flow of the file (default: all of them)")
	f.StringVar(&o.sourceServers, "source-bootstrap-server", "", "source brokers to ask first, `host:port,...`, in place of a file")
	f.StringVar(&o.targetServers, "target-bootstrap-server", "", "target brokers to ask first, `host:port,...`")
	f.StringVar(&o.sourceCommandConfig, "source-command-config", "", "Java client `properties` file with the source's security settings")
	f.StringVar(&o.targetCommandConfig, "target-command-config", "", "Java client `properties` file with the target's security settings")
	topics := "topics to carry: `regexps` that match whole names, separated by commas"
	if o.topicsNarrow {
		topics += "; with a file, only these of its topics"
	}
	f.StringSliceVar(&o.topics, "topics", nil, topics)
	f.StringSliceVar(&o.shifted, "shifted-topics", nil, "topics to begin with shifted offsets, without a file: `regexps` that match whole names, separated by commas")
	_ = cmd.MarkFlagFilename("file", "yaml", "yml")
	_ = cmd.MarkFlagFilename("source-command-config", "properties")
	_ = cmd.MarkFlagFilename("target-command-config", "properties")
	_ = cmd.RegisterFlagCompletionFunc("flow", o.completeFlow)
	_ = cmd.RegisterFlagCompletionFunc("topics", cobra.NoFileCompletions)
}

func (o *flowOptions) completeFlow(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if m, err := config.Load(o.file); err == nil {
		for _, f := range m.Spec.Flows {
			names = append(names, f.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// load reads the configuration and chooses the flows.
func (o *flowOptions) load() (*config.Migration, []*config.Flow, error) {
	m, err := o.migration()
	if err != nil {
		return nil, nil, err
	}
	for _, w := range m.Warnings {
		slog.Warn("configuration", "hint", w)
	}
	if o.flow == "" {
		var flows []*config.Flow
		for i := range m.Spec.Flows {
			flows = append(flows, &m.Spec.Flows[i])
		}
		return m, flows, nil
	}
	f, err := m.Flow(o.flow)
	if err != nil {
		return nil, nil, usagef("--flow: %w", err)
	}
	return m, []*config.Flow{f}, nil
}

func (o *flowOptions) migration() (*config.Migration, error) {
	byFlags := o.sourceServers != "" || o.targetServers != "" || o.sourceCommandConfig != "" || o.targetCommandConfig != ""
	switch {
	case o.file != "" && byFlags:
		return nil, usagef("--file and cluster flags: the file names the clusters; give one or the other")
	case o.file != "" && o.replicationFactor != 0:
		return nil, usagef("--replication-factor has no effect with --file; write replicationFactor into the flow")
	case o.file != "" && len(o.shifted) > 0:
		return nil, usagef("--shifted-topics has no effect with --file; write shifted into the flow")
	case o.file != "" && len(o.topics) > 0 && !o.topicsNarrow:
		return nil, usagef("--topics has no effect with --file; write topics and exclude into the flow")
	case o.file != "":
		return config.Load(o.file)
	case !byFlags:
		return nil, usagef("no clusters are named; give --file migration.yaml, or --source-bootstrap-server, --target-bootstrap-server and --topics")
	case o.flow != "":
		return nil, usagef("--flow chooses a flow of a file; add --file or remove --flow")
	}
	m, err := config.FromFlags(o.sourceServers, o.targetServers, o.topics, o.shifted, o.sourceCommandConfig, o.targetCommandConfig)
	if err != nil {
		return nil, err
	}
	if o.replicationFactor < 0 || o.replicationFactor > 32767 { // Kafka keeps it in 16 bits
		return nil, usagef("--replication-factor %d is not a number of replicas; write 1 to 32767", o.replicationFactor)
	}
	m.Spec.Flows[0].ReplicationFactor.Number = o.replicationFactor
	return m, nil
}

// chosen compiles --topics where it narrows a file's flow; nil chooses everything.
func (o *flowOptions) chosen() (func(topic string) bool, error) {
	if o.file == "" || len(o.topics) == 0 {
		return func(string) bool { return true }, nil
	}
	var patterns []config.Pattern
	for _, t := range o.topics {
		p, err := config.ParsePattern(t)
		if err != nil {
			return nil, usagef("--topics: %w", err)
		}
		patterns = append(patterns, p)
	}
	return func(topic string) bool {
		for _, p := range patterns {
			if p.Match(topic) {
				return true
			}
		}
		return false
	}, nil
}

// clusters are the open clusters of a command, each opened once.
type clusters struct {
	byAlias map[string]*kafka.Cluster
}

// openClusters reaches every cluster that the flows name. The caller closes them, also after an error.
func openClusters(ctx context.Context, m *config.Migration, flows []*config.Flow) (*clusters, error) {
	cs := &clusters{byAlias: map[string]*kafka.Cluster{}}
	var aliases []string
	for _, f := range flows {
		for _, alias := range []string{f.Source, f.Target} {
			if _, ok := cs.byAlias[alias]; !ok {
				cs.byAlias[alias] = nil
				aliases = append(aliases, alias)
			}
		}
	}
	type opened struct {
		alias   string
		cluster *kafka.Cluster
		err     error
	}
	answers := make(chan opened)
	for _, alias := range aliases {
		go func() {
			c, err := openCluster(ctx, m, alias)
			answers <- opened{alias, c, err}
		}()
	}
	errs := make(map[string]error)
	for range aliases {
		a := <-answers
		cs.byAlias[a.alias], errs[a.alias] = a.cluster, a.err
	}
	var all []error
	for _, alias := range aliases { // in the order of the flows, whichever answered first
		all = append(all, errs[alias])
	}
	return cs, errors.Join(all...)
}

func openCluster(ctx context.Context, m *config.Migration, alias string) (*kafka.Cluster, error) {
	c, err := m.Cluster(alias)
	if err != nil {
		return nil, usagef("%w", err)
	}
	conn, err := c.Connection(ctx)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	if _, err := conn.Auth(ctx); err != nil { // stores that cannot be read, before anything is dialled
		return nil, &exitError{exitUsage, err}
	}
	return kafka.Open(ctx, conn)
}

func (cs *clusters) close() {
	for _, c := range cs.byAlias {
		if c != nil {
			c.Close()
		}
	}
}

// engineOptions translates a flow of the configuration.
func (cs *clusters) engineOptions(f *config.Flow) (replicate.Options, error) {
	o := replicate.Options{
		Flow: f.Name, Source: cs.byAlias[f.Source], Target: cs.byAlias[f.Target],
		Policy:         policyOf(f),
		SplitOversized: f.OversizedBatches == "split", FillExpired: f.OnRetentionOvertake == "fill",
		WideGap: f.Gaps.Wide, WideHoles: mirror.HoleFiller(f.Gaps.Compacted), Fillers: replicate.FillerPermission(f.Gaps.Permission),
		SeedLimit: f.SeedLimit, TopicRefresh: f.TopicRefreshInterval, GroupInterval: f.GroupSyncInterval,
		MemoryBytes: int64(f.Limits.Memory), InFlightBytes: int64(f.Limits.InFlightBytes), BytesPerSecond: int64(f.Limits.BytesPerSecond),
	}
	var err error
	for _, list := range []struct {
		to   *[]*regexp.Regexp
		from []config.Pattern
	}{{&o.Include, f.Topics}, {&o.Exclude, f.Exclude}, {&o.GroupInclude, f.Groups}, {&o.GroupExclude, f.ExcludeGroups}, {&o.Shifted, f.ShiftedTopics()}} {
		if *list.to, err = expressions(list.from); err != nil {
			return o, fmt.Errorf("flow %s: %w", f.Name, err)
		}
	}
	return o, nil
}

// policyOf is how many replicas a flow wants on the target.
func policyOf(f *config.Flow) settings.Policy {
	return settings.Policy{
		Replication: settings.Count{N: f.ReplicationFactor.Number, Exact: f.ReplicationFactor.Exact},
		MinInsync:   settings.Count{N: f.MinInsyncReplicas.Number, Exact: f.MinInsyncReplicas.Exact},
	}
}

// expressions gives patterns as the user wrote them; whoever uses them matches whole names.
func expressions(patterns []config.Pattern) ([]*regexp.Regexp, error) {
	var out []*regexp.Regexp
	for _, p := range patterns {
		re, err := regexp.Compile(p.String())
		if err != nil {
			return nil, err
		}
		out = append(out, re)
	}
	return out, nil
}
