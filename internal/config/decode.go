package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v4"
)

// Bounds on a file, far above any real migration, so that a hostile or damaged one costs nothing.
const (
	maxFileBytes = 1 << 20
	maxNodes     = 100_000 // values after aliases are followed: what a "YAML bomb" multiplies
	maxDepth     = 32
	maxNoted     = 10 * maxProblems // mistakes that are looked for; fewer are printed
)

// decoder fills structs from YAML nodes. It goes on after a mistake, so that all of them are found at once, and
// remembers where every value stood, for the checks that come later.
type decoder struct {
	file     string
	nodes    int
	bomb     *Problem // set when the file exceeds the bounds; nothing else is then told
	places   map[string]place
	troubled map[string]bool    // paths with a problem already, at which a later check would only add noise
	patterns map[string]Pattern // compiled already: an anchor can repeat one many times
	problems Problems
}

type place struct{ line, column int }

func newDecoder(file string) *decoder {
	return &decoder{file: file, places: map[string]place{}, troubled: map[string]bool{}, patterns: map[string]Pattern{}}
}

// problem notes a mistake at a node.
func (d *decoder) problem(n *yaml.Node, path, what, fix string) {
	if len(d.problems) >= maxNoted {
		return
	}
	d.troubled[path] = true
	d.problems = append(d.problems, &Problem{File: d.file, Line: n.Line, Column: n.Column, Path: path, What: what, Fix: fix})
}

// at notes a mistake at a value that was decoded, or at the nearest one around it that is in the file.
func (d *decoder) at(path, what, fix string) {
	if d.troubled[path] || len(d.problems) >= maxNoted {
		return
	}
	pl, ok := d.places[path]
	for p := path; !ok && p != ""; pl, ok = d.places[p] {
		p = p[:max(0, strings.LastIndexAny(p, ".["))]
	}
	d.problems = append(d.problems, &Problem{File: d.file, Line: pl.line, Column: pl.column, Path: path, What: what, Fix: fix})
}

// troubledBelow reports whether a problem is known at the path or inside it.
func (d *decoder) troubledBelow(path string) bool {
	for p := range d.troubled {
		if p == path || strings.HasPrefix(p, path+".") || strings.HasPrefix(p, path+"[") {
			return true
		}
	}
	return false
}

// has reports whether the file has a value at the path.
func (d *decoder) has(path string) bool { _, ok := d.places[path]; return ok }

// resolve follows aliases and counts what is visited. It returns nil when the bounds are exceeded.
func (d *decoder) resolve(n *yaml.Node, path string, depth int) *yaml.Node {
	d.nodes++
	if d.nodes > maxNodes || depth > maxDepth {
		d.nodes = maxNodes + 1
		if d.bomb == nil {
			d.bomb = &Problem{File: d.file, Line: n.Line, Column: n.Column, What: "the file is nested too deep or repeats itself too often by anchors", Fix: "write the values out"}
		}
		return nil
	}
	if n.Kind == yaml.AliasNode {
		return d.resolve(n.Alias, path, depth+1)
	}
	if n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode || n.Kind == yaml.ScalarNode {
		return n
	}
	d.problem(n, path, "there is no value here", "write one or remove the key")
	return nil
}

// value decodes a node into v, a settable value of one of the types that this package's structs use.
func (d *decoder) value(n *yaml.Node, v reflect.Value, f field, path string, depth int) {
	d.places[path] = place{n.Line, n.Column}
	if n = d.resolve(n, path, depth); n == nil {
		return
	}
	if isNull(n) && !(v.Kind() == reflect.Pointer && f.bare) {
		d.problem(n, path, "it has no value", "write one or remove the key")
		return
	}
	switch x := v.Addr().Interface().(type) {
	case *SecretRef:
		d.secret(n, x, path, depth)
		return
	case *StringList:
		d.stringList(n, x, path, depth)
		return
	case *Pattern, *time.Duration, *Bytes, *CountPolicy:
		d.scalar(n, v, f, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		if !isNull(n) {
			d.value(n, p.Elem(), f, path, depth+1)
		} else {
			setDefaults(p.Elem())
		}
		v.Set(p)
	case reflect.Struct:
		d.mapping(n, v, path, depth)
	case reflect.Map:
		d.stringMap(n, v, path, depth)
	case reflect.Slice:
		d.list(n, v, f, path, depth)
	default:
		d.scalar(n, v, f, path)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// mapping decodes a struct: known keys only, each once, required ones present, defaults for the rest.
func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.problem(n, path, "it must hold keys, not "+kindName(n), "write its keys on the lines below, indented: "+strings.Join(keys(v.Type()), ", "))
		return
	}
	setDefaults(v)
	fs := fields(v.Type())
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		if line, ok := seen[k.Value]; ok && k.Kind == yaml.ScalarNode {
			d.problem(k, join(path, k.Value), fmt.Sprintf("the key is written twice, first in line %d", line), "keep one")
			continue
		}
		j := slices.IndexFunc(fs, func(f field) bool { return k.Kind == yaml.ScalarNode && f.name == k.Value })
		if j < 0 {
			d.unknownKey(k, v.Type(), path)
			continue
		}
		seen[k.Value] = k.Line
		d.value(val, v.Field(fs[j].index), fs[j], join(path, fs[j].name), depth+1)
		if pl := d.places[join(path, fs[j].name)]; pl.line == 0 {
			d.places[join(path, fs[j].name)] = place{k.Line, k.Column}
		}
	}
	for _, f := range fs {
		if _, ok := seen[f.name]; f.required && !ok && !d.troubled[join(path, f.name)] {
			d.problem(n, join(path, f.name), "it is missing", "add it")
		}
	}
}

