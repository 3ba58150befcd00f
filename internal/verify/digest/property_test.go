package digest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/kferry/kferry/internal/batch"
)

// history is what a source topic went through, before anybody wrote it into batches.
type history struct {
	records []batch.Record // visible ones, by offset
	aborted []batch.Record // in aborted transactions
	markers []txnEnd
	end     int64
}

type txnEnd struct {
	offset, producer, first int64
	aborted                 bool
}

// drawHistory makes offsets of visible records, holes, interleaved transactions and markers.
func drawHistory(t *rapid.T, keys int) history {
	var h history
	open := map[int64]int64{} // producer -> first offset of its aborted-to-be transaction
	n := rapid.IntRange(1, 60).Draw(t, "offsets")
	for o := range int64(n) {
		switch what := rapid.IntRange(0, 9).Draw(t, "what"); {
		case what <= 5:
			h.records = append(h.records, drawRecord(t, o, keys))
		case what == 6: // hole
		case what <= 8:
			producer := int64(rapid.IntRange(1, 3).Draw(t, "producer"))
			r := drawRecord(t, o, keys)
			h.aborted = append(h.aborted, r)
			if _, ok := open[producer]; !ok {
				open[producer] = o
			}
			h.markers = append(h.markers, txnEnd{offset: -o - 1, producer: producer}) // remembers who wrote o
		default:
			producer := int64(rapid.IntRange(1, 3).Draw(t, "ends"))
			first, ok := open[producer]
			delete(open, producer)
			h.markers = append(h.markers, txnEnd{o, producer, first, ok})
		}
	}
	h.end = int64(n)
	for producer := int64(1); producer <= 3; producer++ {
		if first, ok := open[producer]; ok {
			h.markers = append(h.markers, txnEnd{h.end, producer, first, true})
			h.end++
		}
	}
	return h
}

func drawRecord(t *rapid.T, offset int64, keys int) batch.Record {
	bytesOrNull := func(name string) []byte {
		if rapid.IntRange(0, 4).Draw(t, name+" null") == 0 {
			return nil
		}
		return append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, name)...)
	}
	r := batch.Record{Offset: offset, Timestamp: rapid.Int64Range(-1, 50).Draw(t, "time"), Key: bytesOrNull("key"), Value: bytesOrNull("value")}
	if keys > 0 {
		r.Key = fmt.Appendf(nil, "key %d", rapid.IntRange(0, keys-1).Draw(t, "k"))
	}
	for range rapid.IntRange(0, 2).Draw(t, "headers") {
		r.Headers = append(r.Headers, batch.RecordHeader{Key: rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "hk"), Value: bytesOrNull("hv")})
	}
	return r
}

// write lays a history out as batches of random boundaries and codecs, as the source's log.
func (h *history) write(t *rapid.T, tb testing.TB) *logModel {
	var l logModel
	writers := map[int64]int64{}
	markers := map[int64]txnEnd{}
	for _, m := range h.markers {
		if m.offset < 0 {
			writers[-m.offset-1] = m.producer
		} else {
			markers[m.offset] = m
		}
	}
	visible, aborted := byOffset(h.records), byOffset(h.aborted)
	for o := int64(0); o < h.end; {
		switch {
		case has(visible, o):
			o = l.drawBatch(t, tb, visible, o, func(int64) bool { return true }, style{producer: 100, transactional: rapid.Bool().Draw(t, "txn")}, h.end)
		case has(aborted, o):
			producer := writers[o]
			o = l.drawBatch(t, tb, aborted, o, func(p int64) bool { return writers[p] == producer }, style{producer: producer, transactional: true}, h.end)
		case markers[o].producer > 0:
			m := markers[o]
			if m.aborted {
				l.abort(tb, o, m.producer, m.first)
			} else {
				l.marker(tb, o, m.producer, batch.Commit)
			}
			o++
		default:
			o++
		}
	}
	l.end = h.end
	return &l
}

// copyOf lays out what kferry makes of the history: plain data, and fillers for everything else.
func (h *history) copyOf(t *rapid.T, tb testing.TB, source *logModel) *logModel {
	var l logModel
	visible := byOffset(h.records)
	producer := int64(1000)
	for o := int64(0); o < h.end; {
		if has(visible, o) {
			if raw := source.batchAt(o); raw != nil && rapid.Bool().Draw(t, "as it is") && allVisible(raw, visible) {
				l.batches = append(l.batches, modelBatch{raw.BaseOffset, raw.LastOffset(), rewritten(raw)})
				o = raw.NextOffset()
				continue
			}
			o = l.drawBatch(t, tb, visible, o, func(int64) bool { return true }, style{producer: 100}, h.end)
			continue
		}
		gap := o
		for gap < h.end && !has(visible, gap) {
			gap++
		}
		if width := gap - o; width >= 3 && rapid.Bool().Draw(t, "aborted filler") {
			producer++
			var fill []batch.Record
			for p := o; p < gap-1; p++ {
				fill = append(fill, batch.Record{Offset: p, Timestamp: -1, Key: []byte(batch.FillerKey)})
			}
			l.add(tb, style{producer: producer, transactional: true, codec: batch.Zstd}, fill...)
			l.abort(tb, gap-1, producer, o)
		} else {
			for p := o; p < gap; p++ {
				l.marker(tb, p, 999, batch.Abort)
			}
		}
		o = gap
	}
	l.end = h.end
	return &l
}

