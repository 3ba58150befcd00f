package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	yaml "go.yaml.in/yaml/v4"
)

// publishedSchema is where users find the schema; the embedded file is the same.
const publishedSchema = "../../docs/migration.schema.json"

func TestSchemaIsUpToDate(t *testing.T) {
	b := schemaBuilder{comments: readComments(t, "migration.go", "flow.go", "secret.go"), defs: map[string]any{}}
	root := b.object(reflect.TypeFor[Migration]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "kferry migration.yaml"
	root["description"] = "The clusters of a migration and what flows between them."
	root["$defs"] = b.defs
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		t.Fatal(err)
	}
	if *update {
		for _, path := range []string{"migration.schema.json", publishedSchema} {
			if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	published, err := os.ReadFile(publishedSchema)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), Schema()) || !bytes.Equal(out.Bytes(), published) {
		t.Error("the schema does not fit the structs: run go generate ./internal/config")
	}
}

// readComments collects the comments of struct types and fields by "Type" and "Type.Field".
func readComments(t *testing.T, files ...string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				ts, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				st, ok := ts.Type.(*ast.StructType)
				if !ok {
					continue
				}
				out[ts.Name.Name] = oneLineComment(gen.Doc)
				for _, f := range st.Fields.List {
					for _, n := range f.Names {
						out[ts.Name.Name+"."+n.Name] = oneLineComment(f.Doc)
					}
				}
			}
		}
	}
	return out
}

func oneLineComment(c *ast.CommentGroup) string {
	s := strings.Join(strings.Fields(c.Text()), " ")
	return strings.NewReplacer("[", "", "]", "").Replace(s)
}

// schemaBuilder turns the struct types into JSON Schema.
type schemaBuilder struct {
	comments map[string]string
	defs     map[string]any
}

func (b *schemaBuilder) object(t reflect.Type) map[string]any {
	props, required := map[string]any{}, []string{}
	for _, f := range fields(t) {
		sf := t.Field(f.index)
		s := b.field(f, sf.Type)
		if c := b.comments[t.Name()+"."+sf.Name]; c != "" {
			if f.min != "" && sf.Type == reflect.TypeFor[time.Duration]() || sf.Type == reflect.TypeFor[Bytes]() {
				c += fmt.Sprintf(" From %s to %s.", f.min, f.max)
			}
			s["description"] = c
		}
		props[f.name] = s
		if f.required {
			required = append(required, f.name)
		}
	}
	o := map[string]any{"type": "object", "properties": props, "additionalProperties": false}
	if len(required) > 0 {
		o["required"] = required
	}
	switch t {
	case reflect.TypeFor[Auth]():
		o["minProperties"], o["maxProperties"] = 1, 1
	case reflect.TypeFor[SecretRef]():
		o["minProperties"], o["maxProperties"] = 1, 1
		props["env"].(map[string]any)["pattern"] = envName.String()
	case reflect.TypeFor[Cluster]():
		o["anyOf"] = []any{map[string]any{"required": []string{"bootstrapServers"}}, map[string]any{"required": []string{"properties"}}}
	}
	return o
}

func (b *schemaBuilder) field(f field, t reflect.Type) map[string]any {
	s := b.typ(f, t)
	if f.bare {
		s = map[string]any{"anyOf": []any{s, map[string]any{"type": "null"}}}
	}
	switch {
	case f.def == "":
	case t.Kind() == reflect.Slice:
		s["default"] = []string{f.def}
	case t.Kind() == reflect.Bool || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Bool:
		s["default"] = f.def == "true"
	case t == reflect.TypeFor[int64](), t == reflect.TypeFor[Bytes]() && f.def == "0":
		n, err := strconv.ParseInt(f.def, 10, 64)
		if err != nil {
			panic(err)
		}
		s["default"] = n
	default:
		s["default"] = f.def
	}
	return s
}

func (b *schemaBuilder) typ(f field, t reflect.Type) map[string]any {
	text := func(extra ...any) map[string]any {
		m := map[string]any{"type": "string", "minLength": 1}
		for i := 0; i < len(extra); i += 2 {
			m[extra[i].(string)] = extra[i+1]
		}
		return m
	}
	switch t {
	case reflect.TypeFor[time.Duration]():
		return text("pattern", `^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$`)
	case reflect.TypeFor[Bytes]():
		return map[string]any{"anyOf": []any{map[string]any{"type": "integer", "minimum": 0},
			text("pattern", `^[0-9]+(\.[0-9]+)? ?([KMGT]i?B|kB|B)?$`)}}
	case reflect.TypeFor[CountPolicy]():
		return map[string]any{"anyOf": []any{map[string]any{"type": "integer", "minimum": 1, "maximum": 32767}, map[string]any{"const": "source"}}}
	case reflect.TypeFor[Pattern]():
		return text("maxLength", maxPatternLen)
	case reflect.TypeFor[StringList]():
		return map[string]any{"anyOf": []any{map[string]any{"type": "array", "items": text(), "minItems": 1}, text()}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return b.typ(f, t.Elem())
	case reflect.Struct:
		if _, ok := b.defs[t.Name()]; !ok {
			b.defs[t.Name()] = nil // for types that contain themselves by way of others
			def := b.object(t)
			def["description"] = b.comments[t.Name()]
			b.defs[t.Name()] = def
		}
		return map[string]any{"$ref": "#/$defs/" + t.Name()}
	case reflect.Slice:
		s := map[string]any{"type": "array", "items": b.typ(field{}, t.Elem())}
		if f.required {
			s["minItems"] = 1
		}
		return s
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": text()}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int64:
		lo, _ := strconv.ParseInt(f.min, 10, 64)
		hi, _ := strconv.ParseInt(f.max, 10, 64)
		return map[string]any{"type": "integer", "minimum": lo, "maximum": hi}
	case reflect.String:
		switch {
		case len(f.enum) > 0:
			return map[string]any{"type": "string", "enum": f.enum}
		case f.pattern == "id":
			return text("pattern", idPattern.String())
		}
		return text()
	}
	panic("no schema for " + t.String())
}

// TestSamplesFitTheSchema checks the samples as an editor would, and that the schema refuses mistakes.
func TestSamplesFitTheSchema(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	check := func(file string) []string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var doc any
		if err := yaml.Load(text, &doc); err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		var value any
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
		return validateSchema(root, root, value, "")
	}
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, f := range files {
		if problems := check(f); len(problems) > 0 {
			t.Errorf("%s: %q", f, problems)
		}
	}
	for _, f := range []string{"unknown-keys", "secrets", "values", "auth"} {
		if problems := check("testdata/invalid/" + f + ".yaml"); len(problems) == 0 {
			t.Errorf("%s.yaml passes the schema", f)
		}
	}
}

