package digest

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/kferry/kferry/internal/batch"
)

// FuzzCompare feeds arbitrary bytes for both sides: no panic, an end, and never "equal" of sides that a plain
// reading shows to differ.
func FuzzCompare(f *testing.F) {
	var plain, other, holes logModel
	plain.add(f, style{codec: batch.LZ4}, rec(0, "a", "1"), rec(1, "b", "2"))
	plain.add(f, style{}, rec(2, "c", "3", "h", "v"))
	other.add(f, style{codec: batch.Zstd}, rec(0, "a", "1"))
	other.add(f, style{}, rec(1, "b", "2"), rec(2, "c", "3", "h", "v"))
	holes.add(f, style{last: 9}, rec(2, "c", "3"), rec(5, "d", "4"))
	holes.marker(f, 10, 3, batch.Abort)
	var aborted logModel
	aborted.add(f, style{producer: 3, transactional: true}, tombstone(0, batch.FillerKey))
	aborted.abort(f, 1, 3, 0)
	aborted.add(f, style{producer: 3, transactional: true}, rec(2, "c", "3"))
	all := func(l *logModel) []byte { return l.fetch(0, 1<<20).Records }
	for _, s := range []*logModel{&plain, &other, &holes, &aborted} {
		for _, d := range []*logModel{&plain, &other, &holes, &aborted} {
			f.Add(all(s), all(d), int64(0), int64(12), int64(3), false)
			f.Add(all(s), all(d), int64(1), int64(3), int64(3), true)
		}
	}
	f.Fuzz(func(t *testing.T, source, target []byte, from, to, producer int64, thin bool) {
		if from < 0 || to > 1<<40 || from >= to {
			return
		}
		list := []Aborted{{producer, 0}}
		cfg := Config{From: from, To: to, AbortedForeign: true}
		if thin {
			cfg.SourceThins, cfg.TargetThins = ThinChecked, ThinChecked
		}
		compareFuzzed(t, cfg, list, source, target)
		// With valid checksums more of what was made up gets past Split.
		compareFuzzed(t, cfg, list, resealed(source), resealed(target))
	})
}

func resealed(b []byte) []byte {
	b = bytes.Clone(b)
	for rest := b; ; {
		one, after, err := batch.Next(rest)
		if err != nil {
			return b
		}
		if rest = after; one.Magic == 2 {
			batch.Seal(one.Raw, one.Header)
		}
	}
}

func compareFuzzed(t *testing.T, cfg Config, list []Aborted, source, target []byte) {
	c := NewComparer(cfg)
	defer c.Close()
	logs, fed := [2][]byte{source, target}, [2]int64{cfg.From, cfg.From}
	for steps := 0; !c.Done(); steps++ {
		if steps > 4 {
			t.Fatalf("no end: at %d of %d", c.At(), cfg.To)
		}
		side := c.Wants()
		chunk := Split(Fetch{From: fed[side], To: cfg.To, Records: logs[side], Aborted: list})
		if logs[side] = nil; !chunk.Useful() {
			chunk = Hole(fed[side], cfg.To)
		}
		fed[side] = chunk.Next
		if err := c.Feed(side, chunk); err != nil {
			t.Fatal(err)
		}
	}
	if c.Difference() != nil || cfg.SourceThins != ThinNever {
		return
	}
	s, d := plainly(source, list, cfg.From, cfg.To), plainly(target, list, cfg.From, cfg.To)
	if fmt.Sprint(s) != fmt.Sprint(d) {
		t.Fatalf("equal, but a plain reading finds\n%v\nand\n%v", s, d)
	}
}

// plainly reads visible records in the simplest way, as far as the bytes are sound.
func plainly(b []byte, list []Aborted, from, to int64) (out []string) {
	aborted := map[int64]bool{}
	decoder := batch.NewDecoder(batch.DefaultLimits())
	for {
		one, rest, err := batch.Next(b)
		if err != nil {
			return out
		}
		if b = rest; one.LastOffset() < from {
			continue
		}
		if one.BaseOffset >= to || one.CheckCRC() != nil {
			return out
		}
		for _, a := range list {
			if a.FirstOffset <= one.LastOffset() {
				aborted[a.ProducerID] = true
				list = nil
			}
		}
		if one.Control() {
			if typ, _ := one.ControlType(); typ == batch.Abort {
				delete(aborted, one.ProducerID)
			}
			continue
		}
		if one.Count == 0 && len(one.Payload()) == 0 {
			continue
		}
		if one.Transactional() && aborted[one.ProducerID] {
			continue
		}
		err = decoder.Records(&one, func(r *batch.Record) error {
			if r.Offset >= to {
				return errStopped // whatever follows is behind the range
			}
			if r.Offset >= from {
				out = append(out, fmt.Sprintf("%d %d %q %v %q %v %q", r.Offset, r.Timestamp, r.Key, r.Key == nil, r.Value, r.Value == nil, r.Headers))
			}
			return nil
		})
		if err == errStopped {
			return out
		}
		if err != nil {
			out = append(out, "undecodable "+fmt.Sprint(one.Payload()))
		}
	}
}
