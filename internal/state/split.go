package state

import (
	"strconv"
	"time"

	"github.com/kferry/kferry/internal/report"
)

// maxValue is the most bytes in one record. Brokers refuse batches of more than 1 MiB by default.
const maxValue = 900 << 10

// The kinds of pieces, the third part of a report's keys.
const (
	pieceTopic = "topic"
	pieceGroup = "group"
)

// write is one record to be written.
type write struct {
	key  string
	data any
}

// split lays a report out in records: one if it fits, else the head, then each topic and each group in as many
// as it needs. A large report so costs only the records of what changed.
func split(flow string, doc report.Document, most int) ([]write, error) {
	whole := write{key(kindReport, flow), head{Document: doc}}
	if fits, err := whole.fits(most); err != nil || fits {
		return []write{whole}, err
	}
	bare := doc
	bare.Topics, bare.Groups, bare.Faults = nil, nil, nil
	writes := []write{{key(kindReport, flow), head{Split: true, Document: bare}}}
	for _, t := range doc.Topics {
		pieces, err := cut(t, len(t.Partitions), most, func(from, to int) report.Topic {
			part := t
			part.Partitions = t.Partitions[from:to]
			return part
		})
		if err != nil {
			return nil, err
		}
		for n, p := range pieces {
			writes = append(writes, write{key(kindReport, flow, pieceTopic, t.Name, strconv.Itoa(n)), p})
		}
	}
	for _, g := range doc.Groups {
		pieces, err := cut(g, len(g.Offsets), most, func(from, to int) report.Group {
			part := g
			part.Offsets = g.Offsets[from:to]
			return part
		})
		if err != nil {
			return nil, err
		}
		for n, p := range pieces {
			writes = append(writes, write{key(kindReport, flow, pieceGroup, g.ID, strconv.Itoa(n)), p})
		}
	}
	return writes, nil
}

// cut halves a thing of n parts until each piece fits.
func cut[T any](whole T, n, most int, part func(from, to int) T) ([]T, error) {
	var out []T
	var halve func(piece T, from, to int) error
	halve = func(piece T, from, to int) error {
		fits, err := write{data: piece}.fits(most)
		if err != nil {
			return err
		}
		if fits || to-from < 2 {
			out = append(out, piece)
			return nil
		}
		middle := (from + to) / 2
		if err := halve(part(from, middle), from, middle); err != nil {
			return err
		}
		return halve(part(middle, to), middle, to)
	}
	err := halve(whole, 0, n)
	return out, err
}

func (w write) fits(most int) (bool, error) {
	raw, err := encode(time.Time{}, w.data)
	return len(raw) <= most, err
}
