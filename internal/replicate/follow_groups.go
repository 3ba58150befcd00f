package replicate

import (
	"context"
	"slices"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/groups"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/report"
)

// keepGroups carries group offsets over until ctx ends.
func (e *Engine) keepGroups(ctx context.Context) {
	if e.o.NoGroups {
		return
	}
	for ok := true; ok; ok = sleep(ctx, e.o.GroupInterval) {
		e.carryGroups(ctx, e.groupSyncer.Sync)
	}
}

// finishGroups looks at every group once more, now that the target holds every offset.
func (e *Engine) finishGroups(ctx context.Context) {
	if e.o.NoGroups {
		return
	}
	e.readTargetHighs(ctx)
	e.carryGroups(ctx, e.groupSyncer.SyncAll)
}

type syncFunc func(context.Context, groups.Marks) ([]report.Group, error)

func (e *Engine) carryGroups(ctx context.Context, sync syncFunc) {
	lines, err := sync(ctx, e.groupMark)
	if ctx.Err() != nil {
		return // what a round says that was cut short is about its end, not about the groups
	}
	if err != nil {
		e.trouble("carry group offsets", err)
		return
	}
	e.mu.Lock()
	e.groups = lines
	e.mu.Unlock()
}

// groupMark tells how far positions in a partition may go: what is on the target for sure.
func (e *Engine) groupMark(topic string, number int32) (groups.Mark, bool) {
	e.mu.Lock()
	p := e.partitions[estate.TopicPartition{Topic: topic, Partition: number}]
	e.mu.Unlock()
	if p == nil {
		return groups.Mark{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	mark := groups.Mark{High: min(p.machine.Target().High, p.machine.Position()), Shift: p.shift}
	switch p.machine.Phase() {
	case mirror.Faulted:
		mark.Hold = "the partition is stopped: " + string(p.machine.Fault().Kind)
	case mirror.Opening, mirror.Comparing, mirror.Seeding:
		mark.Hold = "the partition is not being copied yet"
	}
	return mark, true
}

func (e *Engine) groupReports() []report.Group {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.groups == nil {
		return []report.Group{}
	}
	return slices.Clone(e.groups)
}
