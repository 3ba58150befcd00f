package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// GroupClient asks the group coordinators of one cluster and remembers which node coordinates which group.
// Its methods may be called from any goroutine. Nothing it does is spoiled by being done twice.
type GroupClient struct {
	c *Cluster

	mu           sync.Mutex // guards coordinators
	coordinators map[string]int32
}

// GroupClient returns a client of its own for the cluster's groups.
func (c *Cluster) GroupClient() *GroupClient {
	return &GroupClient{c: c, coordinators: map[string]int32{}}
}

// The kinds of groups. A cluster older than Kafka 3.8 does not tell and knows classic ones only.
const (
	GroupClassic  = "classic"
	GroupConsumer = "consumer" // KIP-848
	GroupShare    = "share"    // KIP-932
	GroupStreams  = "streams"  // KIP-1071
)

// Group is one line of a cluster's list of groups.
type Group struct {
	ID       string
	Type     string // GroupClassic etc., in lower case
	State    string // as Kafka names it: Empty, Stable, PreparingRebalance, Dead, Assigning, ...
	Protocol string // consumer, connect, ...; empty for groups that only store offsets
}

// List names all groups that the principal may describe. If a node did not answer, the groups of the others
// are returned together with an error: a group that is missing then may exist all the same.
func (g *GroupClient) List(ctx context.Context) ([]Group, error) {
	if _, err := g.c.Metadata(ctx, []string{}); err != nil {
		return nil, err
	}
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		out  []Group
		errs []error
	)
	for node := range g.c.Brokers() {
		wg.Go(func() {
			groups, err := g.listOf(ctx, node)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("list groups of node %d of cluster %s: %w", node, g.c.alias, err))
			}
			out = append(out, groups...)
		})
	}
	wg.Wait()
	slices.SortFunc(out, func(a, b Group) int { return cmp.Compare(a.ID, b.ID) })
	return out, errors.Join(errs...)
}

func (g *GroupClient) listOf(ctx context.Context, node int32) ([]Group, error) {
	resp, err := g.c.ask(ctx, node, kmsg.NewPtrListGroupsRequest())
	if err != nil {
		return nil, err
	}
	list := resp.(*kmsg.ListGroupsResponse)
	if err := g.c.refused(list.ErrorCode, nil, grant{"Describe", "Cluster", ""}); err != nil {
		return nil, err
	}
	groups := make([]Group, 0, len(list.Groups))
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range list.Groups {
		g.coordinators[l.Group] = node
		groups = append(groups, Group{ID: l.Group, Type: groupType(l.GroupType), State: l.GroupState, Protocol: l.ProtocolType})
	}
	return groups, nil
}

// groupType brings the names of KIP-848 and KIP-932 into one form; brokers answer in lower case or not.
func groupType(s string) string {
	switch s {
	case "", "Classic":
		return GroupClassic
	case "Consumer":
		return GroupConsumer
	case "Share":
		return GroupShare
	case "Streams":
		return GroupStreams
	}
	return s
}

// GroupMember is one client that takes part in a group.
type GroupMember struct {
	ID, ClientID, Host string
	Topics             []string // of which it is assigned partitions, as far as the assignment can be read
}

// GroupDescription is a group's state and who is in it.
type GroupDescription struct {
	State   string
	Members []GroupMember
	Err     error
}

// Describe reads state and members of groups of type classic and consumer. Others have an error. Needs
// DESCRIBE on the groups.
func (g *GroupClient) Describe(ctx context.Context, groups []Group) map[string]GroupDescription {
	out := make(map[string]GroupDescription, len(groups))
	byType := map[string][]string{}
	for _, group := range groups {
		byType[group.Type] = append(byType[group.Type], group.ID)
	}
	for kind, ids := range byType {
		ask := g.describeClassic
		switch kind {
		case GroupClassic, "":
		case GroupConsumer:
			ask = g.describeConsumer
		default:
			for _, id := range ids {
				out[id] = GroupDescription{Err: fmt.Errorf("describe group %s: groups of type %s are not understood", id, kind)}
			}
			continue
		}
		var mu sync.Mutex
		errs := g.perCoordinator(ctx, ids, func(ctx context.Context, node int32, ids []string) map[string]error {
			got, errs := ask(ctx, node, ids)
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(out, got)
			return errs
		})
		for id, err := range errs {
			out[id] = GroupDescription{Err: err}
		}
	}
	return out
}

func (g *GroupClient) describeClassic(ctx context.Context, node int32, ids []string) (map[string]GroupDescription, map[string]error) {
	out, errs := map[string]GroupDescription{}, map[string]error{}
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = ids
	resp, err := g.c.ask(ctx, node, req)
	if err != nil {
		failAll(ids, err, errs)
		return nil, errs
	}
	for _, r := range resp.(*kmsg.DescribeGroupsResponse).Groups {
		if err := g.c.refused(r.ErrorCode, r.ErrorMessage, grant{"Describe", "Group", r.Group}); err != nil {
			errs[r.Group] = err
			continue
		}
		d := GroupDescription{State: r.State}
		for _, m := range r.Members {
			d.Members = append(d.Members, GroupMember{m.MemberID, m.ClientID, m.ClientHost, assigned(m.MemberAssignment)})
		}
		out[r.Group] = d
	}
	return out, errs
}

