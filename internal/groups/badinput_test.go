package groups

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Bad input of groups that is tested elsewhere in this package: members on the target, static or not
// (TestLiveGroupsAreLeftAlone), other kinds of groups (TestShareGroupsAreNamed, TestGroupsOfTheNewProtocolAreCarried),
// positions beyond the log (TestCarriesPositions), open transactions (TestOpenTransactionsAreWaitedFor), coordinators
// that move (TestCoordinatorsThatMove), denials (TestDenied), 10^5 groups (TestManyIdleGroupsCostLittle for the cost of
// one, TestBadInputManyGroups for the number).

// Names and metadata are bytes that kferry carries and never reads.
func TestBadInputGroupsAndMetadata(t *testing.T) {
	p := newPair(t, fake(t).ListenAddrs(), fake(t).ListenAddrs())
	p.topic("orders", 1, 100)
	metadata := strings.Repeat("m", 4096)
	for id, m := range map[string]string{
		"unicode-ü-漢-\U0001f600": "ü漢\U0001f600", "spaces and / % ..": "a b", strings.Repeat("g", 249): metadata, "nul": "a\x00b", "not-utf8-\xff\xfe": "\xff\xfe",
		"line\nbreak": "x\ny\r\x1b[31m",
	} {
		p.commit(p.a, id, "orders", 0, 42, m)
		rows := p.sync()
		p.row(rows, id, 1, 0, "")
		p.holds(id, "orders-0=42@-1/"+m)
	}
}

// What a source says about groups may be anything. It is an error or a reason, never a position.
func TestBadInputOffsets(t *testing.T) {
	for name, c := range map[string]struct {
		edit   func(*kmsg.OffsetFetchResponseGroup)
		stored string // on the target, "" for nothing
		reason string // in the group's line
	}{
		"offset -1":             {edit: func(g *kmsg.OffsetFetchResponseGroup) { g.Topics[0].Partitions[0].Offset = -1 }},
		"offset -2^63":          {edit: func(g *kmsg.OffsetFetchResponseGroup) { g.Topics[0].Partitions[0].Offset = -1 << 63 }},
		"offset 2^63-1":         {edit: func(g *kmsg.OffsetFetchResponseGroup) { g.Topics[0].Partitions[0].Offset = 1<<63 - 1 }, stored: "orders-0=100@-1/", reason: "the target is behind: 100 of 9223372036854775807"},
		"partition 99":          {edit: func(g *kmsg.OffsetFetchResponseGroup) { g.Topics[0].Partitions[0].Partition = 99 }},
		"partition -1":          {edit: func(g *kmsg.OffsetFetchResponseGroup) { g.Topics[0].Partitions[0].Partition = -1 }},
		"no topic":              {edit: func(g *kmsg.OffsetFetchResponseGroup) { g.Topics = nil }},
		"a group of another":    {edit: func(g *kmsg.OffsetFetchResponseGroup) { g.Group = "other" }, reason: "left it out of its answer"},
		"an error nobody knows": {edit: func(g *kmsg.OffsetFetchResponseGroup) { g.ErrorCode = 9999 }, reason: "UNKNOWN_SERVER_ERROR"},
		"an error and an offset": {edit: func(g *kmsg.OffsetFetchResponseGroup) {
			g.Topics[0].Partitions[0].ErrorCode = kerr.UnknownServerError.Code
		}, reason: "UNKNOWN_SERVER_ERROR"},
	} {
		source := fake(t)
		p := newPair(t, source.ListenAddrs(), fake(t).ListenAddrs())
		p.topic("orders", 1, 100)
		p.commit(p.a, "g", "orders", 0, 42, "")
		source.ControlKey(int16(kmsg.OffsetFetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
			source.KeepControl()
			req := kreq.(*kmsg.OffsetFetchRequest)
			resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
			for _, rg := range req.Groups {
				g := kmsg.NewOffsetFetchResponseGroup()
				g.Group = rg.Group
				topic, part := kmsg.NewOffsetFetchResponseGroupTopic(), kmsg.NewOffsetFetchResponseGroupTopicPartition()
				topic.Topic, part.Offset = "orders", 42
				topic.Partitions = append(topic.Partitions, part)
				g.Topics = append(g.Topics, topic)
				c.edit(&g)
				resp.Groups = append(resp.Groups, g)
			}
			return resp, nil, true
		})
		groups, err := p.syncer.SyncAll(t.Context(), p.mark)
		said := fmt.Sprint(err)
		for _, g := range groups {
			said += g.Reason
		}
		if c.reason != "" && !strings.Contains(said, c.reason) {
			t.Errorf("%s: %v, %+v, want %q", name, err, groups, c.reason)
		}
		want := []string{}
		if c.stored != "" {
			want = []string{c.stored}
		}
		if diff := cmp.Diff(want, p.stored("g")); diff != "" {
			t.Errorf("%s: stored (-want +got):\n%s", name, diff)
		}
	}
}

// A hundred thousand groups in a list, none of which concerns the flow.
func TestBadInputManyGroups(t *testing.T) {
	source := fake(t)
	p := newPair(t, source.ListenAddrs(), fake(t).ListenAddrs())
	p.topic("orders", 1, 100)
	source.ControlKey(int16(kmsg.ListGroups), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		source.KeepControl()
		resp := kreq.ResponseKind().(*kmsg.ListGroupsResponse)
		for i := range 100_000 {
			g := kmsg.NewListGroupsResponseGroup()
			g.Group, g.ProtocolType, g.GroupState = fmt.Sprint("console-consumer-", i), "consumer", []string{"Empty", "Dead", "PreparingRebalance", "", "NoSuchState"}[i%5]
			g.GroupType = []string{"", "classic", "Consumer", "share", "streams", "martian"}[i%6]
			resp.Groups = append(resp.Groups, g)
		}
		return resp, nil, true
	})
	groups, err := p.syncer.SyncAll(t.Context(), p.mark)
	if err != nil || len(groups) != 0 {
		t.Errorf("%d lines, %v", len(groups), err)
	}
}

// States of a group in transition are no reason to lose its positions, and an unknown kind is named.
func TestBadInputStates(t *testing.T) {
	for _, c := range []struct{ state, kind, reason string }{
		{"Dead", "classic", ""}, {"PreparingRebalance", "classic", ""}, {"CompletingRebalance", "", ""}, {"NoSuchState", "classic", ""}, {"", "", ""},
	} {
		source := fake(t)
		p := newPair(t, source.ListenAddrs(), fake(t).ListenAddrs())
		p.topic("orders", 1, 100)
		p.commit(p.a, "g", "orders", 0, 42, "")
		source.ControlKey(int16(kmsg.ListGroups), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
			source.KeepControl()
			resp := kreq.ResponseKind().(*kmsg.ListGroupsResponse)
			g := kmsg.NewListGroupsResponseGroup()
			g.Group, g.GroupState, g.GroupType = "g", c.state, c.kind
			if source.CurrentNode() == source.CoordinatorFor("g") {
				resp.Groups = append(resp.Groups, g)
			}
			return resp, nil, true
		})
		p.row(p.sync(), "g", 1, 0, c.reason)
		p.holds("g", "orders-0=42@-1/")
	}
}
