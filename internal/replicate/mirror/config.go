package mirror

// HoleFiller chooses what fills wide holes of compacted topics.
type HoleFiller string

// The choices for wide holes.
const (
	HolesAuto    HoleFiller = "auto"    // echo where the next record is small, aborted filler otherwise, markers as a last resort
	HolesMarkers HoleFiller = "markers" // control markers, whatever the width
	HolesEcho    HoleFiller = "echo"    // copies of the next surviving record
	HolesAborted HoleFiller = "aborted" // filler records in an aborted transaction
)

// Config is what a machine must know about its partition and about the target. It does not change while the
// machine lives, except by SetMaxBatchBytes.
type Config struct {
	Topic     string
	Partition int32

	MaxBatchBytes  int  // largest batch the target takes for this topic, wire bytes
	SplitOversized bool // write larger batches as several smaller ones instead of stopping
	Compacted      bool // the source compacts the topic: holes are normal, and the tail may thin out
	FillExpired    bool // fill what retention took before it was copied, instead of stopping

	SeedLimit int64 // most offsets to seed; 0: no limit

	CanMark   bool       // the principal may write markers (WriteTxnMarkers)
	CanAbort  bool       // the principal may run transactions of kferry's own
	WideGap   int64      // gaps of this many offsets and more may be filled by something cheaper than markers
	WideHoles HoleFiller // by what, in compacted topics

	WindowBytes int // most bytes fetched and not yet acknowledged before fetching pauses
}

// Limits of single actions.
const (
	maxMarks        = 1000      // markers in one request: 20 to 100 ms of a broker's time
	maxSeed         = 1_000_000 // offsets in one filler batch: 823 KB of zstd
	maxEchoBytes    = 8 << 20   // uncompressed size of one batch of echoes
	maxEchoRecord   = 64 << 10  // larger records are not echoed in HolesAuto
	maxEchoes       = 100_000   // records in one batch of echoes
	tailOffsets     = 1_000     // how much of the tail is compared before the first write
	aheadPatience   = 5         // times that a target ahead of the source is looked at again before it is a fault
	defaultWideGap  = 10_000
	defaultWindow   = 16 << 20
	minFillerMargin = 256 // room for a filler batch's frame below MaxBatchBytes
)

func (c Config) withDefaults() Config {
	if c.WideGap <= 0 {
		c.WideGap = defaultWideGap
	}
	if c.WideHoles == "" {
		c.WideHoles = HolesAuto
	}
	if c.WindowBytes <= 0 {
		c.WindowBytes = defaultWindow
	}
	if c.MaxBatchBytes <= 0 {
		c.MaxBatchBytes = 1 << 20
	}
	return c
}
