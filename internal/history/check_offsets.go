package history

// at maps offsets to records.
func at(prints []print) map[int64]*print {
	m := make(map[int64]*print, len(prints))
	for i := range prints {
		m[prints[i].offset] = &prints[i]
	}
	return m
}

// committed compares what read_committed shows at equal offsets: I1 and I2.
func (p *sides) committed() {
	target := at(p.tc)
	source := at(p.sc)
	for i := range p.sc {
		s := &p.sc[i]
		t := target[s.offset]
		p.v.checked(I2Visible, 1)
		if t == nil {
			p.v.violate(I2Visible, "%s: read_committed shows nothing on the target", p.name(s.offset))
			continue
		}
		p.v.checked(I1Content, 1)
		if s.sum != t.sum {
			p.v.violate(I1Content, "%s: the records differ (ids %x and %x)", p.name(s.offset), s.id, t.id)
		}
	}
	again := lastOfKey(p.tc)
	for i := range p.tc {
		t := &p.tc[i]
		if source[t.offset] != nil {
			continue
		}
		p.v.checked(I2Visible, 1)
		if p.compacted && (t.tomb || again[t.key] > t.offset) {
			p.v.Echoes++ // removed on the source since, or an echo: a later record of the key stands
			continue
		}
		p.v.violate(I2Visible, "%s: read_committed shows a record on the target only (id %x)", p.name(t.offset), t.id)
	}
}

// uncommitted compares what read_uncommitted shows beyond read_committed. Aborted records of the source may be
// missing on the target; what the target has aborted must be so on the source or stand in a hole.
func (p *sides) uncommitted() {
	sc, su, tc := at(p.sc), at(p.su), at(p.tc)
	for offset := range sc {
		if su[offset] == nil {
			p.v.violate(I2Visible, "%s: read_committed shows a record of the source that read_uncommitted does not", p.name(offset))
		}
	}
	p.v.Aborted += int64(len(su) - len(sc))
	for i := range p.tu {
		t := &p.tu[i]
		if tc[t.offset] != nil {
			if tc[t.offset].sum != t.sum {
				p.v.violate(I1Content, "%s: the two isolation levels show different records on the target", p.name(t.offset))
			}
			continue
		}
		p.v.checked(I2Visible, 1)
		switch s := su[t.offset]; {
		case sc[t.offset] != nil: // said by committed
		case s != nil && s.sum == t.sum:
			p.v.AbortedKept++
		default:
			p.v.Fillers++
		}
	}
	tu := at(p.tu)
	for offset := range tc {
		if tu[offset] == nil {
			p.v.violate(I2Visible, "%s: read_committed shows a record of the target that read_uncommitted does not", p.name(offset))
		}
	}
}

// lastOfKey maps keys to the offset of their last record.
func lastOfKey(prints []print) map[string]int64 {
	m := map[string]int64{}
	for i := range prints {
		if !prints[i].null {
			m[prints[i].key] = prints[i].offset
		}
	}
	return m
}

// latest compares the last value of every key; one that was deleted may be there as a tombstone or not at all.
func (p *sides) latest() {
	values := func(prints []print) map[string]*print {
		m := map[string]*print{}
		for i := range prints {
			switch r := &prints[i]; {
			case r.null:
			case r.tomb:
				delete(m, r.key)
			default:
				m[r.key] = r
			}
		}
		return m
	}
	s, t := values(p.sc), values(p.tc)
	for key, r := range s {
		p.v.checked(I4Latest, 1)
		if t[key] == nil || t[key].sum != r.sum {
			p.v.violate(I4Latest, "%s: the target does not have it as the latest value of key %q", p.name(r.offset), key)
		}
		delete(t, key)
	}
	for key, r := range t {
		p.v.violate(I4Latest, "%s: key %q lives on the target and not on the source", p.name(r.offset), key)
	}
}