// validateSchema knows as much of JSON Schema as the schema uses; an unknown word fails the test.
func validateSchema(root, s map[string]any, v any, path string) (problems []string) {
	if ref, ok := s["$ref"].(string); ok {
		def := root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
		return validateSchema(root, def, v, path)
	}
	bad := func(format string, args ...any) {
		problems = append(problems, path+": "+fmt.Sprintf(format, args...))
	}
	for word, arg := range s {
		switch word {
		case "$schema", "$defs", "title", "description", "default", "items", "properties", "additionalProperties":
		case "type":
			if got := jsonType(v); got != arg && (got != "integer" || arg != "number") {
				bad("is %s, not %s", got, arg)
			}
		case "const":
			if v != arg {
				bad("is not %v", arg)
			}
		case "enum":
			if !slices.Contains(arg.([]any), v) {
				bad("%v is not one of %v", v, arg)
			}
		case "pattern":
			if str, ok := v.(string); ok && !regexp.MustCompile(arg.(string)).MatchString(str) {
				bad("%q does not match %v", str, arg)
			}
		case "minLength", "maxLength", "minItems", "minProperties", "maxProperties", "minimum", "maximum":
			n, ok := measure(word, v)
			if limit := arg.(float64); ok && (strings.HasPrefix(word, "min") && n < limit || strings.HasPrefix(word, "max") && n > limit) {
				bad("%s is %v, not %v", word, n, limit)
			}
		case "required":
			m, _ := v.(map[string]any)
			for _, k := range arg.([]any) {
				if _, ok := m[k.(string)]; m != nil && !ok {
					bad("%s is missing", k)
				}
			}
		case "anyOf":
			if !slices.ContainsFunc(arg.([]any), func(a any) bool { return len(validateSchema(root, a.(map[string]any), v, path)) == 0 }) {
				bad("fits none of the forms")
			}
		default:
			bad("the test does not know the word %s", word)
		}
	}
	return append(problems, validateChildren(root, s, v, path)...)
}

func validateChildren(root, s map[string]any, v any, path string) (problems []string) {
	switch x := v.(type) {
	case []any:
		if items, ok := s["items"].(map[string]any); ok {
			for i, e := range x {
				problems = append(problems, validateSchema(root, items, e, fmt.Sprintf("%s[%d]", path, i))...)
			}
		}
	case map[string]any:
		props, _ := s["properties"].(map[string]any)
		for k, e := range x {
			if p, ok := props[k].(map[string]any); ok {
				problems = append(problems, validateSchema(root, p, e, path+"."+k)...)
				continue
			}
			switch more := s["additionalProperties"].(type) {
			case bool:
				if !more {
					problems = append(problems, path+": unknown key "+k)
				}
			case map[string]any:
				problems = append(problems, validateSchema(root, more, e, path+"."+k)...)
			}
		}
	}
	return problems
}

func jsonType(v any) string {
	switch x := v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case float64:
		if x == float64(int64(x)) {
			return "integer"
		}
		return "number"
	}
	return "object"
}

func measure(word string, v any) (float64, bool) {
	switch x := v.(type) {
	case string:
		return float64(len([]rune(x))), strings.HasSuffix(word, "Length")
	case []any:
		return float64(len(x)), strings.HasSuffix(word, "Items")
	case map[string]any:
		return float64(len(x)), strings.HasSuffix(word, "Properties")
	case float64:
		return x, strings.HasSuffix(word, "imum")
	}
	return 0, false
}

// TestDocumentationNamesEveryKey keeps docs/configuration.md complete.
func TestDocumentationNamesEveryKey(t *testing.T) {
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[reflect.Type]bool{}
	var walk func(t2 reflect.Type)
	walk = func(t2 reflect.Type) {
		for t2.Kind() == reflect.Pointer || t2.Kind() == reflect.Slice {
			t2 = t2.Elem()
		}
		if t2.Kind() != reflect.Struct || seen[t2] {
			return
		}
		seen[t2] = true
		for _, f := range fields(t2) {
			row := regexp.MustCompile("(?m)^\\| `([a-zA-Z.]+\\.)?" + f.name + "` \\|.*$").Find(text)
			if row == nil {
				t.Errorf("%s.%s has no row in docs/configuration.md", t2.Name(), f.name)
			} else if f.def != "" && !bytes.Contains(row, []byte("`"+f.def+"`")) && !strings.HasPrefix(f.name, "enabled") {
				t.Errorf("the row of %s.%s does not name its default %s: %s", t2.Name(), f.name, f.def, row)
			}
			walk(t2.Field(f.index).Type)
		}
	}
	walk(reflect.TypeFor[Migration]())
}
