package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/history"
)

// row is one line of the scorecard: a fault and how it is injected.
type row struct {
	name   string // stable: the key in reliability.json
	fault  string // in words
	where  string
	recipe string // what a trial does
	bed    string
	peer   string // "" for kferry, else which MirrorMaker 2
	cheap  bool   // part of the everyday tests

	topics func(prefix string) []history.LoadTopic
	flow   []string                   // further lines of kferry's configuration
	load   func(*history.LoadOptions) // changes to the workload
	inject func(context.Context, *trial) error
	may    []fault.Kind                // faults with which a partition may end
	must   bool                        // and one must
	judge  func(*trial, []fault.Fault) // what is to be said of them beyond that
}

func (r *row) mayStop(k fault.Kind) bool { return slices.Contains(r.may, k) }

// end says how a trial of the row shall end.
func (r *row) end() string {
	var kinds []string
	for _, k := range r.may {
		kinds = append(kinds, "`"+string(k)+"`")
	}
	switch {
	case r.must:
		return "Must stop with " + strings.Join(kinds, " or ") + "."
	case len(kinds) > 0:
		return "Must be exact, or stop with " + strings.Join(kinds, " or ") + "."
	}
	return "Must be exact."
}

// busy are the topics of most rows: something of everything.
func busy(prefix string) []history.LoadTopic {
	return []history.LoadTopic{
		{Name: prefix + "-plain", Partitions: 2, Grow: true},
		{Name: prefix + "-txn", Partitions: 2, Transactions: true},
		{Name: prefix + "-compact", Partitions: 1, Compact: true, Transactions: true},
		{Name: prefix + "-trim", Partitions: 1, Trim: true},
		{Name: prefix + "-retain", Partitions: 1, Retain: true},
	}
}

// old are topics for records that are days old: retention would take them at once.
func old(prefix string) []history.LoadTopic {
	return slices.DeleteFunc(busy(prefix), func(t history.LoadTopic) bool { return t.Retain })
}

// kept are topics whose settings do no harm when MirrorMaker 2 gives them to the target.
func kept(prefix string) []history.LoadTopic {
	return slices.DeleteFunc(busy(prefix), func(t history.LoadTopic) bool { return t.Retain || t.Compact })
}

// beside is a busy topic and an idle one that a row writes to itself.
func beside(name string, partitions int32) func(string) []history.LoadTopic {
	return func(prefix string) []history.LoadTopic {
		return []history.LoadTopic{
			{Name: prefix + "-txn", Partitions: 2, Transactions: true},
			{Name: prefix + "-" + name, Partitions: partitions, Idle: true},
		}
	}
}

const fillOvertaken = "onRetentionOvertake: fill"

var three = []string{fillOvertaken, "replicationFactor: 3", "minInsyncReplicas: 2"}

// threeDays lets the workload's records be that old.
func threeDays(o *history.LoadOptions) { o.Age = 72 * time.Hour }

func allRows() []*row { return rows }

// rows are all of them. It is filled by init, because the page that a row's result goes to lists the rows.
var rows []*row

func init() {
	rows = slices.Concat(processRows(), proxyRows(), linkRows(), sourceRows(), brokerRows(), peerRows())
	for _, r := range rows {
		if r.topics == nil {
			r.topics = busy
		}
		if r.flow == nil {
			r.flow = []string{fillOvertaken}
		}
		if _, ok := plans[r.bed]; !ok {
			panic(fmt.Sprintf("row %s: there is no bed %q", r.name, r.bed))
		}
	}
}

// processRows are faults of kferry's own process.
func processRows() []*row {
	return []*row{
		{name: "none", fault: "none", where: "-", bed: "single", inject: nothing,
			recipe: "some seconds of the workload, undisturbed."},
		{name: "kill", fault: "kill -9 at random times", where: "kferry", bed: "single", cheap: true, inject: killAgain,
			recipe: "kferry is killed two to four times, 0.2 to 2.5 s after its start, and started again within 0.5 s."},
		{name: "kill-step", fault: "kill -9 at a protocol step", where: "kferry", bed: "single", inject: killAtStep,
			flow:   []string{fillOvertaken, "gaps: {wide: 8}"},
			recipe: "three times: kferry is killed at one request of a kind drawn by lot (produce, markers, filler transactions, producer ids, log ends, deletions, positions, fetches), before the broker sees it or after the broker has carried it out."},
		{name: "takeover", fault: "SIGSTOP, take-over by a second kferry, SIGCONT", where: "kferry", bed: "single", inject: takeOver,
			recipe: "kferry is stopped for 4 to 7 s, longer than it ever waits for late requests; a second one is started on the same flow and goes on; the first awakes and both run on."},
		{name: "two-at-once", fault: "two kferrys on one flow, one with SIGSTOP and SIGCONT", where: "kferry", bed: "single", inject: twoAtOnce,
			recipe: "two kferrys run on the same flow for 15 to 25 s, one or the other being frozen for up to 1.5 s every now and then."},
	}
}

