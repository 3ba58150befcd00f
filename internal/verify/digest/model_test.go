package digest

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"testing"

	"github.com/kferry/kferry/internal/batch"
)

// logModel is one side's log as a broker holds it: batches in order, and the transactions that were aborted.
type logModel struct {
	batches []modelBatch
	aborted []modelTxn
	end     int64 // log end and last stable offset
}

type modelBatch struct {
	base, last int64
	raw        []byte
}

type modelTxn struct {
	producer    int64
	first, last int64 // last is the offset of the abort marker
}

// style is how a batch is written.
type style struct {
	codec         batch.Codec
	producer      int64 // 0: none
	transactional bool
	logAppend     int64 // not 0: LogAppendTime with this time
	deleteHorizon bool
	last          int64 // last offset, when the cleaner removed records at the end; 0: that of the last record
	base          int64 // base offset, when it removed records at the beginning; 0: that of the first record
}

func (l *logModel) add(tb testing.TB, st style, records ...batch.Record) {
	tb.Helper()
	raw := encode(tb, st, records)
	b, _, err := batch.Next(raw)
	if err != nil {
		tb.Fatal(err)
	}
	l.batches = append(l.batches, modelBatch{b.BaseOffset, b.LastOffset(), raw})
	l.end = b.NextOffset()
}

// marker adds a control batch.
func (l *logModel) marker(tb testing.TB, offset, producer int64, typ batch.ControlType) {
	tb.Helper()
	key := []byte{0, 0, 0, byte(typ)}
	value := make([]byte, 6)
	raw := encode(tb, style{producer: producer, transactional: true}, []batch.Record{{Offset: offset, Timestamp: 99, Key: key, Value: value}})
	b, _, _ := batch.Next(raw)
	b.Attributes |= 1 << 5
	batch.Seal(raw, b.Header)
	l.batches = append(l.batches, modelBatch{offset, offset, raw})
	l.end = offset + 1
}

func (l *logModel) abort(tb testing.TB, offset, producer, first int64) {
	l.marker(tb, offset, producer, batch.Abort)
	l.aborted = append(l.aborted, modelTxn{producer, first, offset})
}

// fetch answers as a broker does: from the batch that holds the offset on, cut at size, but the first batch
// whole.
func (l *logModel) fetch(from int64, size int) Fetch {
	f := Fetch{From: from}
	upper := l.end
	for _, b := range l.batches {
		if b.last < from {
			continue
		}
		if len(f.Records) > 0 && len(f.Records)+len(b.raw) > size {
			if room := size - len(f.Records); room > 0 {
				f.Records = append(f.Records, b.raw[:room]...)
			}
			upper = b.last + 1 // a broker's bound is as coarse as its index
			break
		}
		f.Records = append(f.Records, b.raw...)
	}
	for _, t := range l.aborted {
		if t.last >= from && t.first < upper {
			f.Aborted = append(f.Aborted, Aborted{t.producer, t.first})
		}
	}
	return f
}

// encode writes records as one batch. Where offsets are contiguous and nothing odd is asked for it is the
// product's own builder that writes; otherwise records are encoded here, uncompressed or with gzip.
func encode(tb testing.TB, st style, records []batch.Record) []byte {
	tb.Helper()
	base, last := records[0].Offset, records[len(records)-1].Offset
	if st.base > 0 || st.last > 0 || last-base+1 != int64(len(records)) {
		return encodeHoles(tb, st, records)
	}
	var b batch.Builder
	for i := range records {
		if err := b.Append(&records[i]); err != nil {
			tb.Fatal(err)
		}
	}
	raw, err := b.Finish(st.codec)
	if err != nil {
		tb.Fatal(err)
	}
	return seal(tb, raw, st, base, last)
}

func encodeHoles(tb testing.TB, st style, records []batch.Record) []byte {
	tb.Helper()
	base, last := records[0].Offset, records[len(records)-1].Offset
	if st.base > 0 {
		base = st.base
	}
	if st.last > 0 {
		last = st.last
	}
	var p []byte
	var latest int64
	for _, r := range records {
		p = appendRecord(p, r, base, records[0].Timestamp)
		latest = max(latest, r.Timestamp)
	}
	codec := batch.None
	if st.codec != batch.None {
		codec = batch.Gzip
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		w.Write(p)
		w.Close()
		p = z.Bytes()
	}
	raw := append(make([]byte, batch.HeaderSize), p...)
	batch.Seal(raw, batch.Header{
		Attributes: int16(codec), LastOffsetDelta: int32(last - base), Count: int32(len(records)),
		BaseTimestamp: records[0].Timestamp, MaxTimestamp: latest, ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1,
	})
	return seal(tb, raw, st, base, last)
}

