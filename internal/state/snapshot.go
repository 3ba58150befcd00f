package state

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/report"
)

// Snapshot is all that the state topic holds about one flow.
type Snapshot struct {
	Flow     *Flow             // nil: nothing remembered
	Memory   map[string]Memory // by topic
	Report   *report.Document  // nil: none published
	ReportAt time.Time         // when it was
	// Garbage counts the records that could not be read and were skipped.
	Garbage int

	keys      []string             // of the report's pieces
	finalized map[string]finalized // by topic
}

// assemble reads the records of one flow, in order. Records of other flows are nobody's business here.
func assemble(flow string, records []kafka.Record) (Snapshot, error) {
	s := Snapshot{Memory: map[string]Memory{}, finalized: map[string]finalized{}}
	last := map[string][]byte{}
	for _, r := range records {
		last[string(r.Key)] = r.Value
	}
	var p pieces
	for k, value := range last {
		kind, parts, ok := splitKey(k)
		switch {
		case !ok:
			s.Garbage++
		case parts[0] != flow || value == nil:
		default:
			err := s.take(kind, k, parts[1:], value, &p)
			var newer *NewerError
			if errors.As(err, &newer) {
				return Snapshot{}, err
			}
			if err != nil {
				s.Garbage++
			}
		}
	}
	s.Report = p.join()
	for topic, f := range s.finalized {
		m, ok := s.Memory[topic]
		if !ok {
			m = Memory{Topic: topic, SourceID: f.SourceID, TargetID: f.TargetID}
		}
		if m.TargetID == f.TargetID {
			m.Finalized = &f.At
			s.Memory[topic] = m
		}
	}
	return s, nil
}

func (s *Snapshot) take(kind, k string, parts []string, value []byte, p *pieces) error {
	var err error
	switch {
	case kind == kindFlow && len(parts) == 0:
		var f Flow
		if _, err = decode(k, value, &f); err == nil {
			s.Flow = &f
		}
	case kind == kindMemory && len(parts) == 1:
		var m Memory
		if _, err = decode(k, value, &m); err == nil {
			m.Topic = parts[0]
			s.Memory[m.Topic] = m
		}
	case kind == kindFinalized && len(parts) == 1:
		var f finalized
		if _, err = decode(k, value, &f); err == nil {
			s.finalized[parts[0]] = f
		}
	case kind == kindReport && len(parts) == 0:
		var h head
		if s.ReportAt, err = decode(k, value, &h); err == nil {
			p.head = &h
		}
	case kind == kindReport && len(parts) == 3:
		if err = p.take(k, parts, value); err == nil {
			s.keys = append(s.keys, k)
		}
	default:
		err = errGarbage
	}
	return err
}

// head is the first record of a report: all of it, or what is left when topics and groups have records of
// their own.
type head struct {
	Split    bool            `json:"split,omitempty"`
	Document report.Document `json:"document"`
}

// pieces are the records of one report.
type pieces struct {
	head   *head
	topics []piece[report.Topic]
	groups []piece[report.Group]
}

type piece[T any] struct {
	n    int
	name string
	part T
}

func (p *pieces) take(k string, parts []string, value []byte) error {
	n, err := strconv.Atoi(parts[2])
	if err != nil || n < 0 {
		return errGarbage
	}
	switch parts[0] {
	case pieceTopic:
		return takePiece(&p.topics, k, parts[1], n, value)
	case pieceGroup:
		return takePiece(&p.groups, k, parts[1], n, value)
	}
	return errGarbage
}

func takePiece[T any](into *[]piece[T], k, name string, n int, value []byte) error {
	x := piece[T]{n: n, name: name}
	if _, err := decode(k, value, &x.part); err != nil {
		return err
	}
	*into = append(*into, x)
	return nil
}

// join puts the document together again, nil if there is none.
func (p *pieces) join() *report.Document {
	if p.head == nil {
		return nil
	}
	doc := p.head.Document
	if !p.head.Split {
		return &doc
	}
	doc.Topics, doc.Groups, doc.Faults = nil, nil, nil
	sortPieces(p.topics)
	for _, x := range p.topics {
		if last := len(doc.Topics) - 1; last >= 0 && doc.Topics[last].Name == x.name {
			doc.Topics[last].Partitions = append(doc.Topics[last].Partitions, x.part.Partitions...)
			continue
		}
		x.part.Name = x.name
		doc.Topics = append(doc.Topics, x.part)
	}
	sortPieces(p.groups)
	for _, x := range p.groups {
		if last := len(doc.Groups) - 1; last >= 0 && doc.Groups[last].ID == x.name {
			doc.Groups[last].Offsets = append(doc.Groups[last].Offsets, x.part.Offsets...)
			continue
		}
		x.part.ID = x.name
		doc.Groups = append(doc.Groups, x.part)
	}
	doc.Faults = faults(doc.Topics)
	return &doc
}

func sortPieces[T any](p []piece[T]) {
	slices.SortFunc(p, func(a, b piece[T]) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.n, b.n)) })
}

// faults collects what a split report says only where it happened.
func faults(topics []report.Topic) []fault.Fault {
	var out []fault.Fault
	for _, t := range topics {
		if t.Fault != nil {
			out = append(out, *t.Fault)
		}
		for _, p := range t.Partitions {
			if p.Fault != nil {
				out = append(out, *p.Fault)
			}
		}
	}
	return out
}
