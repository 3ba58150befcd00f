package verify

import (
	"fmt"
	"regexp"
	"runtime"
	"time"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/shift"
)

// Options of Run. Zero values mean defaults.
type Options struct {
	Source, Target   *kafka.Cluster
	Include, Exclude []*regexp.Regexp // of topic names, anchored; rules as in topics.Select

	// Parallel is how many partitions are compared at a time, each over a connection to either side. Default:
	// two for each processor, 4 to 16.
	Parallel int
	// MemoryBytes bounds what was fetched and not yet compared. Default 128 MiB. Batches larger than their
	// share of it are still fetched, one at a time.
	MemoryBytes int64

	// CountAll goes on behind the first difference of a partition and counts all of them.
	CountAll bool
	// AbortedForeign accepts records of aborted transactions on the target that are not kferry's filler, for a
	// target that once had producers of its own.
	AbortedForeign bool

	// Shifts tells how a partition's target offsets lie below the source's, for the topics with these ids; an empty
	// map: they are equal. An error says why that is not known, and the partition is not compared. Nil: all are equal.
	Shifts func(tp estate.TopicPartition, source, target estate.TopicID) (shift.Map, error)

	// Settle is how long the target may take to reach the source's end as it was at the start, and log starts
	// to become equal. Default 10 s; it ends early when nothing moves any more.
	Settle time.Duration
	// Patience is how long a partition may make no progress before it is skipped. Default 60 s.
	Patience time.Duration
	// KeyLimit is how many keys a partition of a compacted topic may have to be looked up a second time.
	// Default 1,048,576, about 100 bytes each.
	KeyLimit int

	// OnProgress is called about twice a second and once at the end, never concurrently.
	OnProgress func(Progress)
}

// Bounds of Options.
const (
	defaultMemory = 128 << 20
	defaultSettle = 10 * time.Second
	minFetchBytes = 256 << 10
	maxShare      = 8 << 20 // larger fetches gain nothing
	answersHeld   = 6       // by one partition: on each side one compared, one waiting, one on its way
)

func (o Options) withDefaults() Options {
	if o.Parallel <= 0 {
		o.Parallel = min(max(2*runtime.GOMAXPROCS(0), 4), 16)
	}
	if o.MemoryBytes <= 0 {
		o.MemoryBytes = defaultMemory
	}
	if o.Settle <= 0 {
		o.Settle = defaultSettle
	}
	if o.Patience <= 0 {
		o.Patience = DefaultPatience
	}
	if o.Shifts == nil {
		o.Shifts = func(estate.TopicPartition, estate.TopicID, estate.TopicID) (shift.Map, error) { return nil, nil }
	}
	return o
}

// fetchBytes is one fetch's share of the memory, a little below a power of two because of the frame around
// the records: buffers are pooled by powers of two.
func (o Options) fetchBytes() int {
	share := o.MemoryBytes / int64(o.Parallel*answersHeld)
	size := int64(minFetchBytes)
	for size*2 <= min(share, maxShare) {
		size *= 2
	}
	return int(size - size/64)
}

// Progress is how far a Run has come.
type Progress struct {
	Partitions     int // in scope
	PartitionsDone int
	Records, Bytes int64 // compared; bytes of the source's batches on the wire
	Offsets        int64 // to compare
	OffsetsDone    int64
	Elapsed        time.Duration
	RecordsPerSec  float64 // over the last seconds
	BytesPerSec    float64
	ETA            time.Duration // -1: unknown
	Final          bool          // the last call
}

// NoTopicsError says that no topic of the source matches: comparing nothing must not look like success.
type NoTopicsError struct{ Cluster string }

func (e *NoTopicsError) Error() string {
	return fmt.Sprintf("no topic of cluster %s matches the expressions for topics: check them, and that kferry's principal may DESCRIBE the topics", e.Cluster)
}

// SameClusterError says that source and target are one cluster, where comparing proves nothing.
type SameClusterError struct{ ID, Source, Target string }

func (e *SameClusterError) Error() string {
	return fmt.Sprintf("clusters %s and %s are the same cluster (id %s): check the bootstrap addresses", e.Source, e.Target, e.ID)
}
