package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/testbed"
)

// Every hard history from one release to another: copied once, and once more without anything to do.
func TestHardHistories(t *testing.T) {
	for _, pair := range []struct {
		name           string
		source, target testbed.Version
	}{
		{"3.9 to 4.3", testbed.V39, testbed.V43},
		{"2.8 to 4.3", testbed.V28, testbed.V43},
	} {
		t.Run(pair.name, func(t *testing.T) {
			f := newFlow(t, cluster(t, pair.source), cluster(t, pair.target))
			lap := laps(t)
			topics := f.write(history.Hard()...)
			groups, err := f.from.WriteGroups(t.Context(), f.name+"-", topics)
			if err != nil {
				t.Fatal(err)
			}
			lap("written")
			doc := f.mustCatchUp()
			lap("copied")
			res := f.equalHard(topics)
			f.sameGroups(groups, topics...)
			lap("compared")
			t.Logf("%s; %+v", res, doc.Totals.Traffic)
			if doc.Totals.OffsetsSeeded == 0 || doc.Totals.BytesRaw == 0 || doc.Totals.BytesRecoded == 0 || doc.Totals.GapsHoles == 0 || doc.Totals.GapsAborted == 0 || doc.Totals.GapsMarkers == 0 {
				t.Errorf("not everything that is hard was there: %+v", doc.Totals.Traffic)
			}
			again := f.mustCatchUp()
			lap("copied again")
			if n := again.Totals.RecordsCopied; n != 0 {
				t.Errorf("a second run copied %d records again", n)
			}
			f.equalHard(topics)
		})
	}
}

// write writes histories to the source, those that it can have, and returns the topics' names.
func (f *flow) write(hard ...history.Topic) []string {
	f.t.Helper()
	var topics []string
	for _, h := range hard {
		if h.OldFormats && f.source.Version != testbed.V28 {
			continue
		}
		name := f.topic(h.Name)
		if err := f.from.Write(f.t.Context(), name, h); err != nil {
			f.t.Fatal(err)
		}
		topics = append(topics, name)
	}
	return topics
}

// equalHard compares hard histories. Only the one with a wide hole may have echoes in it.
func (f *flow) equalHard(topics []string) *history.Result {
	f.t.Helper()
	wide := f.topic("compacted-wide")
	res := f.equal(history.Rules{}, slices.DeleteFunc(slices.Clone(topics), func(t string) bool { return t == wide })...)
	if slices.Contains(topics, wide) {
		if echoed := f.equal(history.Rules{Echoes: true}, wide); echoed.Echoes == 0 {
			f.t.Errorf("the wide hole has no echoes: %s", echoed)
		}
	}
	return res
}

// laps returns a function that logs how long the part that ends took.
func laps(t *testing.T) func(string) {
	last := time.Now()
	return func(part string) {
		t.Logf("%s: %.1f s", part, time.Since(last).Seconds())
		last = time.Now()
	}
}
