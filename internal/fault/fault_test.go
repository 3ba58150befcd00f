package fault

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The operator's page has a section for every fault, with what is seen and what to do.
func TestEveryKindHasASection(t *testing.T) {
	raw, err := os.ReadFile("../../" + Page)
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, s := range strings.Split(string(raw), "\n### ")[1:] {
		name, body, _ := strings.Cut(s, "\n")
		sections[name] = body
	}
	for _, k := range Kinds {
		body, ok := sections[string(k)]
		if !ok {
			t.Errorf("%s has no section for %s", Page, k)
			continue
		}
		for _, part := range []string{"**You see** `" + string(k), "**Next**"} {
			if !strings.Contains(body, part) {
				t.Errorf("%s: the section %s has no %q", Page, k, part)
			}
		}
	}
	// Every link within the page leads somewhere.
	for _, m := range regexp.MustCompile(`\]\(#([a-z-]+)\)`).FindAllStringSubmatch(string(raw), -1) {
		if _, ok := sections[m[1]]; !ok && !strings.Contains(string(raw), "\n## "+strings.ToUpper(m[1][:1])+m[1][1:]+"\n") {
			t.Errorf("%s: a link to #%s leads nowhere", Page, m[1])
		}
	}
}

// Kinds lists every constant of the file.
func TestKindsAreAllOfThem(t *testing.T) {
	raw, err := os.ReadFile("fault.go")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, k := range Kinds {
		listed[string(k)] = true
	}
	found := regexp.MustCompile(`Kind = "([a-z-]+)"`).FindAllStringSubmatch(string(raw), -1)
	for _, m := range found {
		if !listed[m[1]] {
			t.Errorf("%s is not among Kinds", m[1])
		}
	}
	if len(found) != len(Kinds) {
		t.Errorf("%d constants, %d kinds", len(found), len(Kinds))
	}
}

func TestError(t *testing.T) {
	f := &Fault{Kind: ForeignAppend, Topic: "orders", Partition: 3, Offset: 15, Detail: "two records", Next: Rebuild("orders")}
	want := "orders-3: foreign-append at offset 15: two records; next: kferry repair --topic orders --rebuild (docs/operate/what-if.md#foreign-append)"
	if got := f.Error(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// The page has a row for every failure mode of the list.
func TestEverySituationHasARow(t *testing.T) {
	raw, err := os.ReadFile("../../" + Page)
	if err != nil {
		t.Fatal(err)
	}
	for letter, n := range map[string]int{"A": 13, "B": 7, "C": 11, "D": 6, "E": 8, "F": 4} {
		for i := 1; i <= n; i++ {
			if row := "\n| " + letter + strconv.Itoa(i) + " | **"; strings.Count(string(raw), row) != 1 {
				t.Errorf("%s: %d rows for %s%d, want 1", Page, strings.Count(string(raw), row), letter, i)
			}
		}
	}
}