// assigned reads the assignment of a consumer in a classic group. Other protocols have their own forms.
func assigned(raw []byte) []string {
	var a kmsg.ConsumerMemberAssignment
	if a.ReadFrom(raw) != nil {
		return nil
	}
	var topics []string
	for _, t := range a.Topics {
		topics = append(topics, t.Topic)
	}
	return topics
}

func (g *GroupClient) describeConsumer(ctx context.Context, node int32, ids []string) (map[string]GroupDescription, map[string]error) {
	out, errs := map[string]GroupDescription{}, map[string]error{}
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = ids
	resp, err := g.c.ask(ctx, node, req)
	if err != nil {
		failAll(ids, err, errs)
		return nil, errs
	}
	for _, r := range resp.(*kmsg.ConsumerGroupDescribeResponse).Groups {
		if err := g.c.refused(r.ErrorCode, r.ErrorMessage, grant{"Describe", "Group", r.Group}); err != nil {
			errs[r.Group] = err
			continue
		}
		d := GroupDescription{State: r.State}
		for _, m := range r.Members {
			member := GroupMember{ID: m.MemberID, ClientID: m.ClientID, Host: m.ClientHost}
			for _, t := range m.Assignment.TopicPartitions {
				member.Topics = append(member.Topics, t.Topic)
			}
			d.Members = append(d.Members, member)
		}
		out[r.Group] = d
	}
	return out, errs
}

func failAll(ids []string, err error, errs map[string]error) {
	for _, id := range ids {
		errs[id] = err
	}
}

// coordinatorAttempts times the pause, doubled each time, is about six seconds: enough for a coordinator to
// move or to load its partition of __consumer_offsets, short enough for a sync that comes again anyway.
const (
	coordinatorAttempts = 6
	coordinatorPause    = 100 * time.Millisecond
)

// perCoordinator calls ask once for each node with the groups that it coordinates, all nodes at once, and
// again for groups whose coordinator moved or was not ready. It returns the groups that have an error.
func (g *GroupClient) perCoordinator(ctx context.Context, ids []string, ask func(ctx context.Context, node int32, ids []string) map[string]error) map[string]error {
	final := map[string]error{}
	left := ids
	for attempt := 0; len(left) > 0; attempt++ {
		again := g.round(ctx, left, ask, final)
		if len(again) == 0 {
			break
		}
		left = left[:0:0]
		for id, err := range again {
			if final[id] = err; attempt+1 < coordinatorAttempts && ctx.Err() == nil {
				delete(final, id)
				left = append(left, id)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(coordinatorPause << attempt):
		}
	}
	return final
}

// round is one attempt. Errors that will not pass go to final, the others are returned.
func (g *GroupClient) round(ctx context.Context, ids []string, ask func(ctx context.Context, node int32, ids []string) map[string]error, final map[string]error) map[string]error {
	again := map[string]error{}
	nodes, errs := g.locate(ctx, ids)
	var mu sync.Mutex
	sort := func(errs map[string]error) {
		mu.Lock()
		defer mu.Unlock()
		for id, err := range errs {
			if !coordinatorMoved(err) {
				final[id] = err
				continue
			}
			again[id] = err
			g.forget(id)
		}
	}
	sort(errs)
	var wg sync.WaitGroup
	for node, ids := range nodes {
		wg.Go(func() { sort(ask(ctx, node, ids)) })
	}
	wg.Wait()
	return again
}

// coordinatorMoved says whether an error is one that another attempt, perhaps at another node, may not meet:
// the coordinator moved, is loading, or the connection to it broke.
func coordinatorMoved(err error) bool {
	var k *kerr.Error
	if !errors.As(err, &k) {
		return !IsDenied(err)
	}
	switch k {
	case kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.BrokerNotAvailable:
		return true
	}
	return false
}

func (g *GroupClient) forget(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.coordinators, id)
}

// locate sorts groups by the node that coordinates them, asking for those that are not known yet.
func (g *GroupClient) locate(ctx context.Context, ids []string) (map[int32][]string, map[string]error) {
	nodes, errs := map[int32][]string{}, map[string]error{}
	var unknown []string
	g.mu.Lock()
	for _, id := range ids {
		if node, ok := g.coordinators[id]; ok {
			nodes[node] = append(nodes[node], id)
		} else {
			unknown = append(unknown, id)
		}
	}
	g.mu.Unlock()
	for batch := range slices.Chunk(unknown, offsetBatch) {
		g.findCoordinators(ctx, batch, nodes, errs)
	}
	return nodes, errs
}

func (g *GroupClient) findCoordinators(ctx context.Context, ids []string, nodes map[int32][]string, errs map[string]error) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorType, req.CoordinatorKeys = 0, ids
	resp, err := req.RequestWith(ctx, g.c.client)
	if err != nil {
		failAll(ids, fmt.Errorf("find group coordinators of cluster %s: %w", g.c.alias, err), errs)
		return
	}
	known := g.c.Brokers()
	for _, r := range resp.Coordinators {
		if err := g.c.refused(r.ErrorCode, r.ErrorMessage, grant{"Describe", "Group", r.Key}); err != nil {
			errs[r.Key] = err
			continue
		}
		if _, ok := known[r.NodeID]; !ok { // a node that joined since the last metadata
			if _, err := g.c.Metadata(ctx, []string{}); err != nil {
				errs[r.Key] = err
				continue
			}
			known = g.c.Brokers()
		}
		g.mu.Lock()
		g.coordinators[r.Key] = r.NodeID
		g.mu.Unlock()
		nodes[r.NodeID] = append(nodes[r.NodeID], r.Key)
	}
}
