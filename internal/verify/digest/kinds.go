package digest

// Side is one of the two logs.
type Side uint8

// The sides.
const (
	Source Side = iota
	Target
)

// String is the side's name in messages.
func (s Side) String() string {
	if s == Source {
		return "source"
	}
	return "target"
}

// Other is the opposite side.
func (s Side) Other() Side { return 1 - s }

// Kind names what differs. Kinds appear in JSON and are never renamed.
type Kind string

// The kinds of differences in the records of a partition.
const (
	Value         Kind = "value"
	Key           Kind = "key"
	Headers       Kind = "headers"
	Timestamp     Kind = "timestamp"
	TimestampType Kind = "timestamp-type"
	Missing       Kind = "missing"   // the source has a record here, the target has none
	Phantom       Kind = "phantom"   // the target has a record here, the source has none
	StaleKey      Kind = "stale-key" // the target keeps a key alive that the source no longer has
	Corrupt       Kind = "corrupt"   // one side's bytes do not match their checksum or cannot be decoded
)

// The kinds of differences around the records.
const (
	LogStart       Kind = "log-start"
	LogEnd         Kind = "log-end" // the target goes on behind the source's end
	PartitionCount Kind = "partition-count"
	MissingTopic   Kind = "missing-topic"
)

// Difference is one place where the sides differ. Detail holds sizes, numbers and hashes, never payload.
type Difference struct {
	Offset int64
	Kind   Kind
	Detail string
}

// Thinning says what to make of a record that only one side has, on account of the other side's cleaner.
type Thinning uint8

// The choices.
const (
	// ThinNever: the other side does not compact; the record is a difference.
	ThinNever Thinning = iota
	// ThinChecked: the other side compacts; the record is put on the list of Keys to settle.
	ThinChecked
	// ThinAccepted: the other side compacts, and that is explanation enough.
	ThinAccepted
)

// Stats are sums over what was compared.
type Stats struct {
	Records          int64 // present on both sides and equal
	Bytes            int64 // of the source's batches that were compared, as they are on the wire
	BatchesIdentical int64 // compared without decompressing
	BatchesDecoded   int64 // source batches compared record by record
	Differing        int64 // records that differ

	AbortedNotCopied int64 // records of aborted transactions on the source
	AbortedFillers   int64 // filler records in aborted transactions on the target
	AbortedForeign   int64 // other records of aborted transactions on the target
	MarkersSource    int64 // offsets of control markers
	MarkersTarget    int64

	Echoes        int64 // target records that repeat the next surviving record of the source
	ThinnedSource int64 // target records that the source's cleaner has removed since, and whose key goes on
	ThinnedTarget int64 // source records that the target's cleaner has removed, and whose key goes on
	Tombstones    int64 // keys deleted on both sides whose last record only one side still has

	LogAppendTime int64 // source records with the broker's time that arrived as CreateTime, values equal
	NoTimestamp   int64 // source records of magic 0, which have no timestamp and arrived as CreateTime -1
}

// Add adds o to s.
func (s *Stats) Add(o Stats) {
	s.Records += o.Records
	s.Bytes += o.Bytes
	s.BatchesIdentical += o.BatchesIdentical
	s.BatchesDecoded += o.BatchesDecoded
	s.Differing += o.Differing
	s.AbortedNotCopied += o.AbortedNotCopied
	s.AbortedFillers += o.AbortedFillers
	s.AbortedForeign += o.AbortedForeign
	s.MarkersSource += o.MarkersSource
	s.MarkersTarget += o.MarkersTarget
	s.Echoes += o.Echoes
	s.ThinnedSource += o.ThinnedSource
	s.ThinnedTarget += o.ThinnedTarget
	s.Tombstones += o.Tombstones
	s.LogAppendTime += o.LogAppendTime
	s.NoTimestamp += o.NoTimestamp
}
