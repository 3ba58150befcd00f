package history

// byID maps ids to records, in order of offsets.
func byID(prints []print) map[uint64][]*print {
	m := make(map[uint64][]*print, len(prints))
	for i := range prints {
		m[prints[i].id] = append(m[prints[i].id], &prints[i])
	}
	return m
}

// contents tells, record by record and wherever it stands, what was lost, came twice, changed, moved, or came
// from nowhere.
func (p *sides) contents() {
	source, target := byID(p.sc), byID(p.tc)
	holes := at(p.sc)
	last := lastOfKey(p.sc)
	p.v.Records += int64(len(p.sc))
	for id, ss := range source {
		ts := p.withoutEchoes(target[id], holes)
		switch {
		case len(ts) == 0 && p.o.Shifted && p.compacted && (ss[0].tomb || last[ss[0].key] != ss[0].offset):
			// the target's own cleaner took it
		case len(ts) == 0:
			p.v.Lost += int64(len(ss))
			p.example(I2Visible, ss[0], "lost")
		case ts[0].sum != ss[0].sum:
			p.v.Corrupted++
			p.example(I1Content, ss[0], "changed")
		case ts[0].offset != ss[0].offset:
			p.v.OffsetDiff++
		}
		if n := len(ts) - len(ss); n > 0 {
			p.v.Duplicated += int64(n)
			p.example(I2Visible, ts[len(ts)-1], "twice")
		}
	}
	aborted := byID(p.su)
	for id, ts := range target {
		if source[id] == nil {
			p.unmatched(id, p.withoutEchoes(ts, holes), aborted[id] != nil)
		}
	}
	p.order(source, target)
}

// example notes what a count is about, where offsets are not judged and would not have told.
func (p *sides) example(i int, r *print, what string) {
	if in := &p.v.Invariants[i]; p.o.Shifted && len(in.Examples) < mostExamples {
		in.Examples = append(in.Examples, p.name(r.offset)+": "+what)
	}
}

// withoutEchoes drops what stands in a hole of a compacted source and comes again on the target.
func (p *sides) withoutEchoes(ts []*print, holes map[int64]*print) []*print {
	if !p.compacted || p.o.Shifted || len(ts) < 2 {
		return ts
	}
	var kept []*print
	for i, t := range ts {
		if i == len(ts)-1 || holes[t.offset] != nil {
			kept = append(kept, t)
		}
	}
	return kept
}

// unmatched judges records of the target whose id the source does not show as committed.
func (p *sides) unmatched(id uint64, ts []*print, aborted bool) {
	if n := int64(len(ts)) - 1; n > 0 && !aborted {
		p.v.Duplicated += n
	}
	e, known := p.o.Ledger.get(id)
	switch {
	case aborted:
	case known && e.Outcome == OutcomeDeleted: // with its topic
		return
	case known && (e.Topic != p.topic || e.Partition != p.partition):
	case known && e.Outcome != OutcomeAborted && p.compacted: // the source's cleaner took it since
		return
	case known && e.Outcome != OutcomeAborted && e.Offset >= 0 && e.Offset < p.s.start: // deleted on the source since
		return
	case known && e.Outcome == OutcomeAborted:
		aborted = true
	}
	n := int64(len(ts))
	if !aborted {
		n = 1
	}
	p.v.Phantom += n
	p.example(I2Visible, ts[0], "visible on the target only")
}

// order counts steps back: records of the target that come after one that they precede on the source.
func (p *sides) order(source, target map[uint64][]*print) {
	highest := int64(-1)
	for i := range p.tc {
		t := &p.tc[i]
		s := source[t.id]
		if s == nil || target[t.id][0] != t || (p.compacted && !p.o.Shifted) { // echoes stand before what they repeat
			continue
		}
		if s[0].offset < highest {
			p.v.Reordered++
		}
		highest = max(highest, s[0].offset)
	}
}

// sourceKept looks on the source for everything that was acknowledged there. In a compacted topic nothing can be
// said of a single record.
func (p *sides) sourceKept() {
	source, target := byID(p.sc), byID(p.tc)
	for _, e := range p.o.Ledger.Entries(p.topic, p.partition) {
		if e.Outcome != OutcomeCommitted {
			continue
		}
		p.v.Acked++
		if _, stopped := p.o.until(p.topic, p.partition); !stopped && !p.compacted && e.Offset >= p.s.start && source[e.ID] == nil {
			p.v.SourceLost++
		}
		if p.o.Shifted && !p.compacted && e.Offset < p.s.start && target[e.ID] == nil {
			p.v.Skipped++
		}
	}
}