func seal(tb testing.TB, raw []byte, st style, base, last int64) []byte {
	tb.Helper()
	b, _, err := batch.Next(raw)
	if err != nil {
		tb.Fatal(err)
	}
	h := b.Header
	h.BaseOffset, h.LastOffsetDelta = base, int32(last-base)
	h.PartitionLeaderEpoch = 7
	if st.producer > 0 {
		h.ProducerID, h.ProducerEpoch, h.BaseSequence = st.producer, 3, 17
	}
	if st.transactional {
		h.Attributes |= 1 << 4
	}
	if st.logAppend != 0 {
		h.Attributes |= 1 << 3
		h.MaxTimestamp = st.logAppend
	}
	if st.deleteHorizon {
		h.Attributes |= 1 << 6
	}
	batch.Seal(raw, h)
	return raw
}

func appendRecord(p []byte, r batch.Record, base, baseTime int64) []byte {
	b := []byte{0}
	b = binary.AppendVarint(b, r.Timestamp-baseTime)
	b = binary.AppendVarint(b, r.Offset-base)
	b = appendNullable(b, r.Key)
	b = appendNullable(b, r.Value)
	b = binary.AppendVarint(b, int64(len(r.Headers)))
	for _, h := range r.Headers {
		b = appendNullable(b, h.Key)
		b = appendNullable(b, h.Value)
	}
	return append(binary.AppendVarint(p, int64(len(b))), b...)
}

func appendNullable(p, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(p, -1)
	}
	return append(binary.AppendVarint(p, int64(len(b))), b...)
}

// run compares two models, fetching size bytes at a time, and settles keys as the driver does.
func run(tb testing.TB, cfg Config, s, t *logModel, size int) (*Difference, Stats) {
	tb.Helper()
	c := NewComparer(cfg)
	defer c.Close()
	models := [2]*logModel{s, t}
	next := [2]int64{cfg.From, cfg.From}
	for steps := 0; !c.Done(); steps++ {
		if steps > 100_000 {
			tb.Fatalf("no end: at %d", c.At())
		}
		side := c.Wants()
		chunk := models[side].chunk(next[side], cfg.To, size)
		next[side] = chunk.Next
		if err := c.Feed(side, chunk); err != nil {
			tb.Fatal(err)
		}
	}
	first, stats := c.Difference(), c.Stats()
	if first != nil && !cfg.CountAll {
		return first, stats
	}
	for _, has := range []Side{Target, Source} {
		keys, other := c.Keys(has), models[has.Other()]
		if keys.Beyond() >= 0 {
			tb.Fatal("more keys than expected")
		}
		if keys.Len() == 0 {
			continue
		}
		var thinned int64
		other.each(cfg.To, other.end, size, func(chunk *Chunk) {
			n, err := keys.Later(chunk)
			if err != nil {
				tb.Fatal(err)
			}
			thinned += n
		})
		if keys.Tombstones() {
			other.each(cfg.From, cfg.To, size, func(chunk *Chunk) {
				if err := keys.Earlier(chunk); err != nil {
					tb.Fatal(err)
				}
			})
		}
		d, differing, tombstones := keys.Verdict()
		stats.Differing += differing
		stats.Tombstones += tombstones
		if has == Target {
			stats.ThinnedSource += thinned
		} else {
			stats.ThinnedTarget += thinned
		}
		if d != nil && (first == nil || d.Offset < first.Offset) {
			first = d
		}
	}
	return first, stats
}

func (l *logModel) chunk(from, to int64, size int) *Chunk {
	f := l.fetch(from, size)
	f.To = to
	c := Split(f)
	if !c.Useful() {
		return Hole(from, to)
	}
	return c
}

func (l *logModel) each(from, to int64, size int, visit func(*Chunk)) {
	for from < to {
		c := l.chunk(from, to, size)
		from = c.Next
		visit(c)
	}
}

func rec(offset int64, key, value string, headers ...string) batch.Record {
	r := batch.Record{Offset: offset, Timestamp: 1000 + offset, Key: []byte(key), Value: []byte(value)}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Headers = append(r.Headers, batch.RecordHeader{Key: []byte(headers[i]), Value: []byte(headers[i+1])})
	}
	return r
}
