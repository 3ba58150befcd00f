package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// loginModule is the one entry of a sasl.jaas.config value.
type loginModule struct {
	// class is the module's class name, without its package in name().
	class   string
	options map[string]string
}

// name is the class name without its package.
func (m *loginModule) name() string { return m.class[strings.LastIndexByte(m.class, '.')+1:] }

var loginFlags = []string{"required", "requisite", "sufficient", "optional"}

// parseJAAS reads "package.Module required key=value key="value";". Errors read "what is wrong: what to do" and
// never repeat the text, in which a password stands.
func parseJAAS(s string) (*loginModule, error) {
	toks, err := jaasTokens(s)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(toks, func(t jaasToken) bool { return t.is("{") || t.is("}") }) {
		return nil, errors.New("it is a whole JAAS file: write the login module's line only, without KafkaClient { }")
	}
	if len(toks) < 2 || toks[0].mark || toks[1].mark {
		return nil, errors.New("it does not begin with a login module's class and the word required: write for example org.apache.kafka.common.security.scram.ScramLoginModule required username=\"u\" password=\"p\";")
	}
	if !slices.Contains(loginFlags, strings.ToLower(toks[1].text)) {
		return nil, errors.New("the word behind the class is none of required, requisite, sufficient, optional: write required")
	}
	m := &loginModule{class: toks[0].text, options: map[string]string{}}
	rest := toks[2:]
	for n := 1; len(rest) > 0 && !rest[0].is(";"); n++ {
		if len(rest) < 3 || rest[0].mark || !rest[1].is("=") || rest[2].mark {
			return nil, fmt.Errorf("option %d is not key=value: put values with special characters in quotes and end the line with a semicolon", n)
		}
		m.options[rest[0].text] = rest[2].text
		rest = rest[3:]
	}
	if len(rest) == 0 {
		return nil, errors.New("it does not end with a semicolon: add ; at its end")
	}
	if len(rest) > 1 {
		return nil, errors.New("there is something behind the semicolon: write one login module")
	}
	return m, nil
}

// jaasToken is a word, a quoted string, or one of the marks = ; { }.
type jaasToken struct {
	text string
	mark bool
}

func (t jaasToken) is(mark string) bool { return t.mark && t.text == mark }

const jaasMarks = "=;{}"

// jaasTokens cuts the text as Kafka's parser does, with // and /* comments. It is more generous with words
// that are not quoted: Kafka's parser trips over digits there.
func jaasTokens(s string) ([]jaasToken, error) {
	var out []jaasToken
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c <= ' ':
			i++
		case strings.HasPrefix(s[i:], "//"):
			n := strings.IndexByte(s[i:], '\n')
			if n < 0 {
				return out, nil
			}
			i += n
		case strings.HasPrefix(s[i:], "/*"):
			n := strings.Index(s[i+2:], "*/")
			if n < 0 {
				return nil, errors.New("a comment is not closed: add */")
			}
			i += n + 4
		case strings.IndexByte(jaasMarks, c) >= 0:
			out = append(out, jaasToken{string(c), true})
			i++
		case c == '"' || c == '\'':
			text, n, err := jaasQuoted(s[i:])
			if err != nil {
				return nil, err
			}
			out = append(out, jaasToken{text, false})
			i += n
		default:
			n := strings.IndexFunc(s[i:], func(r rune) bool { return r <= ' ' || strings.ContainsRune(jaasMarks+`"'`, r) })
			if n < 0 {
				n = len(s) - i
			}
			out = append(out, jaasToken{s[i : i+n], false})
			i += n
		}
	}
	return out, nil
}

// jaasQuoted reads a quoted string with the escapes of Java's StreamTokenizer and returns its length.
func jaasQuoted(s string) (string, int, error) {
	quote := s[0]
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == quote:
			return b.String(), i + 1, nil
		case c == '\n' || c == '\r':
			return "", 0, errors.New("a quoted value runs over the end of a line: close the quote")
		case c != '\\' || i+1 == len(s):
			b.WriteByte(c)
		default:
			i++
			if s[i] >= '0' && s[i] <= '7' {
				n, digits := octal(s[i:])
				b.WriteRune(rune(n)) // StreamTokenizer counts characters, not bytes
				i += digits - 1
			} else if j := strings.IndexByte("abfnrtv", s[i]); j >= 0 {
				b.WriteByte("\a\b\f\n\r\t\v"[j])
			} else {
				b.WriteByte(s[i])
			}
		}
	}
	return "", 0, errors.New("a quoted value is not closed: add the quote")
}

// octal reads one to three octal digits, three only below 400 (255).
func octal(s string) (n, digits int) {
	limit := 2
	if s[0] <= '3' {
		limit = 3
	}
	for digits < limit && digits < len(s) && s[digits] >= '0' && s[digits] <= '7' {
		n = n*8 + int(s[digits]-'0')
		digits++
	}
	return n, digits
}
