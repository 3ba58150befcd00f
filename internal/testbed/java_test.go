package testbed

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// aptWorld is a PATH that holds nothing but an apt-get with that script.
func aptWorld(t *testing.T, script string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	t.Setenv("TMPDIR", t.TempDir()) // for the lock
	t.Setenv("PATH", dir)
	if script != "" {
		script = "#!/bin/sh\ncd " + dir + "\necho \"$@\" >>calls\n" + script
		if err := os.WriteFile(filepath.Join(dir, "apt-get"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const installAll = `for tool in java javac mvn; do echo >$tool; /bin/chmod +x $tool; done`

func TestMissingToolsAreInstalledByRootOnDebian(t *testing.T) {
	for name, script := range map[string]string{
		"named JDK":   `test "$1" = update || ` + installAll,
		"default JDK": `case "$*" in *openjdk-17*) exit 1;; *default-jdk*) ` + installAll + `;; esac`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := aptWorld(t, script)
			if err := ensureTools(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			calls, err := os.ReadFile(filepath.Join(dir, "calls"))
			if err != nil || !strings.HasPrefix(string(calls), "update") || !strings.Contains(string(calls), "maven") {
				t.Errorf("apt-get was called with %q, %v", calls, err)
			}
		})
	}
}

func TestMissingToolsAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		root   bool
		want   string
	}{
		"not root":          {installAll, false, "sudo apt-get install openjdk-17-jdk-headless maven"},
		"no apt-get":        {"", true, "java and javac and mvn not found"},
		"apt-get fails":     {"echo no network; exit 100", true, "no network"},
		"nothing to be had": {"exit 0", true, "still not found"},
	} {
		t.Run(name, func(t *testing.T) {
			aptWorld(t, c.script)
			if err := ensureTools(t.Context(), c.root); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}
