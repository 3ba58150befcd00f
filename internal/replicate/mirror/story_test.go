package mirror_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/sim/model"
)

var rewrite = flag.Bool("rewrite", false, "write what the machine does into testdata/*.txt")

// A story is a script of events. Below each event stand the machine's actions and what else changed, behind ">".
// A line without indentation is an event:
//
//	config compacted wide=5 holes=echo no-mark no-abort max=1000 split fill-expired window=300 seed-limit=9
//	opened source=5..40 stable=38 target=0..12 tail=ours seq=11 known
//	fetched 12 source=5..40 stable=38 aborted=100@14,101@20 throttled : batch; batch; ...
//	probed 12 ...
//	appended 12 | filled 15 | deleted 5 | compared | compared differs=9 known
//	unknown | lost | moved | readfailed | diverged epoch=2 end=9 | high 20 | refused batch-refused 12 | traffic
//	stale ...      the event, as the answer to something of the generation before
//
// and a batch is one of
//
//	data 12-15 holes=13,14 txn=100 codec=lz4 size=900 damaged horizon flip=22^32 (in byte 22, on the source's disk)
//	time 16-17     as data, with the broker's time
//	empty 18-19    a batch that compaction left without records
//	commit 20 100 | abort 21 100
//	partial 22-25  the head of a data batch that did not fit into the answer
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(raw), "# ") {
				t.Errorf("%s does not begin by telling its story", file)
			}
			got := tell(t, string(raw))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(raw), got); diff != "" {
				t.Errorf("the machine does something else (-rewrite writes it down):\n%s", diff)
			}
		})
	}
}

// teller plays one script.
type teller struct {
	t     *testing.T
	m     *mirror.Machine
	phase mirror.Phase
	wants string
	out   strings.Builder
}

func tell(t *testing.T, script string) string {
	s := &teller{t: t}
	for line := range strings.SplitSeq(strings.TrimRight(script, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, ">"):
			continue
		case line == "" || strings.HasPrefix(line, "#"):
			s.out.WriteString(line + "\n")
			continue
		}
		s.out.WriteString(line + "\n")
		s.event(line)
		s.say()
	}
	return s.out.String()
}

var phaseNames = map[mirror.Phase]string{
	mirror.Opening: "opening", mirror.Comparing: "comparing", mirror.Seeding: "seeding", mirror.Copying: "copying", mirror.Faulted: "faulted",
}

// say writes down what the machine did.
func (s *teller) say() {
	for _, a := range s.m.Take() {
		fmt.Fprintf(&s.out, "> %s\n", a)
		if a.Kind == mirror.Stop {
			fmt.Fprintf(&s.out, ">   %s\n", a.Fault.Detail)
		}
	}
	if p := s.m.Phase(); p != s.phase {
		s.phase = p
		fmt.Fprintf(&s.out, "> is %s\n", phaseNames[p])
	}
	wants := "nothing"
	if from, ok := s.m.Wants(); ok {
		wants = fmt.Sprint(from)
	}
	if wants != s.wants {
		s.wants = wants
		fmt.Fprintf(&s.out, "> wants %s\n", wants)
	}
}

// words are an event's or batch's words: plain ones in order, and those with a value.
type words struct {
	t     *testing.T
	line  string
	plain []string
	named map[string]string
}

func split(t *testing.T, line string) words {
	w := words{t: t, line: line, named: map[string]string{}}
	for _, f := range strings.Fields(line) {
		if k, v, ok := strings.Cut(f, "="); ok {
			w.named[k] = v
		} else {
			w.plain = append(w.plain, f)
		}
	}
	return w
}

func (w words) has(word string) bool {
	for _, p := range w.plain {
		if p == word {
			return true
		}
	}
	return false
}

func (w words) number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		w.t.Fatalf("%q in %q is not a number", s, w.line)
	}
	return n
}

// at is the n-th plain word as a number.
func (w words) at(n int) int64 {
	if n >= len(w.plain) {
		w.t.Fatalf("%q has too few words", w.line)
	}
	return w.number(w.plain[n])
}

func (w words) get(name string, otherwise int64) int64 {
	if v, ok := w.named[name]; ok {
		return w.number(v)
	}
	return otherwise
}

// span is a value of the form from..to.
func (w words) span(name string) (from, to int64) {
	a, b, ok := strings.Cut(w.named[name], "..")
	if !ok {
		w.t.Fatalf("%q has no %s=from..to", w.line, name)
	}
	return w.number(a), w.number(b)
}

func (s *teller) event(line string) {
	head, batches, _ := strings.Cut(line, " : ")
	w := split(s.t, head)
	if w.plain[0] == "config" {
		s.m = mirror.New(s.config(w), batch.Producer{ID: producerID}, decoder)
		s.phase = -1
		return
	}
	if s.m == nil {
		s.t.Fatalf("%q comes before config", line)
	}
	gen := s.m.Generation()
	if w.plain[0] == "stale" {
		w.plain = w.plain[1:]
		gen--
	}
	switch w.plain[0] {
	case "opened":
		s.m.Opened(gen, s.ends(w))
	case "fetched":
		s.m.Fetched(s.fetch(w, batches))
	case "silent":
		s.m.Silent(w.at(1))
	case "probed":
		s.m.Probed(gen, s.fetch(w, batches))
	case "appended":
		s.m.Appended(gen, w.at(1))
	case "filled":
		s.m.Filled(gen, w.at(1))
	case "deleted":
		s.m.Deleted(gen, w.at(1))
	case "compared":
		var d *mirror.Difference
		if at := w.get("differs", -1); at >= 0 {
			d = &mirror.Difference{Offset: at, Detail: "value"}
		}
		s.m.Compared(gen, d, w.has("known"))
	case "unknown":
		s.m.Unknown(gen)
	case "lost":
		s.m.ConnectionLost()
	case "moved":
		s.m.SourceMoved()
	case "readfailed":
		s.m.SourceReadFailed()
	case "diverged":
		s.m.Diverged(int32(w.get("epoch", 0)), w.get("end", 0))
	case "high":
		s.m.TargetHigh(w.at(1))
	case "refused":
		s.m.Refused(gen, w.at(2), fault.Kind(w.plain[1]), "do something", "the broker said so")
	case "traffic":
		s.out.WriteString("> " + s.traffic() + "\n")
	default:
		s.t.Fatalf("nobody knows the event %q", line)
	}
}

