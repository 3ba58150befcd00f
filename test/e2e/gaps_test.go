package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/testbed"
)

// gappy are the histories with gaps of every kind.
func gappy() []history.Topic {
	var out []history.Topic
	for _, h := range history.Hard() {
		switch h.Name {
		case "transactions", "only-aborted", "compacted", "compacted-transactions", "compacted-wide":
			out = append(out, h)
		}
	}
	return out
}

// Wide gaps by each kind of filler that may be chosen.
func TestWideGaps(t *testing.T) {
	source, target := cluster(t, testbed.V39), cluster(t, testbed.V43)
	written := newFlow(t, source, target) // what all variants copy
	topics := written.write(gappy()...)
	for _, c := range []struct {
		filler string
		rules  history.Rules
		used   func(report.Traffic) bool
	}{
		{"echo", history.Rules{Echoes: true, AbortedFillers: true}, func(t report.Traffic) bool { return t.FillersEchoes > 30_000 }},
		{"aborted", history.Rules{AbortedFillers: true}, func(t report.Traffic) bool { return t.FillersAborted > 30_000 && t.FillersEchoes == 0 }},
		{"markers", history.Rules{AbortedFillers: true}, func(t report.Traffic) bool { return t.FillersMarkers > 30_000 && t.FillersEchoes == 0 }},
	} {
		t.Run(c.filler, func(t *testing.T) {
			f := newFlow(t, source, target, "gaps: {wide: 30, compacted: "+c.filler+"}")
			f.prefix = written.prefix
			f.configure()
			for _, topic := range topics { // of the variant before
				if end(t, f.to, topic, 0) >= 0 {
					if err := f.to.Delete(t.Context(), topic); err != nil {
						t.Fatal(err)
					}
				}
			}
			doc := f.mustCatchUp()
			t.Logf("%s; %+v", f.equal(c.rules, topics...), doc.Totals.Traffic)
			if !c.used(doc.Totals.Traffic) {
				t.Errorf("wide holes were not filled that way: %+v", doc.Totals.Traffic)
			}
		})
	}
}

// A principal with the least permissions, on targets that let it write no markers: gaps are filled by
// transactions without data, wide ones by aborted fillers.
func TestWithoutMarkerPermission(t *testing.T) {
	for _, v := range []testbed.Version{testbed.V43, testbed.V28} {
		t.Run(string(v), func(t *testing.T) {
			f := newFlow(t, cluster(t, testbed.V39), cluster(t, v), "gaps: {wide: 100}")
			topics := f.write(gappy()...)
			groups, err := f.from.WriteGroups(t.Context(), f.name+"-", topics)
			if err != nil {
				t.Fatal(err)
			}
			f.loginWith(t, leastACLs(f.name))
			doc := f.mustCatchUp()
			res := f.equal(history.Rules{Echoes: true, AbortedFillers: true}, topics...)
			f.sameGroups(groups, topics...)
			t.Logf("%s; %+v; %s", res, doc.Totals.Traffic, doc.Fillers)
			if !strings.Contains(doc.Fillers, "EndTxn") || !strings.Contains(doc.Fillers, "CLUSTER_AUTHORIZATION_FAILED") {
				t.Errorf("the report does not say how gaps are filled and why: %q", doc.Fillers)
			}
		})
	}
}

// Without any way to fill gaps, and without what every copy needs, kferry says so before it writes anything.
func TestMissingPermissions(t *testing.T) {
	f := newFlow(t, cluster(t, testbed.V39), cluster(t, testbed.V43))
	f.write(history.Hard()[0])
	least := leastACLs(f.name)
	for _, c := range []struct {
		name  string
		leave func(acl) bool
		want  string
	}{
		{"no transactional ids", func(a acl) bool { return a.kind == "txn" }, "kferry-" + f.name},
		{"no delete on topics", func(a acl) bool { return a.kind == "topic" && a.op == kadm.OpDelete }, "DeleteRecords"},
		{"no create", func(a acl) bool { return a.kind == "topic" && a.op == kadm.OpCreate }, "creat"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var some []acl
			for _, a := range least {
				if !c.leave(a) {
					some = append(some, a)
				}
			}
			f.t = t
			f.loginWith(t, some)
			e := f.start("--until-caught-up").wait(time.Minute)
			if e.code != exitRefused || !strings.Contains(e.stderr, c.want) {
				t.Errorf("code %d, standard error:\n%s\nwant code %d and %q", e.code, tail(e.stderr, 3000), exitRefused, c.want)
			}
		})
	}
}

// acl is one permission.
type acl struct {
	kind string // topic, txn, group, cluster
	name string // prefix
	op   kadm.ACLOperation
}

// leastACLs are what kferry needs on a target for a flow, without writing markers.
func leastACLs(name string) []acl {
	var out []acl
	add := func(kind, name string, ops ...kadm.ACLOperation) {
		for _, op := range ops {
			out = append(out, acl{kind, name, op})
		}
	}
	for _, topics := range []string{name, "__kferry"} {
		add("topic", topics, kadm.OpCreate, kadm.OpRead, kadm.OpWrite, kadm.OpDelete, kadm.OpDescribe, kadm.OpDescribeConfigs, kadm.OpAlter, kadm.OpAlterConfigs)
	}
	add("txn", "kferry-"+name, kadm.OpWrite, kadm.OpDescribe)
	add("group", name, kadm.OpRead, kadm.OpDescribe)
	add("cluster", "", kadm.OpIdempotentWrite)
	return out
}

// loginWith makes the flow log in on the target with these permissions and no others.
func (f *flow) loginWith(t *testing.T, acls []acl) {
	t.Helper()
	user := testbed.DefaultUser
	f.targetLine = fmt.Sprintf(`{alias: new, bootstrapServers: "%s", insecure: true, auth: {plain: {username: %s, password: {file: %s}}}}`,
		f.target.Listener(login.Name), user.Name, secretFile(t, user.Password))
	f.configure()
	adm := kadm.NewClient(f.to.Client())
	everything := kadm.NewACLs().AnyResource().Allow("User:" + user.Name).AllowHosts().Operations(kadm.OpAny).ResourcePatternType(kadm.ACLPatternAny)
	clear := func() {
		if _, err := adm.DeleteACLs(f.t.Context(), everything); err != nil {
			t.Error(err)
		}
	}
	clear()
	for _, a := range acls {
		b := kadm.NewACLs().Allow("User:" + user.Name).AllowHosts().Operations(a.op).ResourcePatternType(kadm.ACLPatternPrefixed)
		switch a.kind {
		case "topic":
			b = b.Topics(a.name)
		case "txn":
			b = b.TransactionalIDs(a.name)
		case "group":
			b = b.Groups(a.name)
		case "cluster":
			b = b.Clusters().ResourcePatternType(kadm.ACLPatternLiteral)
		}
		done, err := adm.CreateACLs(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range done {
			if d.Err != nil {
				t.Fatal(d.Err)
			}
		}
	}
}