// proxyRows are single requests that go astray.
func proxyRows() []*row {
	return []*row{
		{name: "drop-acks", fault: "Produce acknowledgements lost", where: "target", bed: "single", cheap: true, inject: dropAcks,
			recipe: "the broker appends, the answer is dropped and the connection cut: of 1, 5 or 20 % of the Produce and marker requests, and of one at least."},
		{name: "zombie", fault: "zombie and duplicated requests", where: "target", bed: "single", inject: zombies,
			recipe: "4 % of the Produce requests are delivered 0.1 to 4 s after their connection was cut, as many twice, and 4 % of the marker requests 0.1 to 2 s after."},
		{name: "late-markers", fault: "zombie marker requests, later than kferry waits", where: "target", bed: "single", inject: lateMarkers,
			may:    []fault.Kind{fault.ForeignAppend, fault.NotAPrefix},
			recipe: "marker requests, which carry no sequence number, are delivered 3.5 to 6 s after their connection was cut, when kferry has waited 3 s for them."},
		{name: "old-acks", fault: "acknowledgements lost, producer forgotten (records 3 days old)", where: "target", bed: "single", inject: forgotten(dropAcks),
			topics: old, load: threeDays,
			recipe: "as above, while the target's broker forgets producers of old records within a second (`producer.id.expiration.ms`), so that no sequence number protects what is sent again."},
		{name: "old-zombie", fault: "zombie requests, producer forgotten (records 3 days old)", where: "target", bed: "single", inject: forgotten(zombies),
			topics: old, load: threeDays, may: []fault.Kind{fault.ForeignAppend, fault.NotAPrefix},
			recipe: "zombies and duplicates as above where the broker forgets producers: nothing can keep the broker from appending a request that comes late enough, so the partition may stop."},
		{name: "marker-acks", fault: "WriteTxnMarkers answers lost between brokers", where: "target", bed: "single", inject: markerAcks,
			flow: []string{fillOvertaken, "gaps: {permission: endTxn}"}, may: []fault.Kind{fault.ForeignAppend, fault.NotAPrefix},
			recipe: "kferry fills gaps by transactions (as without the permission to write markers); the coordinator does not hear of 5 to 10 % of the markers it has written and writes them again, which no client can undo."},
	}
}

// linkRows are links that are cut, silent, slow or narrow.
func linkRows() []*row {
	return []*row{
		{name: "partition", fault: "network partition", where: "source or target", bed: "single", cheap: true, inject: partitionLink,
			recipe: "nothing passes between kferry and one of the clusters for 2 to 8 s; connections stay open."},
		{name: "half-open", fault: "half-open connections", where: "source or target", bed: "single", inject: halfOpen,
			recipe: "one to three connections go silent in the middle of a Produce, marker or Fetch request and are never closed (request timeout: 5 s)."},
		{name: "reset", fault: "connections reset", where: "source and target", bed: "single", inject: resets,
			recipe: "all connections are reset three to six times."},
		{name: "narrow", fault: "1 KB/s link", where: "source or target", bed: "single", inject: narrow,
			recipe: "all connections to one of the clusters share 1 KB/s in each direction for 4 to 8 s."},
		{name: "latency", fault: "500 ms latency", where: "source or target", bed: "single", inject: latency,
			recipe: "a round trip to one of the clusters takes 500 ms longer, for 4 to 8 s."},
		{name: "quota", fault: "producer quota of 100 KB/s", where: "target", bed: "single", inject: quota,
			recipe: "the target's brokers throttle kferry to 100 KB/s until it has caught up."},
	}
}

// sourceRows are sources that change under the copy.
func sourceRows() []*row {
	return []*row{
		{name: "overtake-stop", fault: "retention overtakes the copy", where: "source", bed: "single", inject: overtake, topics: beside("over", 1),
			flow: []string{"onRetentionOvertake: stop"}, may: []fault.Kind{fault.RetentionOvertook}, must: true, judge: overtaken,
			recipe: "kferry is frozen or dead while records that it has not copied are deleted; the fault must name exactly how many."},
		{name: "overtake-fill", fault: "retention overtakes the copy, told to go on", where: "source", bed: "single", inject: overtake, topics: beside("over", 1),
			recipe: "the same with `onRetentionOvertake: fill`."},
		{name: "delete-records", fault: "DeleteRecords", where: "source", bed: "single", inject: nothing, topics: trimmed,
			recipe: "records are deleted from the front of five partitions twice a second, up to half of what they hold."},
		{name: "compaction", fault: "compaction storm", where: "source", bed: "single", inject: pauses, topics: storm,
			recipe: "five partitions of 40 keys are cleaned all the time; kferry is frozen twice for 1 to 3 s, so that it meets holes."},
		{name: "transactions", fault: "transaction mix", where: "source", bed: "single", inject: nothing, topics: mixed,
			recipe: "four transactional producers, interleaved with each other and with plain ones, half of the transactions aborted, on two compacted and four other partitions."},
		{name: "recreate", fault: "topic deleted and created again", where: "source", bed: "single", inject: recreate, topics: beside("re", 1),
			may: []fault.Kind{fault.TopicRecreated, fault.TopicGone, fault.NotAPrefix}, must: true, judge: recreated,
			recipe: "with fewer, as many or more records than before, kferry running or not: six variants by lot. Nothing of the new topic may reach the target."},
		{name: "truncation", fault: "unclean leader election with divergence", where: "source", bed: "unclean", inject: truncate, topics: truncatable,
			load: noGroups, may: []fault.Kind{fault.Truncation, fault.NotAPrefix, fault.ForeignAppend}, must: true, judge: truncated,
			recipe: "a follower is frozen, 5 to 40 records are written to and copied from the leader alone, the leader is killed, the follower takes over and gets other records; kferry running or started afterwards. The old tail must stay, nothing of the new one may be written over it."},
	}
}

