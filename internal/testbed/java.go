package testbed

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// toolchain makes sure that java, javac and mvn can be run. On a Debian machine as
// root it installs what is missing and says so in one line; elsewhere the
// error names what to install.
func toolchain(ctx context.Context) error { return ensureTools(ctx, os.Geteuid() == 0) }

func ensureTools(ctx context.Context, root bool) error {
	installing.Lock()
	defer installing.Unlock()
	missing := missingTools()
	if len(missing) == 0 {
		return nil
	}
	_, aptErr := exec.LookPath("apt-get")
	if !root || aptErr != nil {
		return fmt.Errorf("%s not found: install a JDK (17 or newer) and Maven, on Debian: sudo apt-get install openjdk-17-jdk-headless maven",
			strings.Join(missing, " and "))
	}
	fmt.Fprintf(os.Stderr, "testbed: %s not found, installing a JDK and Maven with apt-get\n", strings.Join(missing, " and "))
	unlock, err := lockFile(ctx, lockPath("apt"))
	if err != nil {
		return err
	}
	defer unlock()
	if err := aptInstall(ctx); err != nil {
		return err
	}
	if missing := missingTools(); len(missing) > 0 {
		return fmt.Errorf("%s still not found after apt-get install: install a JDK (17 or newer) and Maven by hand", strings.Join(missing, " and "))
	}
	return nil
}

// installing keeps two clusters of one process from installing at once.
var installing sync.Mutex

func missingTools() (missing []string) {
	for _, tool := range []string{"java", "javac", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
		}
	}
	return missing
}

// aptInstall tries the JDK that Debian 12 names first, then whatever the
// distribution calls its default.
func aptInstall(ctx context.Context) error {
	var out []byte
	run := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		b, err := cmd.CombinedOutput()
		out = b
		return err
	}
	install := []string{"install", "-y", "-q", "--no-install-recommends"}
	if err := run("update", "-q"); err != nil {
		return fmt.Errorf("apt-get update: %w: %s", err, lastLines(string(out), 5))
	}
	if run(append(install, "openjdk-17-jdk-headless", "maven")...) == nil {
		return nil
	}
	if err := run(append(install, "default-jdk-headless", "maven")...); err != nil {
		return fmt.Errorf("apt-get install default-jdk-headless maven: %w: %s", err, lastLines(string(out), 5))
	}
	return nil
}
