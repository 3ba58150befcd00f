package config

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kferry/kferry/internal/kafka"
)

// Properties is a parsed Java client properties file: the text of every key, references not yet followed.
type Properties struct {
	path    string
	entries []property
	index   map[string]int // position of a key's last entry
}

type property struct {
	key   string
	value kafka.Secret // which keys hold passwords is not for this parser to know
	line  int
}

// text is the value as written.
func (e property) text() string { return e.value.Reveal() }

// readPropertiesFile reads and parses a file, without looking at what its keys mean.
func readPropertiesFile(path string) (*Properties, []string, Problems) {
	data, err := readLimited(path, maxFileBytes)
	if problem := unreadable(path, err); problem != nil {
		return nil, nil, Problems{problem}
	}
	return parseProperties(path, data)
}

// parseProperties reads the format of java.util.Properties. Java reads the bytes as ISO-8859-1; so are they
// here unless they are UTF-8, which no Latin text with accents is by accident.
func parseProperties(path string, data []byte) (*Properties, []string, Problems) {
	if bytes.IndexByte(data, 0) >= 0 {
		return nil, nil, Problems{{File: path, What: "it is not a text file", Fix: "check the path"}}
	}
	text := string(data)
	if !utf8.ValidString(text) {
		text = latin1(data)
	}
	p := &Properties{path: path, index: map[string]int{}}
	var warnings []string
	var problems Problems
	for _, l := range logicalLines(text) {
		key, value, err := splitProperty(l.text)
		if err != nil {
			problems = append(problems, &Problem{File: path, Line: l.number, What: err.Error(), Fix: `write four hexadecimal digits behind \u`})
			continue
		}
		if i, ok := p.index[key]; ok {
			warnings = append(warnings, fmt.Sprintf("%s:%d: %s was already set in line %d; the last one counts", path, l.number, printable(key), p.entries[i].line))
		}
		p.index[key] = len(p.entries)
		p.entries = append(p.entries, property{key, kafka.NewSecret(value), l.number})
	}
	return p, warnings, problems
}

func latin1(data []byte) string {
	r := make([]rune, len(data))
	for i, b := range data {
		r[i] = rune(b)
	}
	return string(r)
}

// has reports whether the file sets the key.
func (p *Properties) has(key string) bool { _, ok := p.index[key]; return ok }

// get returns the key's text with surrounding blanks removed, as Kafka's own parser does; "" when not set.
func (p *Properties) get(key string) string {
	if i, ok := p.index[key]; ok {
		return strings.TrimSpace(p.entries[i].text())
	}
	return ""
}

// servers are the file's bootstrap addresses, by the Java client's or librdkafka's name.
func (p *Properties) servers() []string {
	if s := p.get("bootstrap.servers"); s != "" {
		return splitList(s)
	}
	return splitList(p.get("metadata.broker.list"))
}

// line is where the key stands; 0 when it does not.
func (p *Properties) line(key string) int {
	if i, ok := p.index[key]; ok {
		return p.entries[i].line
	}
	return 0
}

type logicalLine struct {
	text   string
	number int
}

// logicalLines joins lines that end in an odd number of backslashes with what follows and drops comments and
// blank lines. A comment is never continued.
func logicalLines(text string) []logicalLine {
	natural := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n")
	var out []logicalLine
	for i := 0; i < len(natural); i++ {
		line := strings.TrimLeft(natural[i], " \t\f")
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		start := i + 1
		var b strings.Builder
		for continues(line) && i+1 < len(natural) {
			b.WriteString(line[:len(line)-1])
			i++
			line = strings.TrimLeft(natural[i], " \t\f")
		}
		if continues(line) { // a backslash at the very end of the file joins nothing
			line = line[:len(line)-1]
		}
		b.WriteString(line)
		if b.Len() > 0 {
			out = append(out, logicalLine{b.String(), start})
		}
	}
	return out
}

func continues(line string) bool {
	n := len(line) - len(strings.TrimRight(line, `\`))
	return n%2 == 1
}

// splitProperty divides a logical line at the first =, : or blank that is not escaped, and undoes the escapes.
func splitProperty(line string) (key, value string, err error) {
	end, escaped := len(line), false
	for i := range len(line) {
		c := line[i]
		if !escaped && strings.IndexByte("=: \t\f", c) >= 0 {
			end = i
			break
		}
		escaped = c == '\\' && !escaped
	}
	rest := strings.TrimLeft(line[end:], " \t\f")
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = strings.TrimLeft(rest[1:], " \t\f")
	}
	if key, err = unescapeProperty(line[:end]); err != nil {
		return "", "", err
	}
	value, err = unescapeProperty(rest)
	return key, value, err
}

func unescapeProperty(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	var units []uint16 // pending UTF-16 code units of \u escapes
	flush := func() {
		b.WriteString(decodeUTF16(units))
		units = units[:0]
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			flush()
			if s[i] != '\\' {
				b.WriteByte(s[i])
			}
			continue
		}
		i++
		if s[i] == 'u' {
			if i+5 > len(s) {
				return "", errors.New(`a \u escape is cut off`)
			}
			n, err := strconv.ParseUint(s[i+1:i+5], 16, 16)
			if err != nil {
				return "", errors.New(`a \u escape is not hexadecimal`)
			}
			units = append(units, uint16(n))
			i += 4
			continue
		}
		flush()
		if j := strings.IndexByte("tnrf", s[i]); j >= 0 {
			b.WriteByte("\t\n\r\f"[j])
		} else {
			b.WriteByte(s[i])
		}
	}
	flush()
	return b.String(), nil
}
