package kafka

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/kferry/kferry/internal/estate"
)

// CommittedOffset is a group's position in one partition.
type CommittedOffset struct {
	Offset   int64 // the next offset to read
	Metadata string
	Err      error // ErrUnstableOffset while a transaction that commits it is open
}

// GroupOffsets are all positions that a group has committed, or why they could not be read.
type GroupOffsets struct {
	Offsets map[estate.TopicPartition]CommittedOffset
	Err     error
}

const (
	// offsetBatch is how many groups go into one OffsetFetch or FindCoordinator request.
	offsetBatch = 200
	// offsetsInFlight is how many requests wait on one connection at a time.
	offsetsInFlight = 32
	// Version 7 of OffsetFetch brought RequireStable (KIP-447, Kafka 2.5), 8 many groups in one request
	// (KIP-709, 3.0); 10 names topics by id, which serves nobody here.
	offsetFetchMany = 8
	offsetFetchMax  = 9
	// Version 10 of OffsetCommit names topics by id too.
	offsetCommitMax = 9
)

// Offsets reads what groups have committed. Positions that an open transaction may still change carry
// ErrUnstableOffset (RequireStable, KIP-447). A group that does not exist has no positions and no error.
// Needs DESCRIBE on the groups; positions in topics that the principal may not describe are left out by the
// cluster.
func (g *GroupClient) Offsets(ctx context.Context, ids []string) map[string]GroupOffsets {
	var mu sync.Mutex // guards out and each node's errs
	out := make(map[string]GroupOffsets, len(ids))
	errs := g.perCoordinator(ctx, ids, func(ctx context.Context, node int32, ids []string) map[string]error {
		errs := map[string]error{}
		conn, err := g.c.errand(ctx, node)
		if err != nil {
			failAll(ids, err, errs)
			return errs
		}
		size := offsetBatch
		if conn.MaxVersion(int16(kmsg.OffsetFetch)) < offsetFetchMany {
			size = 1
		}
		concurrently(slices.Chunk(ids, size), func(batch []string) {
			got, err := g.fetchOffsets(ctx, conn, batch)
			mu.Lock()
			defer mu.Unlock()
			for _, id := range batch {
				o, ok := got[id]
				switch {
				case err != nil:
					errs[id] = fmt.Errorf("fetch offsets of group %s: %w", id, err)
				case !ok:
					errs[id] = fmt.Errorf("fetch offsets of group %s: node %d left it out of its answer", id, node)
				case o.Err != nil:
					errs[id] = o.Err
				default:
					out[id] = o
				}
			}
		})
		return errs
	})
	for id, err := range errs {
		out[id] = GroupOffsets{Err: err}
	}
	return out
}

// concurrently calls f for every item, a bounded number at a time, and returns when all have returned.
func concurrently[T any](items iter.Seq[T], f func(T)) {
	var eg errgroup.Group
	eg.SetLimit(offsetsInFlight)
	for item := range items {
		eg.Go(func() error { f(item); return nil })
	}
	_ = eg.Wait() // f returns nothing
}

// fetchOffsets asks one node about the groups of one request: several from version 8 on, one before.
func (g *GroupClient) fetchOffsets(ctx context.Context, conn *Conn, ids []string) (map[string]GroupOffsets, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version = offsetFetchMax
	req.RequireStable = true
	req.Group = ids[0] // up to version 7; null topics: all of them
	for _, id := range ids {
		rg := kmsg.NewOffsetFetchRequestGroup()
		rg.Group = id
		req.Groups = append(req.Groups, rg)
	}
	answer, err := conn.Do(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.OffsetFetchResponse)
	if resp.Version < offsetFetchMany {
		resp.Groups = []kmsg.OffsetFetchResponseGroup{asGroup(ids[0], resp)}
	}
	out := make(map[string]GroupOffsets, len(ids))
	for _, rg := range resp.Groups {
		err := g.c.refused(rg.ErrorCode, nil, grant{"Describe", "Group", rg.Group})
		if err != nil && !errors.Is(err, ErrGroupNotFound) {
			out[rg.Group] = GroupOffsets{Err: err}
			continue
		}
		offsets := map[estate.TopicPartition]CommittedOffset{}
		for _, t := range rg.Topics {
			for _, p := range t.Partitions {
				err := g.c.refused(p.ErrorCode, nil, grant{"Describe", "Topic", t.Topic})
				if err == nil && p.Offset < 0 {
					continue // never committed
				}
				offsets[estate.TopicPartition{Topic: t.Topic, Partition: p.Partition}] = CommittedOffset{p.Offset, orEmpty(p.Metadata), err}
			}
		}
		out[rg.Group] = GroupOffsets{Offsets: offsets}
	}
	return out, nil
}

