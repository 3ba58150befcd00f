// Package report is the one status document of kferry. The engine fills it; the command line, the state
// topic, metrics and evidence print it. Plain data, no I/O.
package report

import (
	"fmt"
	"time"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/shift"
)

// Version is the schema version of Document; it grows when a field changes its meaning.
const Version = 1

// Document is the state of one flow at one moment.
type Document struct {
	Version   int           `json:"version"`
	Flow      string        `json:"flow"`
	Source    Cluster       `json:"source"`
	Target    Cluster       `json:"target"`
	Updated   time.Time     `json:"updated"`
	Running   bool          `json:"running"`           // a replicating kferry wrote this, and lately
	CaughtUp  bool          `json:"caughtUp"`          // every partition without a fault has lag 0
	Topics    []Topic       `json:"topics"`            // by name
	Groups    []Group       `json:"groups"`            // by id
	Faults    []fault.Fault `json:"faults"`            // every fault, by topic and partition
	Totals    Totals        `json:"totals"`            // over all topics
	Fillers   string        `json:"fillers,omitempty"` // how gaps are filled here and why, in words
	Notes     []string      `json:"notes,omitempty"`   // what the operator should know and is not a fault
	StartedAt *time.Time    `json:"startedAt,omitempty"`
}

// Cluster says which cluster a side is.
type Cluster struct {
	Alias     string `json:"alias"`
	ID        string `json:"id"`
	Bootstrap string `json:"bootstrap"`
	Brokers   int    `json:"brokers"`
}

// Totals are sums over the partitions.
type Totals struct {
	Topics           int     `json:"topics"`
	Partitions       int     `json:"partitions"`
	LagRecords       int64   `json:"lagRecords"`
	LagBytes         int64   `json:"lagBytes"` // estimated from the mean record size; -1 unknown
	Traffic                  // since the start of the running kferry
	RecordsPerSec    float64 `json:"recordsPerSecond"`
	BytesPerSec      float64 `json:"bytesPerSecond"`
	ETASeconds       float64 `json:"etaSeconds"` // until lag 0 at the present rate; -1 unknown
	FaultyPartitions int     `json:"faultyPartitions"`
}

// Traffic counts what was written to the target, and how.
type Traffic struct {
	RecordsCopied  int64 `json:"recordsCopied"`
	BytesRaw       int64 `json:"bytesRaw"`       // batches passed as they are
	BytesRecoded   int64 `json:"bytesRecoded"`   // batches written anew
	BatchesRaw     int64 `json:"batchesRaw"`     //
	BatchesRecoded int64 `json:"batchesRecoded"` //
	OffsetsSeeded  int64 `json:"offsetsSeeded"`  // [0, log start)
	GapsMarkers    int64 `json:"gapsMarkers"`    // offsets of the source's control markers, filled by markers
	GapsAborted    int64 `json:"gapsAborted"`    // offsets of aborted records: not copied
	GapsHoles      int64 `json:"gapsHoles"`      // offsets of compaction holes
	GapsExpired    int64 `json:"gapsExpired"`    // offsets that retention took before they were copied
	FillersMarkers int64 `json:"fillersMarkers"` // offsets filled by control markers
	FillersEchoes  int64 `json:"fillersEchoes"`  // offsets filled by echoes of the next record
	FillersAborted int64 `json:"fillersAborted"` // offsets filled by aborted filler records
	ResyncsUnknown int64 `json:"resyncsUnknown"` // unknown outcomes settled by reading the log end
}

// Add adds o to t.
func (t *Traffic) Add(o Traffic) {
	t.RecordsCopied += o.RecordsCopied
	t.BytesRaw += o.BytesRaw
	t.BytesRecoded += o.BytesRecoded
	t.BatchesRaw += o.BatchesRaw
	t.BatchesRecoded += o.BatchesRecoded
	t.OffsetsSeeded += o.OffsetsSeeded
	t.GapsMarkers += o.GapsMarkers
	t.GapsAborted += o.GapsAborted
	t.GapsHoles += o.GapsHoles
	t.GapsExpired += o.GapsExpired
	t.FillersMarkers += o.FillersMarkers
	t.FillersEchoes += o.FillersEchoes
	t.FillersAborted += o.FillersAborted
	t.ResyncsUnknown += o.ResyncsUnknown
}

