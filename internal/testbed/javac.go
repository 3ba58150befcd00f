package testbed

import (
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed java/*.java
var driverSources embed.FS

// driverPath is the class path of the Java programs: the jars' cp and their own
// classes. They are compiled once per version and content of the sources, next
// to the jars: compiling takes longer than most runs.
func driverPath(ctx context.Context, jars, cp string) (string, error) {
	sources, id, err := readDriverSources()
	if err != nil {
		return "", err
	}
	classes := jars + "-java-" + id
	whole := cp + string(filepath.ListSeparator) + classes
	if isDir(classes) {
		return whole, nil
	}
	unlock, err := lockFile(ctx, classes+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if isDir(classes) { // another process was faster
		return whole, nil
	}
	return whole, compileDrivers(ctx, cp, sources, classes)
}

func readDriverSources() (sources map[string][]byte, id string, err error) {
	entries, err := driverSources.ReadDir("java")
	if err != nil {
		return nil, "", fmt.Errorf("list the embedded Java sources: %w", err)
	}
	sources = map[string][]byte{}
	sum := sha256.New()
	for _, e := range entries { // sorted by name
		b, err := driverSources.ReadFile("java/" + e.Name())
		if err != nil {
			return nil, "", fmt.Errorf("read the embedded %s: %w", e.Name(), err)
		}
		sources[e.Name()] = b
		sum.Write(b)
	}
	return sources, fmt.Sprintf("%x", sum.Sum(nil)[:6]), nil
}

// compileDrivers compiles aside and renames, so that dir exists only complete.
func compileDrivers(ctx context.Context, cp string, sources map[string][]byte, dir string) error {
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "javac-")
	if err != nil {
		return fmt.Errorf("make a directory for the Java programs: %w", err)
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, "classes")
	args := []string{"--release", "17", "-cp", cp, "-d", out}
	for name, source := range sources {
		file := filepath.Join(tmp, name)
		if err := os.WriteFile(file, source, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		args = append(args, file)
	}
	if printed, err := exec.CommandContext(ctx, "javac", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("compile the Java programs: %w: %s", err, lastLines(string(printed), 20))
	}
	if err := os.Rename(out, dir); err != nil {
		return fmt.Errorf("move the compiled Java programs into place: %w", err)
	}
	return nil
}
