package demo

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/verify"
)

// TestDemo tells the whole story with little live traffic.
func TestDemo(t *testing.T) {
	ctx := t.Context()
	var lines []string
	reported := 0
	out, err := Run(ctx, Options{
		Say:      func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) },
		OnReport: func(*report.Document) { reported++ },
		Done:     func(*Outcome) {},
		Live:     2 * time.Second,
		Logger:   slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.Verify.Result != verify.Equal {
		t.Errorf("result %s: %+v %+v", out.Verify.Result, out.Verify.Differences, out.Verify.Skipped)
	}
	for i := range out.Document.Faults {
		t.Error(&out.Document.Faults[i])
	}
	for _, g := range out.Groups {
		if !g.Equal() {
			t.Errorf("group %s: %d of %d positions", g.Group, g.Same, g.Partitions)
		}
	}
	if len(out.Groups) != 3 || reported == 0 || len(lines) < 8 {
		t.Errorf("%d groups, %d reports, %d lines", len(out.Groups), reported, len(lines))
	}
	hard := out.Document.Totals.Traffic
	if hard.OffsetsSeeded < 8_000_000 || hard.GapsMarkers == 0 || hard.GapsAborted == 0 || hard.GapsHoles == 0 || hard.BatchesRaw == 0 || hard.BatchesRecoded == 0 {
		t.Errorf("the history is not as hard as it says: %+v", hard)
	}
	if out.Verify.RecordsCompared < 60_000 || out.Produced == 0 {
		t.Errorf("%d records compared, %d produced live", out.Verify.RecordsCompared, out.Produced)
	}
}

// TestGroupsThatProveNothing keeps a demo without positions from looking like success.
func TestGroupsThatProveNothing(t *testing.T) {
	for _, c := range []struct {
		groups  []GroupCheck
		differs bool
	}{
		{nil, true},
		{[]GroupCheck{{"a", 0, 0}}, true},
		{[]GroupCheck{{"a", 2, 2}, {"b", 3, 2}}, true},
		{[]GroupCheck{{"a", 2, 2}, {"b", 3, 3}}, false},
	} {
		if got := (&Outcome{Groups: c.groups}).GroupsDiffer(); got != c.differs {
			t.Errorf("%+v: %v", c.groups, got)
		}
	}
}
