package main

import (
	"fmt"
	"strings"
)

// scorecard is the page made of the results.
func scorecard(rows map[string]*tally) string {
	var b strings.Builder
	b.WriteString(pageHead)
	table(&b, rows, "")
	fmt.Fprintf(&b, "\nAll trials together: %s.\n", total(rows))
	b.WriteString(pageRows)
	for _, r := range kferryRows() {
		fmt.Fprintf(&b, "- **%s** (`%s`, %s): %s %s\n", r.fault, r.name, plans[r.bed], r.recipe, r.end())
	}
	b.WriteString(pagePeer)
	table(&b, rows, "mm2")
	b.WriteString(pagePeerEOS)
	table(&b, rows, "mm2-eos")
	b.WriteString(pageNotRun)
	for _, n := range notRun {
		fmt.Fprintf(&b, "| %s | %s |\n", n.fault, n.why)
	}
	return b.String()
}

func kferryRows() (list []*row) { return rowsOf("") }

func rowsOf(peer string) (list []*row) {
	for _, r := range allRows() {
		if r.peer == peer {
			list = append(list, r)
		}
	}
	return list
}

func table(b *strings.Builder, rows map[string]*tally, peer string) {
	stop, skipped := "stopped, named", ""
	if peer != "" {
		stop, skipped = "skipped silently", " "
	}
	fmt.Fprintf(b, "\n| Fault | where | trials | lost | duplicated | reordered | corrupted | offset-diff | group-diff | phantom | %s | longest stall | recovered by itself | failure rate below |\n", stop)
	b.WriteString("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range rowsOf(peer) {
		t := rows[r.name]
		if t == nil || t.Trials == 0 {
			fmt.Fprintf(b, "| %s | %s | 0 | | | | | | | | | | | |\n", r.fault, r.where)
			continue
		}
		third := fmt.Sprint(t.WasStop)
		if skipped != "" {
			third = fmt.Sprint(t.Skipped)
		}
		fmt.Fprintf(b, "| %s | %s | %d | %d | %d | %d | %d | %d | %d | %d | %s | %.1f s | %d %% | %s |\n", r.fault, r.where, t.Trials,
			t.Lost, t.Duplicated, t.Reordered, t.Corrupted, t.OffsetDiff, t.GroupDiff, t.Phantom, third, t.MaxStall, 100*t.Self/t.Trials, bound(t))
	}
}

// bound is what the trials of a row say of its failure rate, at 95 %: the rule of three.
func bound(t *tally) string {
	failed := t.Trials - t.Passed
	if t.Harmed > failed {
		failed = t.Harmed
	}
	if failed > 0 {
		return fmt.Sprintf("failed %d of %d", failed, t.Trials)
	}
	return fmt.Sprintf("%.3g %%", min(100, 300/float64(t.Trials)))
}

// total sums up kferry's rows in words.
func total(rows map[string]*tally) string {
	var all tally
	for _, r := range kferryRows() {
		t := rows[r.name]
		if t == nil {
			continue
		}
		all.Trials += t.Trials
		all.Passed += t.Passed
		all.Records += t.Records
		all.SourceLost += t.SourceLost
		all.TimeSeeks += t.TimeSeeks
		all.Seconds += t.Seconds
		for _, v := range t.Kferry {
			all.Kferry = with(all.Kferry, v)
		}
	}
	return fmt.Sprintf("%d, of which %d passed; %d records compared, each in both isolation levels; %d records that the source had acknowledged were lost by the source itself; %.1f hours; kferry %s",
		all.Trials, all.Passed, all.Records, all.SourceLost, all.Seconds/3600, strings.Join(all.Kferry, ", "))
}

const pageHead = `# Reliability

This page is made by ` + "`make trials`" + ` and counts what happened, nothing else. Each trial runs real Kafka brokers and the
kferry binary on one machine, with a workload under way: five idempotent producers, one for each codec, four transactional
producers that interleave and abort half of their transactions, a topic that the log cleaner works on, one that retention
works on, one from which records are deleted, one that gets a further partition, and two consumer groups whose positions
move. A fault is injected at random, seeded moments; then the workload ends, the fault is undone, and the copy gets two
minutes to catch up. Afterwards both sides are read completely, in both isolation levels, by a checker that shares no code
with kferry, and compared record by record, group by group.

What the columns mean:

- **lost**: committed on the source, not on the target. **duplicated**: more often on the target. **reordered**: before a
  record that it follows on the source. **corrupted**: key, value, headers or timestamp differ. **offset-diff**: at another
  offset. **group-diff**: a group would read on elsewhere. **phantom**: visible on the target, not on the source.
- **stopped, named**: trials in which kferry stopped a partition with a named fault. Where the source itself has become
  another one, that is the only right end, and the row says so below; everything before the fault's offset must be exact all
  the same, and from there on the partition is not compared: kferry says itself that it is not a copy any more.
- **longest stall**: the longest time in which no partition of the target moved while producers wrote, the fault's own
  duration included.
- **recovered by itself**: nobody did anything to kferry. Where the fault is its death, the same command was run again.
- **failure rate below**: n trials without a failure bound the rate at 3/n with 95 % confidence. Where trials failed, it says
  how many.

To run them: ` + "`make trials N=30`" + ` goes on until every row has 30 trials, ` + "`make trials N=30 ROWS='kill,mm2-*'`" + ` does so for
some; results are added up in reliability.json, so a run may be interrupted, taken up and spread over several processes. One
trial again: ` + "`go run ./test/trials -rows kill -seed 123`" + `. Java, Maven and, for the full disk, root are needed.

## kferry
`

const pageRows = `
What a trial of each row does, and on which clusters (Apache Kafka releases and numbers of brokers):

`

const pagePeer = `
## MirrorMaker 2, for comparison

The same workload, faults and checker with MirrorMaker 2 of Kafka 4.3.1 in dedicated mode, with
IdentityReplicationPolicy, topics looked for every second and group offsets synchronised every second; everything else as
it comes. It copies records and not logs, so **offset-diff is by design** and does not count as a failure; its
**phantoms** are mostly records of aborted transactions, which its consumer reads unless it is configured otherwise;
**group-diff** counts positions from which a consumer would go on with another record than on the source. What retention
took before it was copied and nobody was told of is **skipped silently**. What was not there two minutes after the workload
had ended counts as lost.
`

const pagePeerEOS = `
With ` + "`exactly.once.source.support=enabled`" + ` and ` + "`isolation.level=read_committed`" + ` for its consumer:
`

const pageNotRun = `
## Not run, and why

| Fault | Why |
|---|---|
`
