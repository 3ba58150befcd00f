package state

import (
	"encoding/json"
	"strconv"

	"github.com/kferry/kferry/internal/report"
)

// maxValue is the most bytes of data in one record. Brokers refuse batches of more than 1 MiB by default.
const maxValue = 900 << 10

// The kinds of pieces, the third part of a report's keys.
const (
	pieceTopic = "topic"
	pieceGroup = "group"
)

// write is one record to be written.
type write struct {
	key  string
	data []byte // JSON
}

func newWrite(key string, data any) (write, error) {
	raw, err := json.Marshal(data)
	return write{key, raw}, err
}

// split lays a report out in records: one if it fits, else the head, then each topic and each group in as many
// as it needs. A large report so costs only the records of what changed.
func split(flow string, doc report.Document, most int) ([]write, error) {
	if leastSize(doc) <= most {
		whole, err := newWrite(key(kindReport, flow), head{Document: doc})
		if err != nil || len(whole.data) <= most {
			return []write{whole}, err
		}
	}
	bare := doc
	bare.Topics, bare.Groups, bare.Faults = nil, nil, nil
	first, err := newWrite(key(kindReport, flow), head{Split: true, Document: bare})
	if err != nil {
		return nil, err
	}
	writes := []write{first}
	for _, t := range doc.Topics {
		pieces, err := cut(len(t.Partitions), most, func(from, to int) any {
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
		pieces, err := cut(len(g.Offsets), most, func(from, to int) any {
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

// leastSize is what a report takes at least, by the names of its fields alone. It spares encoding a large one
// only to find that it does not fit.
func leastSize(doc report.Document) (size int) {
	const partition, offset = 400, 40
	for _, t := range doc.Topics {
		size += partition * len(t.Partitions)
	}
	for _, g := range doc.Groups {
		size += offset * len(g.Offsets)
	}
	return size
}

// cut halves a thing of n parts until each piece fits, and encodes the pieces.
func cut(n, most int, part func(from, to int) any) ([][]byte, error) {
	var out [][]byte
	var halve func(from, to int) error
	halve = func(from, to int) error {
		raw, err := json.Marshal(part(from, to))
		if err != nil {
			return err
		}
		if len(raw) <= most || to-from < 2 {
			out = append(out, raw)
			return nil
		}
		middle := (from + to) / 2
		if err := halve(from, middle); err != nil {
			return err
		}
		return halve(middle, to)
	}
	err := halve(0, n)
	return out, err
}