// brokerRows are brokers that die, stop, lead no more.
func brokerRows() []*row {
	return []*row{
		{name: "target-kill", fault: "broker hard bounce", where: "target", bed: "target3", flow: three, inject: bounce(target, true),
			recipe: "one of three brokers is killed (kill -9) and started again after 0.5 to 4 s; replication factor 3, min.insync.replicas 2."},
		{name: "target-bounce", fault: "broker clean bounce", where: "target", bed: "target3", flow: three, inject: bounce(target, false),
			recipe: "one of three brokers is stopped in order and started again."},
		{name: "target-elections", fault: "leader election every 2 s", where: "target", bed: "target3", flow: three, inject: elections(target),
			recipe: "all partitions get another leader every 2 s, four times."},
		{name: "target-freeze", fault: "one or two of three brokers frozen", where: "target", bed: "target3", flow: three, inject: freeze,
			recipe: "SIGSTOP for 2 to 8 s: with two, no replica set is in sync and the quorum has no majority."},
		{name: "coordinator-kill", fault: "transaction coordinator killed during markers", where: "target", bed: "target3", inject: killCoordinator,
			flow: append([]string{"gaps: {permission: endTxn, wide: 5}"}, three...), may: []fault.Kind{fault.ForeignAppend, fault.NotAPrefix},
			recipe: "kferry fills gaps by transactions; the broker that coordinates them is killed and started again. A marker that is written twice by the brokers must stop the partition."},
		{name: "broker-out", fault: "broker out for a minute", where: "target", bed: "target3", flow: three, inject: brokerOut,
			recipe: "one of three brokers is killed and started again after 60 s."},
		{name: "source-kill", fault: "broker hard bounce", where: "source", bed: "source3", inject: bounce(source, true),
			recipe: "one of three brokers is killed (kill -9) and started again after 0.5 to 4 s; replication factor 3."},
		{name: "source-bounce", fault: "broker clean bounce", where: "source", bed: "source3", inject: bounce(source, false),
			recipe: "one of three brokers is stopped in order and started again."},
		{name: "source-elections", fault: "leader election every 2 s", where: "source", bed: "source3", inject: elections(source),
			recipe: "all partitions get another leader every 2 s, four times."},
		{name: "disk-full", fault: "disk full", where: "target", bed: "disk", inject: fillDisk,
			recipe: "the file system of the broker's log directory (tmpfs, 96 MB) is filled; the broker gives up; 1 to 4 s later there is room again and the broker is started."},
	}
}

// peerRows are MirrorMaker 2 under some of the same faults.
func peerRows() (list []*row) {
	for _, r := range []*row{
		{name: "kill", fault: "kill -9 at random times", where: "MirrorMaker 2", bed: "single", topics: kept, inject: killOnce},
		{name: "drop-acks", fault: "Produce acknowledgements lost", where: "target", bed: "single", topics: kept, inject: dropAcks},
		{name: "overtake", fault: "retention overtakes the copy", where: "source", bed: "single", topics: beside("over", 1), inject: overtake},
		{name: "recreate", fault: "topic deleted and created again", where: "source", bed: "single", topics: beside("re", 1), inject: recreate},
		{name: "target-kill", fault: "broker hard bounce", where: "target", bed: "target3", topics: kept, inject: bounce(target, true)},
	} {
		for _, peer := range []string{"mm2", "mm2-eos"} {
			of := *r
			of.peer, of.name = peer, peer+"-"+r.name
			list = append(list, &of)
		}
	}
	return list
}

// notRun are rows of the plan that cannot be run here.
var notRun = []struct{ fault, why string }{
	{"10^8 records, mixed codecs", "takes hours of this machine; `make carry` copies any number of records under kill -9, ten million by default."},
	{"clock one hour off, clock steps", "kferry is a static Go program, which reads the clock without the C library, so libfaketime does not reach it; the machine's own clock is shared with everything else."},
	{"cut-over and rollback under load", "kferry has no cut-over command yet."},
	{"tiered storage on the source", "Apache Kafka publishes no remote storage plugin but that of its own tests."},
	{"host crash (page cache lost)", "would need virtual machines; kill -9 ends a broker's process and leaves what it wrote to the kernel."},
	{"bit flips on disk and in memory", "no fault to be injected between processes: the checks against them have tests of their own in internal/batch."},
}