// State is what a partition is doing, in a word that a person can say.
type State string

// The states of a partition.
const (
	Opening    State = "opening"     // both ends are being read and compared
	Seeding    State = "seeding"     // the target is being brought to the source's log start
	CatchingUp State = "catching-up" // behind the source
	Following  State = "following"   // at the end of the source
	Paused     State = "paused"
	Faulted    State = "faulted"
	Unknown    State = "unknown" // computed from the clusters alone, nobody is replicating
)

// The modes of a topic: how target offsets follow from source offsets.
const (
	ModeIdentical = "identical" // they are equal
	ModeShifted   = "shifted"   // they are a constant distance apart, per partition and segment
)

// Topic is one topic of the flow.
type Topic struct {
	Name       string         `json:"name"`
	ID         estate.TopicID `json:"sourceTopicId"`
	Mode       string         `json:"mode"`           // ModeIdentical or ModeShifted
	Held       bool           `json:"held,omitempty"` // stands still for a repair
	State      State          `json:"state"`
	LagRecords int64          `json:"lagRecords"`
	LagBytes   int64          `json:"lagBytes"`
	Final      bool           `json:"finalConfigs"` // the target has the source's configs, not those of the copy
	Partitions []Partition    `json:"partitions"`
	Fault      *fault.Fault   `json:"fault,omitempty"` // of the topic as a whole
	Notes      []string       `json:"notes,omitempty"`
}

// Partition is one partition of the flow. Offsets are -1 while unknown.
type Partition struct {
	ID            int32        `json:"partition"`
	Shift         int64        `json:"shift,omitempty"`    // source offset less target offset, from the last segment on
	Segments      shift.Map    `json:"segments,omitempty"` // how offsets correspond, where they are not equal
	State         State        `json:"state"`
	SourceStart   int64        `json:"sourceLogStart"`
	SourceEnd     int64        `json:"sourceLogEnd"`     // high watermark
	SourceStable  int64        `json:"sourceLastStable"` // copying ends here while transactions are open
	TargetStart   int64        `json:"targetLogStart"`
	TargetEnd     int64        `json:"targetLogEnd"` // high watermark
	LagRecords    int64        `json:"lagRecords"`   // source high watermark - target high watermark
	LagBytes      int64        `json:"lagBytes"`     // estimated; -1 unknown
	Traffic       Traffic      `json:"traffic"`
	RecordsPerSec float64      `json:"recordsPerSecond"`
	BytesPerSec   float64      `json:"bytesPerSecond"`
	ETASeconds    float64      `json:"etaSeconds"` // -1 unknown
	Fault         *fault.Fault `json:"fault,omitempty"`
}

// Group is one consumer group and what was done for it.
type Group struct {
	ID          string        `json:"group"`
	Type        string        `json:"type"`        // classic, consumer (KIP-848), share, ...
	SourceState string        `json:"sourceState"` // as Kafka names it
	TargetState string        `json:"targetState"` // empty if the target does not know the group
	Synced      int           `json:"synced"`      // partitions whose target offset equals the source's
	Held        int           `json:"held"`        // partitions not (fully) synced, see Reasons
	Reason      string        `json:"reason,omitempty"`
	Offsets     []GroupOffset `json:"offsets"`
	At          time.Time     `json:"at"`
}

// GroupOffset is one group's position in one partition. -1: none committed.
type GroupOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Source    int64  `json:"source"`
	Target    int64  `json:"target"`
	Shift     int64  `json:"shift,omitempty"`  // where offsets are shifted: Target should be Source less this
	Reason    string `json:"reason,omitempty"` // why Target is not what it should be
}

// At is the source's position in words, with its place on the target where that is another offset.
func (o GroupOffset) At() string {
	if o.Shift == 0 {
		return fmt.Sprint(o.Source)
	}
	return fmt.Sprintf("%d (%d on the target)", o.Source, o.Source-o.Shift)
}