// traffic are the counts that are not zero.
func (s *teller) traffic() string {
	raw, err := json.Marshal(s.m.Traffic())
	if err != nil {
		s.t.Fatal(err)
	}
	counts := map[string]int64{}
	if err := json.Unmarshal(raw, &counts); err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[name]; n != 0 {
			out = append(out, fmt.Sprintf("%s=%d", name, n))
		}
	}
	return strings.Join(out, " ")
}

func (s *teller) config(w words) mirror.Config {
	return mirror.Config{
		Topic: "t", MaxBatchBytes: int(w.get("max", 1<<20)), SplitOversized: w.has("split"), Compacted: w.has("compacted"),
		FillExpired: w.has("fill-expired"), SeedLimit: w.get("seed-limit", 0), CanMark: !w.has("no-mark"), CanAbort: !w.has("no-abort"),
		WideGap: w.get("wide", 0), WideHoles: mirror.HoleFiller(w.named["holes"]), WindowBytes: int(w.get("window", 0)),
	}
}

func (s *teller) ends(w words) mirror.Ends {
	e := mirror.Ends{Sequence: int32(w.get("seq", -1)), Known: w.has("known")}
	e.SourceStart, e.SourceHigh = w.span("source")
	e.SourceStable = w.get("stable", e.SourceHigh)
	e.TargetStart, e.TargetEnd = w.span("target")
	tail, ok := map[string]mirror.Tail{"": mirror.TailEmpty, "filler": mirror.TailFiller, "ours": mirror.TailOurs, "other": mirror.TailOther}[w.named["tail"]]
	if !ok || (tail == mirror.TailEmpty) != (e.TargetStart == e.TargetEnd) {
		s.t.Fatalf("%q: tail must be filler, ours or other, and be there if the target holds something", w.line)
	}
	e.TargetTail = tail
	return e
}

func (s *teller) fetch(w words, batches string) mirror.Fetch {
	f := mirror.Fetch{From: w.at(1), Throttled: w.has("throttled")}
	f.Start, f.High = w.span("source")
	f.Stable = w.get("stable", f.High)
	for a := range strings.SplitSeq(w.named["aborted"], ",") {
		if id, first, ok := strings.Cut(a, "@"); ok {
			f.Aborted = append(f.Aborted, mirror.Aborted{ProducerID: w.number(id), FirstOffset: w.number(first)})
		}
	}
	for b := range strings.SplitSeq(batches, ";") {
		if strings.TrimSpace(b) != "" {
			f.Records = append(f.Records, s.batch(split(s.t, b))...)
		}
	}
	return f
}

// offsets is a word of the form from-to, both included, or one number.
func (w words) offsets(s string) (from, next int64) {
	a, b, ok := strings.Cut(s, "-")
	if !ok {
		b = a
	}
	return w.number(a), w.number(b) + 1
}

func (s *teller) batch(w words) []byte {
	if w.plain[0] == "commit" || w.plain[0] == "abort" {
		b := model.Batch{Base: w.at(1), Next: w.at(1) + 1, Epoch: 3, Attributes: model.BitControl | model.BitTransactional, PID: w.at(2), Commit: w.plain[0] == "commit"}
		return b.Encode()
	}
	from, next := w.offsets(w.plain[1])
	b := model.Batch{Base: from, Next: next, Epoch: 3, Time: 5000, PID: w.get("txn", -1)}
	if b.PID >= 0 {
		b.Attributes |= model.BitTransactional
	}
	if w.has("horizon") {
		b.Attributes |= model.BitDeleteHorizon
	}
	var err error
	if name := w.named["codec"]; name != "" {
		if b.Codec, err = batch.ParseCodec(name); err != nil {
			s.t.Fatal(err)
		}
	}
	switch w.plain[0] {
	case "time":
		b.Attributes |= model.BitLogAppendTime
		b.Appended = 6000
	case "data", "partial":
	case "empty":
		return b.Encode()
	default:
		s.t.Fatalf("nobody knows the batch %q", w.line)
	}
	for at := from; at < next; at++ {
		r := model.Record{Timestamp: 5000 + at, Key: "k" + fmt.Sprint(at), Value: strings.Repeat("v", int(w.get("size", 5)))}
		b.Slots = append(b.Slots, model.Slot{Record: r, Here: true})
	}
	for h := range strings.SplitSeq(w.named["holes"], ",") {
		if h == "" {
			continue
		}
		a, z := w.offsets(h)
		for at := a; at < z; at++ {
			b.Slots[at-from] = model.Slot{}
		}
	}
	raw := b.Encode()
	if w.has("damaged") {
		raw[len(raw)-3] ^= 0x40
	}
	if at, bits, ok := strings.Cut(w.named["flip"], "^"); ok {
		raw[w.number(at)] ^= byte(w.number(bits))
	}
	if w.plain[0] == "partial" {
		raw = raw[:len(raw)-1]
	}
	return raw
}

// producerID is the flow's.
const producerID = 7000

// decoder is shared: the tests of this package that use it do not run in parallel.
var decoder = batch.NewDecoder(batch.Limits{})
