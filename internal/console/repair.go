package console

import (
	"fmt"
	"io"
)

// Repair is what a repair will do, for people.
type Repair struct {
	Title      string
	Shifted    bool
	Partitions []RepairPartition
	Groups     [][2]string // id, what becomes of its positions
	Notes      []string
}

// RepairPartition is one partition's line.
type RepairPartition struct {
	Name, Fault                 string
	Agreed                      int64
	Foreign, OnlyOnTarget, Gone int64
	Copy, Bytes                 int64
	Attach                      bool
	From, Target, Shift         int64
}

// WriteRepair prints a plan: a line a partition, then groups and notes.
func WriteRepair(w io.Writer, r Repair, width int) error {
	p := &printer{w: w, View: View{Width: width}}
	p.section()
	p.text(r.Title, 2)
	if r.Shifted {
		p.reattached(r)
	} else {
		p.rebuilt(r)
	}
	if len(r.Groups) > 0 {
		t := &table{columns: []column{{title: "GROUP", min: 10}, {title: "ITS POSITIONS ON THE TARGET", min: 20, prose: true}}}
		for _, g := range r.Groups {
			t.add(g[0], g[1])
		}
		p.table(t)
	}
	if len(r.Notes) > 0 {
		p.section()
		for _, n := range r.Notes {
			p.print("Note: ")
			p.text(n, 6)
		}
	}
	return p.err
}

func (p *printer) rebuilt(r Repair) {
	t := &table{columns: []column{
		{title: "PARTITION", min: 12}, {title: "FAULT", drop: 1}, {title: "AGREED UP TO", right: true, drop: 2},
		{title: "LOST: NOT THE SOURCE'S", right: true}, {title: "LOST: ONLY HERE", right: true},
		{title: "TO COPY", right: true}, {title: "BYTES", right: true, drop: 3},
	}}
	for _, q := range r.Partitions {
		t.add(q.Name, orDash(q.Fault), offset(q.Agreed), fmt.Sprint(q.Foreign), fmt.Sprint(q.OnlyOnTarget), fmt.Sprint(q.Copy), roughly(q.Bytes))
	}
	p.table(t)
}

func (p *printer) reattached(r Repair) {
	t := &table{columns: []column{
		{title: "PARTITION", min: 12}, {title: "FAULT", drop: 1}, {title: "AGREED UP TO", right: true, drop: 2},
		{title: "STAYS: NOT THE SOURCE'S", right: true}, {title: "GONE ON BOTH", right: true, drop: 4},
		{title: "GOES ON FROM", right: true}, {title: "AT TARGET", right: true}, {title: "SHIFT", right: true},
		{title: "TO COPY", right: true}, {title: "BYTES", right: true, drop: 3},
	}}
	for _, q := range r.Partitions {
		if !q.Attach {
			t.add(q.Name, "-", offset(q.Agreed), "-", "-", "-", "-", "as it is", "-", "-")
			continue
		}
		t.add(q.Name, orDash(q.Fault), offset(q.Agreed), fmt.Sprint(q.Foreign), fmt.Sprint(q.Gone), fmt.Sprint(q.From), fmt.Sprint(q.Target), fmt.Sprint(q.Shift), fmt.Sprint(q.Copy), roughly(q.Bytes))
	}
	p.table(t)
}

func roughly(n int64) string {
	if n < 0 {
		return "-"
	}
	return "about " + Bytes(n)
}
