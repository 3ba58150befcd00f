package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kferry/kferry/internal/kafka"
)

// FuzzProperties: no input may panic, and what was read, written out with every character escaped, must read back.
func FuzzProperties(f *testing.F) {
	for _, text := range propertyTexts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, _, problems := parseProperties("f", data)
		if len(problems) > 0 {
			oneLineEach(t, problems)
			return
		}
		var out strings.Builder
		for _, e := range p.entries {
			fmt.Fprintf(&out, "%s=%s\n", escapeAll(e.key), escapeAll(e.text()))
		}
		back, _, problems := parseProperties("f", []byte(out.String()))
		if len(problems) > 0 || len(back.entries) != len(p.entries) {
			t.Fatalf("%q reads back as %d entries, %v", out.String(), len(back.entries), problems)
		}
		for i, e := range p.entries {
			if b := back.entries[i]; b.key != e.key || b.text() != e.text() {
				t.Fatalf("%q=%q reads back as %q=%q", e.key, e.text(), b.key, b.text())
			}
		}
		r := newPropertyReader(p) // references are not followed: they would read files
		r.connection(&kafka.Connection{})
		oneLineEach(t, r.problems)
	})
}

func escapeAll(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= 0x10000 {
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func oneLineEach(t *testing.T, problems Problems) {
	t.Helper()
	for _, p := range problems {
		if s := p.Error(); strings.ContainsAny(s, "\n\r\x00") {
			t.Errorf("not one line: %q", s)
		}
	}
}

// FuzzJAAS: no input may panic, and what was read, written out in quotes, must read back.
func FuzzJAAS(f *testing.F) {
	for _, text := range jaasTexts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseJAAS(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("not one line: %q", err)
			}
			return
		}
		out := quoteJAAS(m.class) + " required"
		for k, v := range m.options {
			out += " " + quoteJAAS(k) + "=" + quoteJAAS(v)
		}
		back, err := parseJAAS(out + ";")
		if err != nil || back.class != m.class || len(back.options) != len(m.options) {
			t.Fatalf("%q became %q: %+v, %v", text, out, back, err)
		}
		for k, v := range m.options {
			if back.options[k] != v {
				t.Fatalf("option %q is %q, then %q", k, v, back.options[k])
			}
		}
	})
}

func quoteJAAS(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			b.WriteString(`\` + string(c))
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		default:
			b.WriteByte(c)
		}
	}
	return b.String() + `"`
}

// FuzzMigration: no input may panic or hang, and every mistake is told on one line.
func FuzzMigration(f *testing.F) {
	for _, pattern := range []string{"testdata/*.yaml", "testdata/invalid/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > maxFileBytes || bytes.Contains(data, []byte("properties")) { // would read files
			return
		}
		if _, bad := notUTF8(data); bad {
			return
		}
		m, err := parse("f.yaml", data)
		if err == nil {
			for i := range m.Spec.Flows {
				m.Spec.Flows[i].MatchTopic("a")
				m.Spec.Flows[i].MatchGroup("a")
			}
			return
		}
		var problems Problems
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("%T: %v", err, err)
		}
		oneLineEach(t, problems)
	})
}