func (d *decoder) unknownKey(k *yaml.Node, t reflect.Type, path string) {
	switch {
	case k.Kind != yaml.ScalarNode:
		d.problem(k, path, "a key must be a word", "the keys here are "+strings.Join(keys(t), ", "))
	case k.Value == "<<":
		d.problem(k, path, "merge keys (<<) are not supported", "write the values out")
	default:
		name := printable(k.Value)
		fix := "the keys here are " + strings.Join(keys(t), ", ")
		if len(keys(t)) == 0 {
			fix = "there are no keys here, write {}"
		}
		if near := nearest(k.Value, keys(t)); near != "" && len(d.problems) < maxNoted {
			fix = "did you mean " + near + "?"
			d.troubled[join(path, near)] = true // so that it is not told to be missing as well
		}
		d.problem(k, join(path, name), "unknown key", fix)
	}
}

// stringMap decodes free labels.
func (d *decoder) stringMap(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.problem(n, path, "it must hold keys, not "+kindName(n), "write name: value on the lines below, indented")
		return
	}
	m := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind != yaml.ScalarNode || k.Value == "<<" {
			d.problem(k, path, "a key must be a word", "write name: value")
			continue
		}
		p := join(path, printable(k.Value))
		if _, ok := m[k.Value]; ok {
			d.problem(k, p, "the key is written twice", "keep one")
			continue
		}
		var s string
		d.value(n.Content[i+1], reflect.ValueOf(&s).Elem(), field{}, p, depth+1)
		m[k.Value] = s
	}
	v.Set(reflect.ValueOf(m))
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, f field, path string, depth int) {
	if n.Kind != yaml.SequenceNode {
		fix := "write a list, each entry on its own line after a dash"
		if v.Type().Elem().Kind() == reflect.String || v.Type().Elem() == reflect.TypeFor[Pattern]() {
			fix = "write a list: [a, b]"
		}
		d.problem(n, path, "it must be a list, not "+kindName(n), fix)
		return
	}
	if len(n.Content) == 0 && f.required {
		d.problem(n, path, "the list is empty", "add an entry")
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, c := range n.Content {
		if d.nodes > maxNodes {
			return
		}
		d.value(c, out.Index(i), field{}, fmt.Sprintf("%s[%d]", path, i), depth+1)
	}
	v.Set(out)
}

func (d *decoder) stringList(n *yaml.Node, out *StringList, path string, depth int) {
	if n.Kind == yaml.ScalarNode {
		*out = splitList(n.Value)
		return
	}
	var list []string
	d.list(n, reflect.ValueOf(&list).Elem(), field{}, path, depth)
	*out = list
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// secret decodes a reference. A literal is refused without repeating it.
func (d *decoder) secret(n *yaml.Node, out *SecretRef, path string, depth int) {
	const fix = "write {env: NAME}, {file: path} or {exec: [command, argument]} instead"
	if n.Kind != yaml.MappingNode {
		d.problem(n, path, "a secret must not stand in this file", fix)
		return
	}
	d.mapping(n, reflect.ValueOf(out).Elem(), path, depth)
	set := 0
	for _, k := range []string{"env", "file", "exec"} {
		if d.has(join(path, k)) {
			set++
		}
	}
	if set != 1 && !d.troubledBelow(path) {
		d.problem(n, path, fmt.Sprintf("it names %d places for one secret", set), fix)
	}
	if out.Env != "" && !envName.MatchString(out.Env) {
		// Not repeated: it may be the secret itself.
		d.problem(n, join(path, "env"), "it is not the name of an environment variable", "write a name of letters, digits and underscores, without $")
	}
	if d.has(join(path, "exec")) && (len(out.Exec) == 0 || out.Exec[0] == "") && !d.troubledBelow(path) {
		d.problem(n, join(path, "exec"), "it names no command", "write [command, argument]")
	}
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// quoted prints a foreign word safely and briefly.
func quoted(s string) string { return strconv.Quote(printable(s)) }

// printable cuts a foreign word down to what a message line can hold.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "..."
	}
	return s
}
