package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// field is what a struct field's tags say about one key of the file.
type field struct {
	name     string // yaml
	index    int
	required bool
	// bare allows the key without a value, for blocks that need no setting ("mskIAM:").
	bare     bool
	enum     []string
	later    []string // words that are planned
	min, max string
	pattern  string // "id" is the only one
	def      string // default, as it would stand in the file
}

// idPattern is what Kafka allows in topic names, as ids become part of them.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// fields lists the keys of a struct type in their order.
func fields(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		name := tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		f := field{
			name: name, index: i, required: tag.Get("required") == "true", bare: tag.Get("bare") == "true",
			min: tag.Get("min"), max: tag.Get("max"), pattern: tag.Get("pattern"), def: tag.Get("default"),
		}
		if e := tag.Get("enum"); e != "" {
			f.enum = strings.Split(e, ",")
		}
		if l := tag.Get("later"); l != "" {
			f.later = strings.Split(l, ",")
		}
		out = append(out, f)
	}
	return out
}

func keys(t reflect.Type) []string {
	var out []string
	for _, f := range fields(t) {
		out = append(out, f.name)
	}
	return out
}

// setDefaults fills a struct with its tags' defaults, nested structs included; pointers stay nil.
func setDefaults(v reflect.Value) {
	for _, f := range fields(v.Type()) {
		fv := v.Field(f.index)
		switch {
		case f.def != "" && fv.Kind() == reflect.Slice:
			one := reflect.MakeSlice(fv.Type(), 1, 1)
			mustSet(one.Index(0), f)
			fv.Set(one)
		case f.def != "" && fv.Kind() != reflect.Pointer:
			mustSet(fv, f)
		case fv.Kind() == reflect.Struct:
			setDefaults(fv)
		}
	}
}

// mustSet parses a tag's default; a wrong tag is a mistake of this package that any test run shows.
func mustSet(v reflect.Value, f field) {
	if err := setScalar(v, f.def); err != nil {
		panic(fmt.Sprintf("config: default of %s: %v", f.name, err))
	}
}

// check tells whether a decoded scalar is one of the allowed words and within the range.
func (f field) check(v reflect.Value) error {
	if v.Kind() == reflect.String {
		s := v.String()
		switch {
		case s == "":
			return fmt.Errorf("it is empty: write a value or remove the key")
		case f.pattern == "id" && !idPattern.MatchString(s):
			return fmt.Errorf("%s cannot be part of Kafka names: use letters, digits, dot, dash and underscore, beginning with a letter or digit, at most 100", quoted(s))
		case slices.Contains(f.later, s):
			return fmt.Errorf("%s is planned but not built yet: write %s", s, strings.Join(f.enum, " or "))
		case len(f.enum) > 0 && !slices.Contains(f.enum, s):
			return fmt.Errorf("%s is not one of the words allowed here: write %s", quoted(s), strings.Join(f.enum, " or "))
		}
		return nil
	}
	if f.min == "" || v.Kind() != reflect.Int64 {
		return nil
	}
	lo, hi := reflect.New(v.Type()).Elem(), reflect.New(v.Type()).Elem()
	mustSet(lo, field{name: f.name, def: f.min})
	mustSet(hi, field{name: f.name, def: f.max})
	if v.Int() < lo.Int() || v.Int() > hi.Int() {
		return fmt.Errorf("%s is out of range: write %s to %s", show(v), f.min, f.max)
	}
	return nil
}

func show(v reflect.Value) string {
	if d, ok := v.Interface().(time.Duration); ok {
		return d.String()
	}
	return fmt.Sprint(v.Interface())
}
