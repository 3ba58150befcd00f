package groups

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/groups/position"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/names"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/shift"
)

const (
	// DefaultRefresh is how often positions that do not change are stored again, so that the target does not
	// forget them (offsets.retention.minutes, a week by default). A target that forgets sooner is served at a
	// quarter of its time, if it tells.
	DefaultRefresh = time.Hour
	// DefaultIdle is how old the knowledge of a group's positions may become while they do not move.
	DefaultIdle = 30 * time.Second
	// leastIdle is the first pause for a group that did not move; it doubles up to the idle time.
	leastIdle = time.Second
	// leastRefresh bounds what a tiny offsets.retention.minutes may cost.
	leastRefresh = 5 * time.Second
)

// DefaultExclude are groups that nobody misses: those of Kafka's console consumer.
var DefaultExclude = []*regexp.Regexp{regexp.MustCompile(`console-consumer-.*`)}

// Options of a [Syncer].
type Options struct {
	// Include and Exclude match whole group ids. No Include means every group. Groups that begin with
	// __kferry never take part.
	Include, Exclude []*regexp.Regexp
	// Hold says why a group must not be touched (its home is the target), empty if it may. Nil: none.
	Hold func(group string) string
	// ReadOnly stores nothing: the lines tell how the positions compare.
	ReadOnly bool
	// Refresh and Idle: see DefaultRefresh, DefaultIdle; 0 means these.
	Refresh, Idle time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Mark is how far one partition of the flow has come.
type Mark struct {
	High int64  // the target's high watermark, as the source's offset
	Hold string // why no position in this partition may be stored now, empty if it may
	// Shift tells which target offset belongs to a source offset; empty: they are equal.
	Shift shift.Map
}

// Marks tells the mark of a partition; false: the partition is not in the flow, positions in it are none of
// our business.
type Marks func(topic string, partition int32) (Mark, bool)

// Syncer carries the positions of one flow's groups. Use it from one goroutine at a time.
type Syncer struct {
	source, target *kafka.GroupClient
	targetCluster  *kafka.Cluster
	o              Options
	filter         names.Filter

	mu     sync.Mutex // guards groups: one Sync at a time
	groups map[string]*tracked
}

// tracked is what is remembered of one group between calls.
type tracked struct {
	row    report.Group
	source position.Side // as of the last list
	target position.Side
	here   bool // in the source's last list

	offsets map[estate.TopicPartition]kafka.CommittedOffset // the source's, as of the last look
	own     map[estate.TopicPartition]int64                 // what we stored last
	pause   time.Duration                                   // between looks
	due     time.Time                                       // when to look next
	stored  time.Time                                       // when every position was stored last
}

// New prepares a Syncer; nothing is asked before Sync.
func New(source, target *kafka.Cluster, o Options) *Syncer {
	if o.Idle <= 0 {
		o.Idle = DefaultIdle
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Hold == nil {
		o.Hold = func(string) string { return "" }
	}
	if o.Include == nil {
		o.Include = []*regexp.Regexp{regexp.MustCompile(`.*`)}
	}
	return &Syncer{
		source: source.GroupClient(), target: target.GroupClient(), targetCluster: target,
		o: o, filter: names.NewFilter(o.Include, o.Exclude), groups: map[string]*tracked{},
	}
}

// Sync looks at the groups that are due, stores what is to be stored, and returns the line of every group
// that has positions in the flow, by id. The error says that a cluster could not be asked for its groups;
// what concerns one group is in its line.
func (s *Syncer) Sync(ctx context.Context, marks Marks) ([]report.Group, error) {
	return s.sync(ctx, marks, false)
}

// SyncAll is Sync for all groups, due or not: the last word before a comparison.
func (s *Syncer) SyncAll(ctx context.Context, marks Marks) ([]report.Group, error) {
	return s.sync(ctx, marks, true)
}

func (s *Syncer) sync(ctx context.Context, marks Marks, all bool) ([]report.Group, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.askRetention(ctx)
	targetComplete, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	now := s.o.Now()
	due := map[string]*tracked{}
	for id, t := range s.groups {
		if all || !t.due.After(now) || now.Sub(t.stored) >= s.o.Refresh && !t.stored.IsZero() {
			due[id] = t
		}
	}
	s.carry(ctx, due, marks, targetComplete)
	var rows []report.Group
	for _, id := range slices.Sorted(maps.Keys(s.groups)) {
		if t := s.groups[id]; t.relevant() {
			rows = append(rows, t.row)
		}
	}
	return rows, nil
}

// relevant says whether a group has a line: it has positions in the flow, or may have some that cannot be seen.
func (t *tracked) relevant() bool {
	unseen := t.row.Type == kafka.GroupShare || t.here && t.offsets == nil && t.row.Reason != ""
	return len(t.row.Offsets) > 0 || t.row.ID != "" && unseen
}

// askRetention adapts the refresh to a target that forgets sooner than usual. A target that does not tell is
// taken to have the default.
func (s *Syncer) askRetention(ctx context.Context) {
	if s.o.Refresh <= 0 {
		s.o.Refresh = RefreshFor(ctx, s.targetCluster)
	}
}

// RefreshFor is how often committed offsets must be stored again so that a cluster does not forget them.
func RefreshFor(ctx context.Context, c *kafka.Cluster) time.Duration {
	for node := range c.Brokers() {
		configs, err := c.BrokerConfigs(ctx, node)
		if err != nil {
			continue
		}
		minutes, err := strconv.Atoi(configs["offsets.retention.minutes"].Value)
		if err == nil {
			return max(leastRefresh, min(DefaultRefresh, time.Duration(minutes)*time.Minute/4))
		}
	}
	return DefaultRefresh
}

// list updates what groups there are and how they stand on both sides. A change of a group's state makes it
// due at once. complete is false if some node of the target did not answer.
func (s *Syncer) list(ctx context.Context) (complete bool, err error) {
	source, sourceErr := s.source.List(ctx)
	if sourceErr != nil && len(source) == 0 {
		return false, sourceErr
	}
	target, targetErr := s.target.List(ctx)
	if targetErr != nil && len(target) == 0 {
		return false, targetErr
	}
	for _, t := range s.groups {
		t.here = t.here && sourceErr != nil // an incomplete list proves no absence
	}
	for _, g := range source {
		if !s.filter.Takes(g.ID) || strings.HasPrefix(g.ID, "__kferry") {
			continue
		}
		t := s.groups[g.ID]
		if t == nil {
			t = &tracked{own: map[estate.TopicPartition]int64{}}
			s.groups[g.ID] = t
		}
		t.here = true
		t.see(&t.source, position.Side{Exists: true, Type: g.Type, State: g.State})
	}
	onTarget := make(map[string]kafka.Group, len(target))
	for _, g := range target {
		onTarget[g.ID] = g
	}
	for id, t := range s.groups {
		if !t.here {
			t.see(&t.source, position.Side{Type: t.source.Type})
		}
		if g, ok := onTarget[id]; ok {
			t.see(&t.target, position.Side{Exists: true, Type: g.Type, State: g.State})
		} else {
			t.see(&t.target, position.Side{})
		}
	}
	return targetErr == nil, nil
}

// see notes how one side stands now.
func (t *tracked) see(side *position.Side, now position.Side) {
	if side.Exists != now.Exists || side.State != now.State || side.Type != now.Type {
		*side, t.due, t.pause = now, time.Time{}, 0
	}
}
