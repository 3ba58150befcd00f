package batch

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// golden is one batch as Kafka's own classes wrote it, and what they read back;
// see testdata/Golden.java.
type golden struct {
	Name        string
	First, Last int64
	Raw         []byte
	Records     []Record
}

func goldens(t testing.TB) (all []golden) {
	t.Helper()
	f, err := os.Open("testdata/java-client.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var g golden
		if err := json.Unmarshal(lines.Bytes(), &g); err != nil {
			t.Fatal(err)
		}
		for i := range g.Records {
			if len(g.Records[i].Headers) == 0 {
				g.Records[i].Headers = nil
			}
		}
		if len(g.Records) == 0 {
			g.Records = nil
		}
		all = append(all, g)
	}
	if err := lines.Err(); err != nil || len(all) != 81 {
		t.Fatalf("%d goldens, %v", len(all), err)
	}
	return all
}

func TestDecoderReadsWhatTheJavaClientWrites(t *testing.T) {
	d := NewDecoder(Limits{})
	for _, g := range goldens(t) {
		b := next(t, g.Raw)
		if b.CheckCRC() != nil || b.LastOffset() != g.Last || (b.Magic == 2 && b.BaseOffset != g.First) || int(b.Count) != len(g.Records) && !b.Control() {
			t.Errorf("%s: %v, Java says %d to %d, %d records: %+v", g.Name, b.CheckCRC(), g.First, g.Last, len(g.Records), b.Header)
		}
		if kind, ok := strings.CutPrefix(g.Name, "marker "); ok {
			if got, err := b.ControlType(); got.String() != kind || err != nil || !b.Transactional() {
				t.Errorf("%s: %s, %v", g.Name, got, err)
			}
			continue
		}
		if diff := diffRecords(g.Records, read(t, d, b)); diff != "" {
			t.Error(g.Name, diff)
		}
		runs, err := d.Recode(b, 0, RecodeOptions{})
		if err != nil {
			t.Error(g.Name, err)
		}
		if diff := diffRecords(g.Records, readRuns(t, runs, 0)); diff != "" {
			t.Error(g.Name, diff)
		}
	}
}

// What the client wrote in one piece is passed on in one piece.
func TestJavaBatchesArePassable(t *testing.T) {
	want := map[string]Reason{
		"compacted": ReasonHoles, "LogAppendTime": ReasonLogAppendTime, "emptied": ReasonEmpty, "commit": ReasonControl, "abort": ReasonControl,
	}
	for _, g := range goldens(t) {
		b := next(t, g.Raw)
		if b.Magic != 2 {
			if got := Passable(&b.Header, b.BaseOffset, 0); got != ReasonOldFormat {
				t.Errorf("%s: %s", g.Name, got)
			}
			continue
		}
		words := strings.Fields(g.Name)
		if got := Passable(&b.Header, g.First, 0); got != want[words[len(words)-1]] {
			t.Errorf("%s: %s", g.Name, got)
		}
		if b.DeleteHorizon() != strings.HasSuffix(g.Name, "compacted") {
			t.Errorf("%s: delete horizon %t", g.Name, b.DeleteHorizon())
		}
	}
}
