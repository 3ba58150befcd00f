package config

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v4"
)

// Load reads and checks a migration.yaml, and the properties files that it names. On mistakes the error is
// [Problems], all of them. No secret is read and nothing is connected to.
func Load(path string) (*Migration, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, data)
}

// readFile reads a configuration file of bounded size; "-" is standard input.
func readFile(path string) ([]byte, error) {
	from := path
	if path == "-" {
		from = "/dev/stdin"
	}
	data, err := readLimited(from, maxFileBytes)
	if problem := unreadable(path, err); problem != nil {
		return nil, Problems{problem}
	}
	if line, ok := notUTF8(data); ok {
		return nil, Problems{{File: path, Line: line, What: "it is not UTF-8 text", Fix: "save it as UTF-8"}}
	}
	return data, nil
}

// unreadable makes a problem of a file error; nil of none.
func unreadable(path string, err error) *Problem {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrNotExist):
		return &Problem{File: path, What: "there is no such file", Fix: "check the path"}
	}
	return &Problem{File: path, What: "it cannot be read", Fix: err.Error()}
}

// notUTF8 finds the line of the first byte that is not UTF-8 text.
func notUTF8(data []byte) (line int, bad bool) {
	line = 1
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && n == 1, r == 0:
			return line, true
		case r == '\n':
			line++
		}
		data = data[n:]
	}
	return 0, false
}

// parse decodes and checks the content of a file whose references are relative to path.
func parse(path string, data []byte) (*Migration, error) {
	d := newDecoder(path)
	m := &Migration{File: path}
	if root := d.document(data); root != nil {
		d.value(root, reflect.ValueOf(m).Elem(), field{}, "", 0)
	}
	if d.bomb != nil { // what was decoded is incomplete: more messages would mislead
		return nil, Problems{d.bomb}
	}
	if d.has("spec") {
		dir := filepath.Dir(path)
		setDirs(reflect.ValueOf(m).Elem(), dir)
		v := validator{decoder: d, m: m}
		v.migration()
	}
	if err := d.problems.sorted(); err != nil {
		return nil, err
	}
	return m, nil
}

// document parses the text into its one document.
func (d *decoder) document(data []byte) *yaml.Node {
	l, err := yaml.NewLoader(strings.NewReader(string(data)))
	var doc, second yaml.Node
	if err == nil {
		err = l.Load(&doc)
	}
	if err == nil && len(doc.Content) == 1 {
		if l.Load(&second) == nil {
			d.problem(&second, "", "there is a second document after ---", "write one migration per file")
		}
		return doc.Content[0]
	}
	if err == nil || errors.Is(err, io.EOF) {
		d.problems = append(d.problems, &Problem{File: d.file, Line: 1, What: "it is empty", Fix: "begin with apiVersion: " + APIVersion})
		return nil
	}
	d.problems = append(d.problems, d.syntaxError(err))
	return nil
}

// inQuotes finds the words that the YAML parser repeats in its messages.
var inQuotes = regexp.MustCompile(`'[^']*'|"[^"]*"|\x60[^\x60]*\x60`)

// syntaxError makes one line of the parser's message. Quoted words are dropped: an unquoted password that
// begins with * or & is an anchor's name to the parser.
func (d *decoder) syntaxError(err error) *Problem {
	p := &Problem{File: d.file, What: "it is not YAML", Fix: "check indentation, quotes and brackets near here"}
	var le *yaml.LoadError
	if errors.As(err, &le) {
		p.Line, p.Column = le.Mark.Line, le.Mark.Column
		if p.Line == 0 {
			p.Line, p.Column = le.ContextMark.Line, le.ContextMark.Column
		}
		if strings.Contains(le.Message, "unknown anchor") {
			p.What, p.Fix = "a value begins with * and is read as an anchor's name", "put it in quotes"
		} else if msg := inQuotes.ReplaceAllString(le.Message, "..."); msg != "" {
			p.What += " (" + printable(msg) + ")"
		}
	}
	return p
}

// setDirs tells every value that holds a relative path where it starts.
func setDirs(v reflect.Value, dir string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			setDirs(v.Elem(), dir)
		}
	case reflect.Slice:
		for i := range v.Len() {
			setDirs(v.Index(i), dir)
		}
	case reflect.Struct:
		switch x := v.Addr().Interface().(type) {
		case *SecretRef:
			x.dir = dir
			return
		case *Cluster:
			x.dir = dir
		case *Pattern:
			return
		}
		for _, f := range fields(v.Type()) {
			setDirs(v.Field(f.index), dir)
		}
	}
}
