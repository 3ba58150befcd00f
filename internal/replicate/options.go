package replicate

import (
	"log/slog"
	"regexp"
	"time"

	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/topics/settings"
)

// Options describe one flow. Zero values mean the defaults named.
type Options struct {
	Flow   string // name of the flow, part of transactional ids: [a-zA-Z0-9._-]+
	Source *kafka.Cluster
	Target *kafka.Cluster

	Include      []*regexp.Regexp // topics, anchored
	Exclude      []*regexp.Regexp
	GroupInclude []*regexp.Regexp // groups, anchored; empty: all
	GroupExclude []*regexp.Regexp
	NoGroups     bool // leave groups alone

	Shifted []*regexp.Regexp // topics that are begun with shifted offsets, anchored: an empty target partition begins at 0

	Policy settings.Policy // replicas of target topics; zero: the source's, as far as the target can have them
	Reopen bool            // put topics that were finalized back into the configuration of a copy

	SplitOversized bool              // split batches that are larger than the target takes, instead of stopping
	FillExpired    bool              // fill what retention took before it was copied, instead of stopping
	WideGap        int64             // gaps from this width on may be filled by something cheaper than markers; 10,000
	WideHoles      mirror.HoleFiller // what fills wide holes of compacted topics; auto
	Fillers        FillerPermission  // auto: what the probe finds
	SeedLimit      int64             // most offsets to seed in one partition; 10^10

	TopicRefresh  time.Duration // how often topics and leaders are looked at; 10 s
	GroupInterval time.Duration // how often group offsets are carried over; 5 s

	MemoryBytes    int64 // most bytes of fetched data held at a time; 16 MiB
	InFlightBytes  int64 // most bytes on their way to one target broker; 64 MiB
	BytesPerSecond int64 // limit of what is written to the target; 0: none

	StateTopic    string // compacted topic on the target for the report and what is remembered; __kferry-state
	UntilCaughtUp bool   // return once everything the source holds is on the target and groups were synced after that

	OnReport func(*report.Document) // called about once a second and once at the end, never concurrently
	Logger   *slog.Logger           // slog.Default()
}

// FillerPermission restricts how gaps may be filled.
type FillerPermission string

// The filler permissions.
const (
	FillersAuto    FillerPermission = "auto"
	FillersMarkers FillerPermission = "writeTxnMarkers"
	FillersEndTxn  FillerPermission = "endTxn"
)

func (o Options) withDefaults() Options {
	setDefault(&o.WideGap, 10_000)
	setDefault(&o.SeedLimit, 10_000_000_000)
	setDefault(&o.TopicRefresh, 10*time.Second)
	setDefault(&o.GroupInterval, 5*time.Second)
	setDefault(&o.MemoryBytes, 16<<20)
	setDefault(&o.InFlightBytes, 64<<20)
	setDefault(&o.WideHoles, mirror.HolesAuto)
	setDefault(&o.Fillers, FillersAuto)
	setDefault(&o.StateTopic, "__kferry-state")
	if o.Flow == "" {
		o.Flow = "default"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// transactionalID names one of the flow's transactional ids on the target. They are the way by which every
// kferry of a flow gets the same producer id, without any state of its own.
func (o Options) transactionalID(role string) string { return "kferry-" + o.Flow + "-" + role }
