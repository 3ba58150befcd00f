package console

import (
	"fmt"
	"io"
	"time"

	"github.com/kferry/kferry/internal/report"
)

// WriteSummary prints what a run did: how it ended, what was copied and how, and every fault.
func WriteSummary(w io.Writer, doc *report.Document, took time.Duration, v View) error {
	p := &printer{w: w, View: v}
	p.section()
	t := doc.Totals
	end := "caught up"
	switch {
	case t.Partitions == 0:
		end = "nothing was copied"
	case !doc.CaughtUp:
		end = "not caught up, lag " + plural(t.LagRecords, "record", "records")
	}
	if n := len(doc.Faults); n > 0 {
		end += ", " + plural(int64(n), "FAULT", "FAULTS")
	}
	p.text(fmt.Sprintf("Flow %s: %s after %s", doc.Flow, end, Duration(took)), 2)
	perSecond := 0.0
	if s := took.Seconds(); s > 0 {
		perSecond = float64(t.RecordsCopied) / s
	}
	synced, held := 0, 0
	for _, g := range doc.Groups {
		synced += g.Synced
		held += g.Held
	}
	groups := "none"
	if len(doc.Groups) > 0 {
		groups = fmt.Sprintf("%d: %s equal, %d held", len(doc.Groups), plural(int64(synced), "offset", "offsets"), held)
	}
	for _, row := range []struct{ name, value string }{
		{"topics", fmt.Sprintf("%d with %s", t.Topics, plural(int64(t.Partitions), "partition", "partitions"))},
		{"records copied", fmt.Sprintf("%d (%s)", t.RecordsCopied, Rate(perSecond))},
		{"passed as they are", fmt.Sprintf("%s in %s", Bytes(t.BytesRaw), plural(t.BatchesRaw, "batch", "batches"))},
		{"written anew", fmt.Sprintf("%s in %s", Bytes(t.BytesRecoded), plural(t.BatchesRecoded, "batch", "batches"))},
		{"gaps (offsets)", gaps(t.Traffic)},
		{"unknown outcomes settled", fmt.Sprint(t.ResyncsUnknown)},
		{"groups", groups},
	} {
		p.print("  " + pad(row.name, 24, false) + "  ")
		p.text(row.value, 28)
	}
	p.faults(doc.Faults)
	return p.err
}