// drawBatch writes one batch that begins at o, with as many of the following records as is drawn.
func (l *logModel) drawBatch(t *rapid.T, tb testing.TB, from map[int64]batch.Record, o int64, same func(int64) bool, st style, end int64) int64 {
	records := []batch.Record{from[o]}
	next := o + 1
	for n := rapid.IntRange(0, 5).Draw(t, "more"); n > 0 && next < end && has(from, next) && same(next); n-- {
		records = append(records, from[next])
		next++
	}
	st.codec = batch.Codec(rapid.IntRange(0, 4).Draw(t, "codec"))
	l.add(tb, st, records...)
	return next
}

func (l *logModel) batchAt(o int64) *batch.Batch {
	for _, m := range l.batches {
		if m.base == o {
			b, _, err := batch.Next(bytes.Clone(m.raw))
			if err != nil {
				return nil
			}
			return &b
		}
	}
	return nil
}

func allVisible(b *batch.Batch, visible map[int64]batch.Record) bool {
	for o := b.BaseOffset; o <= b.LastOffset(); o++ {
		if !has(visible, o) {
			return false
		}
	}
	return true
}

// rewritten is the batch as the engine sends it and a broker stores it.
func rewritten(b *batch.Batch) []byte {
	base := b.BaseOffset
	if err := batch.Rewrite(b.Raw, batch.Producer{ID: 5, Epoch: 1, Sequence: 3}); err != nil {
		panic(err)
	}
	for i := range 8 {
		b.Raw[i] = byte(base >> (56 - 8*i))
	}
	return b.Raw
}

func byOffset(records []batch.Record) map[int64]batch.Record {
	m := map[int64]batch.Record{}
	for _, r := range records {
		m[r.Offset] = r
	}
	return m
}

func has(m map[int64]batch.Record, o int64) bool { _, ok := m[o]; return ok }

// A copy is equal to its source, whatever the batches, and every record is counted.
func TestCopiesAreEqual(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := drawHistory(rt, 0)
		s := h.write(rt, t)
		d := h.copyOf(rt, t, s)
		from := int64(rapid.IntRange(0, int(h.end)-1).Draw(rt, "from"))
		to := int64(rapid.IntRange(int(from)+1, int(h.end)).Draw(rt, "to"))
		size := rapid.IntRange(1, 2000).Draw(rt, "fetch size")
		diff, stats := run(t, Config{From: from, To: to}, s, d, size)
		if diff != nil {
			rt.Fatalf("%s at %d: %s", diff.Kind, diff.Offset, diff.Detail)
		}
		if want := count(h.records, from, to); stats.Records != want {
			rt.Errorf("%d records compared of %d", stats.Records, want)
		}
		if want := count(h.aborted, from, to); stats.AbortedNotCopied != want {
			rt.Errorf("%d aborted records counted of %d", stats.AbortedNotCopied, want)
		}
	})
}

func count(records []batch.Record, from, to int64) (n int64) {
	for _, r := range records {
		if r.Offset >= from && r.Offset < to {
			n++
		}
	}
	return n
}

// Any single change to the copy is found, at its offset and by its name.
func TestMutationsAreFound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := drawHistory(rt, 0)
		if len(h.records) == 0 {
			return
		}
		s := h.write(rt, t)
		changed := history{records: slices.Clone(h.records), aborted: h.aborted, markers: h.markers, end: h.end}
		i := rapid.IntRange(0, len(h.records)-1).Draw(rt, "victim")
		offset, kind := mutate(rt, &changed, i)
		d := changed.copyOf(rt, t, &logModel{})
		size := rapid.IntRange(1, 2000).Draw(rt, "fetch size")
		diff, stats := run(t, Config{To: h.end, CountAll: rapid.Bool().Draw(rt, "count all")}, s, d, size)
		if diff == nil {
			rt.Fatalf("equal, although %s was changed at %d", kind, offset)
		}
		if diff.Kind != kind || diff.Offset != offset || stats.Differing != 1 {
			rt.Errorf("%d differences, first %s at %d (%s), want one %s at %d", stats.Differing, diff.Kind, diff.Offset, diff.Detail, kind, offset)
		}
	})
}

func mutate(t *rapid.T, h *history, i int) (int64, Kind) {
	r := &h.records[i]
	flip := func(b []byte) []byte {
		switch {
		case b == nil:
			return []byte{}
		case len(b) == 0:
			return nil
		}
		b = bytes.Clone(b)
		b[len(b)/2] ^= 1
		return b
	}
	switch rapid.IntRange(0, 7).Draw(t, "mutation") {
	case 0:
		r.Key = flip(r.Key)
		return r.Offset, Key
	case 1:
		r.Value = flip(r.Value)
		return r.Offset, Value
	case 2:
		r.Timestamp++
		return r.Offset, Timestamp
	case 3:
		r.Headers = append(slices.Clone(r.Headers), batch.RecordHeader{Key: []byte("h")})
		return r.Offset, Headers
	case 4:
		if len(r.Headers) == 2 && !bytes.Equal(r.Headers[0].Key, r.Headers[1].Key) {
			r.Headers = []batch.RecordHeader{r.Headers[1], r.Headers[0]}
			return r.Offset, Headers
		}
		if len(r.Headers) > 0 {
			r.Headers = slices.Clone(r.Headers)
			r.Headers[0].Value = flip(r.Headers[0].Value)
			return r.Offset, Headers
		}
		fallthrough
	case 5:
		offset := r.Offset
		h.records = slices.Delete(h.records, i, i+1)
		return offset, Missing
	case 6:
		visible := byOffset(h.records)
		for o := range h.end {
			if !has(visible, o) {
				extra := *r
				extra.Offset = o
				h.records = append(h.records, extra)
				return o, Phantom
			}
		}
		fallthrough
	default:
		if len(r.Value) == 0 {
			r.Value = []byte("longer")
		} else {
			r.Value = r.Value[:len(r.Value)-1]
		}
		return r.Offset, Value
	}
}