// asGroup gives the answer of versions up to 7 the form of the later ones.
func asGroup(id string, resp *kmsg.OffsetFetchResponse) kmsg.OffsetFetchResponseGroup {
	rg := kmsg.NewOffsetFetchResponseGroup()
	rg.Group, rg.ErrorCode = id, resp.ErrorCode
	for _, t := range resp.Topics {
		rt := kmsg.NewOffsetFetchResponseGroupTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
			rp.Partition, rp.Offset, rp.Metadata, rp.ErrorCode = p.Partition, p.Offset, p.Metadata, p.ErrorCode
			rt.Partitions = append(rt.Partitions, rp)
		}
		rg.Topics = append(rg.Topics, rt)
	}
	return rg
}

// OffsetCommit is one position to store for a group.
type OffsetCommit struct {
	Topic     string
	Partition int32
	Offset    int64
	Metadata  string
}

// CommitOutcome is what became of one group's commits.
type CommitOutcome struct {
	// Err concerns the whole group: ErrUnknownMember or ErrStaleMemberEpoch mean that somebody is in it.
	Err error
	// Partitions holds the positions that were refused one by one.
	Partitions map[estate.TopicPartition]error
}

// Commit stores positions for groups that nobody is a member of, as a "simple" commit does (generation -1,
// no member), and creates groups that do not exist. The cluster refuses it for a group with members. The
// leader epoch is always -1: the source's would make consumers on the target see a truncation. Needs READ
// on the groups and on the topics.
func (g *GroupClient) Commit(ctx context.Context, commits map[string][]OffsetCommit) map[string]CommitOutcome {
	var mu sync.Mutex // guards out and each node's errs
	out := make(map[string]CommitOutcome, len(commits))
	errs := g.perCoordinator(ctx, slices.Sorted(maps.Keys(commits)), func(ctx context.Context, node int32, ids []string) map[string]error {
		errs := map[string]error{}
		conn, err := g.c.errand(ctx, node)
		if err != nil {
			failAll(ids, err, errs)
			return errs
		}
		concurrently(slices.Values(ids), func(id string) {
			refused, err := g.commit(ctx, conn, id, commits[id])
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs[id] = err
				return
			}
			out[id] = CommitOutcome{Partitions: refused}
		})
		return errs
	})
	for id, err := range errs {
		out[id] = CommitOutcome{Err: fmt.Errorf("commit offsets of group %s: %w", id, err)}
	}
	return out
}

func (g *GroupClient) commit(ctx context.Context, conn *Conn, id string, commits []OffsetCommit) (map[estate.TopicPartition]error, error) {
	answer, err := conn.Do(ctx, commitRequest(id, commits))
	if err != nil {
		return nil, err
	}
	refused := map[estate.TopicPartition]error{}
	for _, t := range answer.(*kmsg.OffsetCommitResponse).Topics {
		for _, p := range t.Partitions {
			need := grant{"Read", "Topic", t.Topic}
			if p.ErrorCode == kerr.GroupAuthorizationFailed.Code {
				need = grant{"Read", "Group", id}
			}
			err := g.c.refused(p.ErrorCode, nil, need)
			switch {
			case err == nil:
			case concernsGroup(err):
				return nil, err
			default:
				refused[estate.TopicPartition{Topic: t.Topic, Partition: p.Partition}] = err
			}
		}
	}
	return refused, nil
}

// concernsGroup says whether the error that a broker wrote into each partition of its answer is one of the
// group: OffsetCommit has no other place for it.
func concernsGroup(err error) bool {
	for _, k := range []error{
		kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.UnknownMemberID,
		kerr.StaleMemberEpoch, kerr.FencedMemberEpoch, kerr.IllegalGeneration, kerr.RebalanceInProgress,
		kerr.GroupAuthorizationFailed, kerr.GroupIDNotFound, kerr.InvalidGroupID, kerr.UnsupportedVersion,
	} {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

func commitRequest(id string, commits []OffsetCommit) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version = offsetCommitMax
	req.Group, req.Generation = id, -1
	index := map[string]int{}
	for _, commit := range commits {
		i, ok := index[commit.Topic]
		if !ok {
			i = len(req.Topics)
			index[commit.Topic] = i
			t := kmsg.NewOffsetCommitRequestTopic()
			t.Topic = commit.Topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch = commit.Partition, commit.Offset, -1
		p.Metadata = kmsg.StringPtr(commit.Metadata)
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	return req
}
