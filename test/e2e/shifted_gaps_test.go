package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/shift"
	"github.com/kferry/kferry/internal/testbed"
	"github.com/kferry/kferry/internal/verify"
)

// Gaps are filled at shifted offsets by transactions without data and by aborted fillers, by a principal that may neither write markers nor
// touch kferry's own groups: then the state topic alone remembers the distance.
func TestShiftedGaps(t *testing.T) {
	const start = 50
	f := newFlow(t, cluster(t, testbed.V39), cluster(t, testbed.V28), "gaps: {wide: 20}", "mode: shifted")
	var topics []string
	partitions := map[string]int32{}
	for _, h := range gappy() {
		if h.Compacted { // brokers delete no records there on request; see TestShifted
			continue
		}
		name, write := f.topic(h.Name), h.Write
		h.Write = func(ctx context.Context, p *history.Pen) error {
			for id := range h.Partitions {
				for range start {
					if err := p.Batch(ctx, id, 0, &kgo.Record{Key: []byte("early"), Value: []byte("gone")}); err != nil {
						return err
					}
				}
				if err := f.from.DeleteBefore(ctx, name, id, start); err != nil {
					return err
				}
			}
			return write(ctx, p)
		}
		if err := f.from.Write(t.Context(), name, h); err != nil {
			t.Fatal(err)
		}
		topics = append(topics, name)
		partitions[name] = h.Partitions
	}
	f.loginWith(t, leastACLs(f.name))
	doc := f.mustCatchUp()
	maps := map[string]shift.Map{}
	for _, topic := range doc.Topics {
		for _, p := range topic.Partitions {
			if p.SourceStart < start || p.Shift < start || p.TargetEnd != p.SourceEnd-p.Shift {
				t.Errorf("%s-%d: %+v", topic.Name, p.ID, p)
			}
			maps[fmt.Sprintf("%s-%d", topic.Name, p.ID)] = p.Segments
		}
	}
	compare := func() {
		t.Helper()
		records := 0
		for _, topic := range topics {
			for id := range partitions[topic] {
				records += f.equalShifted(topic, id, maps[fmt.Sprintf("%s-%d", topic, id)])
			}
		}
		if r := f.verified(0); r.Result != verify.Equal || records == 0 {
			t.Errorf("%d records; verify says %s, skipped %v, differences %v", records, r.Result, r.Skipped, r.Differences)
		}
	}
	compare()
	t.Logf("%+v", doc.Totals.Traffic)
	if doc.Totals.FillersAborted == 0 || doc.Totals.FillersMarkers == 0 || !strings.Contains(doc.Fillers, "EndTxn") {
		t.Errorf("not both kinds of fillers were used: %+v, %s", doc.Totals.Traffic, doc.Fillers)
	}
	if !strings.Contains(strings.Join(doc.Notes, "\n"), "remembered in the state topic only") {
		t.Errorf("it is not said that the ledger is out of reach: %q", doc.Notes)
	}
	// Once more: the state topic tells the distance.
	for _, topic := range topics {
		f.feed(topic[len(f.prefix)+1:], 0, 3)
	}
	f.mustCatchUp()
	compare()
}
