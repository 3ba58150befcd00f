package verify

import (
	"encoding/json"
	"io"

	"github.com/kferry/kferry/internal/verify/digest"
)

// The values of Result.Result.
const (
	Equal      = "equal"      // everything in scope was compared, and nothing differs
	Different  = "different"  // something differs
	Incomplete = "incomplete" // nothing was found to differ, and not everything could be compared
)

// Difference is one place where source and target differ. Detail holds sizes, numbers and hashes, never
// payload.
type Difference struct {
	Topic     string      `json:"topic"`
	Partition int32       `json:"partition"` // -1: the whole topic
	Offset    int64       `json:"offset"`    // -1 if that means nothing
	Kind      digest.Kind `json:"kind"`
	Detail    string      `json:"detail"`
}

// Skip is something in scope that was not compared.
type Skip struct {
	Topic     string `json:"topic"`
	Partition *int32 `json:"partition,omitempty"` // nil: the whole topic
	What      string `json:"what"`
	Why       string `json:"why"`
}

// Result is what Run found out.
type Result struct {
	Result          string       `json:"result"` // equal, different or incomplete
	Topics          int          `json:"topics"`
	Partitions      int          `json:"partitions"` // of the source
	RecordsCompared int64        `json:"records_compared"`
	BytesCompared   int64        `json:"bytes_compared"` // of the source's batches as they are on the wire
	Differences     []Difference `json:"differences"`    // the first of each partition, by topic and partition
	Skipped         []Skip       `json:"skipped"`

	Source           string        `json:"source_cluster_id"`
	Target           string        `json:"target_cluster_id"`
	DifferingRecords int64         `json:"differing_records"`  // found; a partition ends at its first unless CountAll
	BatchesIdentical int64         `json:"batches_identical"`  // compared byte by byte as they are
	BatchesDecoded   int64         `json:"batches_decoded"`    // source batches compared record by record
	AbortedNotCopied int64         `json:"aborted_not_copied"` // records of aborted transactions on the source
	AbortedFillers   int64         `json:"aborted_fillers"`    // kferry's filler records in aborted transactions on the target
	AbortedOnTarget  int64         `json:"aborted_on_target"`  // other records of aborted transactions there
	MarkersSource    int64         `json:"markers_source"`     // offsets of control markers
	MarkersTarget    int64         `json:"markers_target"`
	Echoes           int64         `json:"echoes"`             // target records that repeat the next one of the source
	CompactedSource  int64         `json:"compacted_source"`   // target records whose later successor is all that the source kept
	CompactedTarget  int64         `json:"compacted_target"`   // the same, the other way round
	Tombstones       int64         `json:"expired_tombstones"` // keys deleted on both sides, the last record left on one
	Notes            []string      `json:"notes"`              // what the operator should know and is no difference
	PerTopic         []TopicResult `json:"per_topic"`          // by name
	ElapsedSeconds   float64       `json:"elapsed_seconds"`
}

// TopicResult is one line of the table.
type TopicResult struct {
	Topic           string `json:"topic"`
	Mode            string `json:"mode"`            // identical or shifted
	Shift           string `json:"shift,omitempty"` // of the partitions' last segments, one number or a range
	Result          string `json:"result"`
	Partitions      int    `json:"partitions"`
	Compared        int    `json:"partitions_compared"` // to the end, as far as they were to be compared
	RecordsCompared int64  `json:"records_compared"`
	BytesCompared   int64  `json:"bytes_compared"`
	Differences     int    `json:"differences"`
	Skipped         int    `json:"skipped"`

	least, most int64 // shifts of its partitions
}

// WriteJSON writes the result as indented JSON.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
