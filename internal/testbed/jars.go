package testbed

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

//go:embed jars/*.pom.xml
var poms embed.FS

// Jars returns the directory that holds the jars of v: broker, tools, and from
// 3.9 on Connect and MirrorMaker 2. The first call on a machine fetches them
// through Maven into $XDG_CACHE_HOME/kferry/kafka-<version> (or ~/.cache/...);
// parallel test processes wait for one another.
func Jars(ctx context.Context, v Version) (string, error) {
	if err := v.check(); err != nil {
		return "", err
	}
	if err := toolchain(ctx); err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "kafka-"+string(v))
	if isDir(dir) {
		return dir, nil
	}
	unlock, err := lockFile(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if isDir(dir) { // another process was faster
		return dir, nil
	}
	return dir, fetchJars(ctx, v, cache, dir)
}

// fetchJars lets Maven copy the jars next to dir and renames them into place,
// so that dir exists only when it is complete.
func fetchJars(ctx context.Context, v Version, cache, dir string) error {
	tmp, err := os.MkdirTemp(cache, "fetch-"+string(v)+"-")
	if err != nil {
		return fmt.Errorf("make a directory for the kafka jars: %w", err)
	}
	defer os.RemoveAll(tmp)
	pom, err := poms.ReadFile("jars/kafka-" + string(v) + ".pom.xml")
	if err != nil {
		return fmt.Errorf("read the embedded pom of kafka %s: %w", v, err)
	}
	pomFile := filepath.Join(tmp, "pom.xml")
	if err := os.WriteFile(pomFile, pom, 0o644); err != nil {
		return fmt.Errorf("write the pom of kafka %s: %w", v, err)
	}
	lib := filepath.Join(tmp, "lib")
	fmt.Fprintf(os.Stderr, "testbed: fetching the jars of kafka %s through maven into %s\n", v, dir)
	if err := runMaven(ctx, pomFile, lib); err != nil {
		return fmt.Errorf("fetch the jars of kafka %s: %w", v, err)
	}
	if err := os.Rename(lib, dir); err != nil {
		return fmt.Errorf("move the jars of kafka %s into place: %w", v, err)
	}
	fmt.Fprintf(os.Stderr, "testbed: jars of kafka %s are there\n", v)
	return nil
}

// runMaven runs dependency:copy-dependencies, and twice more when it fails:
// a fresh machine downloads a hundred files, and one of them may stall.
func runMaven(ctx context.Context, pom, lib string) error {
	const tries = 3
	for try := 1; ; try++ {
		cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies",
			"-DoutputDirectory="+lib, "-DincludeScope=runtime")
		out, err := cmd.CombinedOutput()
		if err == nil {
			return nil
		}
		if try == tries || ctx.Err() != nil {
			return fmt.Errorf("mvn dependency:copy-dependencies, try %d of %d: %w: %s", try, tries, err, lastLines(string(out), 8))
		}
		fmt.Fprintf(os.Stderr, "testbed: maven did not finish (try %d of %d), once more\n", try, tries)
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(try) * 2 * time.Second):
		}
	}
}

// classPath lists the jars of a directory with slf4j-simple first: some releases
// bring a second logging backend that prints nothing without a configuration,
// and Java's own wildcard takes the jars in any order.
func classPath(dir string) (string, error) {
	jars, err := filepath.Glob(filepath.Join(dir, "*.jar"))
	if err != nil || len(jars) == 0 {
		return "", fmt.Errorf("list the jars in %s: found %d (%v); remove the directory to fetch them again", dir, len(jars), err)
	}
	backend := func(jar string) bool { return strings.HasPrefix(filepath.Base(jar), "slf4j-simple-") }
	slices.SortStableFunc(jars, func(a, b string) int { // Glob sorts by name
		switch {
		case backend(a) && !backend(b):
			return -1
		case backend(b) && !backend(a):
			return 1
		}
		return 0
	})
	return strings.Join(jars, string(filepath.ListSeparator)), nil
}

func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory for the kafka jars: %w; set XDG_CACHE_HOME", err)
	}
	dir := filepath.Join(base, "kferry")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the cache directory for the kafka jars: %w", err)
	}
	return dir, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
