package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v4"
)

var decimal = regexp.MustCompile(`^[-+]?[0-9][0-9_]*$`)

// scalar decodes one word into v and checks the range and the allowed words of its field.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, f field, path string) {
	if n.Kind != yaml.ScalarNode {
		d.problem(n, path, "it must be a single value, not "+kindName(n), "write it behind the colon")
		return
	}
	if !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}, n.Tag) {
		d.problem(n, path, "YAML tags are not supported", "put the value in quotes if it begins with !")
		return
	}
	if v.Kind() == reflect.Bool && n.Tag != "!!bool" {
		d.problem(n, path, "it is neither true nor false", "write true or false")
		return
	}
	pattern, isPattern := v.Addr().Interface().(*Pattern)
	if known, ok := d.patterns[n.Value]; ok && isPattern {
		*pattern = known
		return
	}
	if err := setScalar(v, n.Value); err != nil {
		what, fix := cutFix(err)
		d.problem(n, path, what, fix)
		return
	}
	if isPattern {
		d.patterns[n.Value] = *pattern
	}
	if err := f.check(v); err != nil {
		what, fix := cutFix(err)
		d.problem(n, path, what, fix)
	}
}

// cutFix divides "what is wrong: what to do" at the last colon.
func cutFix(err error) (what, fix string) {
	s := err.Error()
	if i := strings.LastIndex(s, ": "); i >= 0 {
		return s[:i], s[i+2:]
	}
	return s, ""
}

// setScalar parses s as v's type asks. Errors read "what is wrong: what to do".
func setScalar(v reflect.Value, s string) error {
	switch x := v.Addr().Interface().(type) {
	case *Pattern:
		p, err := ParsePattern(s)
		if err != nil {
			return err
		}
		*x = p
		return nil
	case *time.Duration:
		dur, err := parseDuration(s)
		*x = dur
		return err
	case *Bytes:
		b, err := ParseBytes(s)
		*x = b
		return err
	case *CountPolicy:
		return setCountPolicy(x, s)
	}
	switch v.Kind() {
	case reflect.String:
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return errors.New("it holds control characters or line breaks: write it on one line")
		}
		v.SetString(s)
	case reflect.Bool:
		v.SetBool(strings.EqualFold(s, "true") || s == "yes" || s == "on")
	case reflect.Int64:
		if !decimal.MatchString(s) {
			return fmt.Errorf("%s is not a whole number: write decimal digits", quoted(s))
		}
		i, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 64)
		if err != nil {
			return fmt.Errorf("%s is too large a number: write a smaller one", quoted(s))
		}
		v.SetInt(i)
	default:
		panic("config: no decoder for " + v.Type().String())
	}
	return nil
}

func setCountPolicy(c *CountPolicy, s string) error {
	if s == "source" {
		*c = CountPolicy{Exact: true}
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 32767 {
		return fmt.Errorf("%s is neither a number from 1 to 32767 nor the word source: write one of them", quoted(s))
	}
	*c = CountPolicy{Number: n}
	return nil
}
