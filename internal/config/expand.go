package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf16"

	"github.com/kferry/kferry/internal/kafka"
)

// decodeUTF16 joins surrogate pairs as Java does.
func decodeUTF16(units []uint16) string {
	if len(units) == 0 {
		return ""
	}
	return string(utf16.Decode(units))
}

// reference is ${provider:path:key} or ${provider:key}, the form of Kafka's config providers (KIP-297).
var reference = regexp.MustCompile(`\$\{([^}:]*):(?:([^}:]*):)?([^}]*)\}`)

// providers maps the names usable in references to what they do. Without config.providers the usual three
// names work; Java clients need them declared.
func (p *Properties) providers() map[string]string {
	out := map[string]string{"file": "file", "env": "env", "directory": "directory"}
	for _, name := range splitList(p.get("config.providers")) {
		class := p.get("config.providers." + name + ".class")
		switch class[strings.LastIndexByte(class, '.')+1:] {
		case "FileConfigProvider":
			out[name] = "file"
		case "EnvVarConfigProvider":
			out[name] = "env"
		case "DirectoryConfigProvider":
			out[name] = "directory"
		default:
			out[name] = class
		}
	}
	return out
}

// expanded returns a copy in which every reference is replaced by what it refers to. Problems name the
// reference, never a value.
func (p *Properties) expanded() (*Properties, Problems) {
	known := p.providers()
	out := &Properties{path: p.path, index: p.index, entries: make([]property, len(p.entries))}
	var problems Problems
	for i, e := range p.entries {
		out.entries[i] = e
		out.entries[i].value = kafka.NewSecret(reference.ReplaceAllStringFunc(e.text(), func(ref string) string {
			m := reference.FindStringSubmatch(ref)
			kind, ok := known[m[1]]
			if !ok { // not a provider's name: Java leaves it as it is
				return ref
			}
			v, err := p.follow(kind, m[2], m[3])
			if err != nil {
				what, fix := cutFix(err)
				problems = append(problems, &Problem{File: p.path, Line: e.line, Path: printable(e.key), What: fmt.Sprintf("reference %s: %s", printable(ref), what), Fix: fix})
			}
			return v
		}))
	}
	return out, problems
}

// follow reads one referenced value. Its errors read "what is wrong: what to do".
func (p *Properties) follow(kind, path, key string) (string, error) {
	switch kind {
	case "env":
		v, ok := os.LookupEnv(key)
		if !ok {
			return "", fmt.Errorf("environment variable %s is not set: export it before starting kferry", printable(key))
		}
		return v, nil
	case "file":
		file := javaPath(p.path, path)
		props, _, problems := readPropertiesFile(file)
		if len(problems) > 0 {
			return "", fmt.Errorf("%s: %s: %s", file, problems[0].What, problems[0].Fix)
		}
		if !props.has(key) {
			return "", fmt.Errorf("%s has no key %s: add it", file, printable(key))
		}
		return props.entries[props.index[key]].text(), nil
	case "directory":
		if key != filepath.Base(key) || key == "." || key == ".." {
			return "", fmt.Errorf("%s is not a file name: name a file of the directory", printable(key))
		}
		file := filepath.Join(javaPath(p.path, path), key)
		data, err := readSecretFile(file)
		if err != nil {
			return "", fmt.Errorf("read %s: %w", file, err)
		}
		return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
	}
	return "", fmt.Errorf("its config provider (class %s) is not known: use file, env or directory", printable(kind))
}

// javaPath finds a path of a properties file. Java takes it relative to the working directory; where nothing
// is there, it is looked for beside the properties file.
func javaPath(propertiesFile, path string) string {
	path = strings.TrimPrefix(path, "file:")
	if strings.HasPrefix(path, "//") {
		path = "/" + strings.TrimLeft(path, "/")
	}
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	if _, err := os.Stat(path); err == nil {
		return path
	}
	return filepath.Join(filepath.Dir(propertiesFile), path)
}
