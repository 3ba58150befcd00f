package history

import (
	"fmt"
	"strings"
)

// The invariants of an exact copy, by their numbers.
const (
	I1Content      = iota // the same record at every offset that both sides have
	I2Visible             // the same offsets visible, in both isolation levels
	I3Borders             // log start, last stable offset, high watermark and log end
	I4Latest              // the latest value of every key in compacted topics
	I5Groups              // positions of groups, with metadata and without an epoch, none beyond the end
	I6Transactions        // no transaction open on the target
	I7Layout              // as many partitions
	I8Times               // seeks by time: counted, see Verdict.TimeSeeks
	I9Journal             // what the copy says of the target's log is so
	I10Claim              // the copy's own verification says "equal" only when all of the above hold
	invariants
)

var invariantNames = [invariants]string{
	"content", "visible offsets", "borders", "latest per key", "groups", "open transactions", "layout", "time seeks", "journal", "claim",
}

// Invariant is what became of one of them.
type Invariant struct {
	Checked  int64    `json:"checked"`
	Violated int64    `json:"violated"`
	Examples []string `json:"examples,omitempty"` // the first few
}

// Counts say what is wrong in the words of an operator. A record is counted once.
type Counts struct {
	Lost       int64 `json:"lost"`       // on the source, not on the target
	Duplicated int64 `json:"duplicated"` // more often on the target than on the source
	Reordered  int64 `json:"reordered"`  // before a record that it comes after on the source
	Corrupted  int64 `json:"corrupted"`  // key, value, headers or timestamp differ
	OffsetDiff int64 `json:"offsetDiff"` // there, at another offset
	GroupDiff  int64 `json:"groupDiff"`  // positions of groups that would read on elsewhere
	Phantom    int64 `json:"phantom"`    // visible on the target, not (any more) visible on the source: aborted, or nobody's
}

// Add adds o to c.
func (c *Counts) Add(o Counts) {
	c.Lost += o.Lost
	c.Duplicated += o.Duplicated
	c.Reordered += o.Reordered
	c.Corrupted += o.Corrupted
	c.OffsetDiff += o.OffsetDiff
	c.GroupDiff += o.GroupDiff
	c.Phantom += o.Phantom
}

// Zero says whether nothing is wrong.
func (c Counts) Zero() bool { return c == Counts{} }

func (c Counts) String() string {
	return fmt.Sprintf("lost %d, duplicated %d, reordered %d, corrupted %d, offset-diff %d, group-diff %d, phantom %d",
		c.Lost, c.Duplicated, c.Reordered, c.Corrupted, c.OffsetDiff, c.GroupDiff, c.Phantom)
}

// Verdict is what [Check] found.
type Verdict struct {
	Invariants [invariants]Invariant `json:"invariants"`
	Counts
	Records     int64 `json:"records"`     // committed records of the source that were looked for
	Acked       int64 `json:"acked"`       // of the ledger: acknowledged and committed
	SourceLost  int64 `json:"sourceLost"`  // acknowledged and committed, and not on the source: no copy's fault
	Skipped     int64 `json:"skipped"`     // with CheckOptions.Shifted: acknowledged, deleted on the source since, and never copied
	Aborted     int64 `json:"aborted"`     // records that only read_uncommitted shows on the source
	AbortedKept int64 `json:"abortedKept"` // of these, on the target, aborted there too
	Fillers     int64 `json:"fillers"`     // aborted records of the target in holes of the source
	Echoes      int64 `json:"echoes"`      // records of the target in holes of a compacted source that come again later
	TimeSeeks   int64 `json:"timeSeeks"`   // seeks by time that the two sides answer differently
	FalseAlarm  bool  `json:"falseAlarm"`  // the copy's own verification found a difference that is none here
}

// mostExamples are kept of each invariant.
const mostExamples = 5

func (v *Verdict) checked(i int, n int64) { v.Invariants[i].Checked += n }

func (v *Verdict) violate(i int, format string, args ...any) {
	in := &v.Invariants[i]
	in.Violated++
	if len(in.Examples) < mostExamples {
		in.Examples = append(in.Examples, fmt.Sprintf(format, args...))
	}
}

// Exact says whether every invariant holds and nothing is wrong in the counts.
func (v *Verdict) Exact() bool { return v.Counts.Zero() && v.violations(I10Claim) == 0 }

// violations sums up the invariants up to the last one given.
func (v *Verdict) violations(last int) (n int64) {
	for i := range last + 1 {
		n += v.Invariants[i].Violated
	}
	return n
}

// String is a line of counts, and a line for each example of a violation.
func (v *Verdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d records compared: %v; %d aborted (%d kept), %d fillers, %d echoes, %d time seeks differ, lost at the source %d of %d",
		v.Records, v.Counts, v.Aborted, v.AbortedKept, v.Fillers, v.Echoes, v.TimeSeeks, v.SourceLost, v.Acked)
	for i, in := range v.Invariants {
		if in.Violated > 0 {
			fmt.Fprintf(&b, "\n  I%d %s: violated %d times in %d", i+1, invariantNames[i], in.Violated, in.Checked)
			for _, e := range in.Examples {
				b.WriteString("\n    " + e)
			}
		}
	}
	return b.String()
}
