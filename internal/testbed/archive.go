package testbed

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Loading and verifying classes is half of the CPU time that a broker needs to
// start. Java can map them from an archive instead, which is made once per
// release and Java installation by running a broker: 2.5 s of CPU become 1.5 s.

// archiveFlags returns the flags that make the programs of v start from the
// class archive, and makes the archive if there is none yet. Where that does
// not work it is said once, and everything runs without.
func archiveFlags(ctx context.Context, v Version, jars, classPath string) ([]string, error) {
	file, err := archiveFile(jars)
	if err != nil {
		return nil, err
	}
	if !exists(file) {
		if err := makeArchive(ctx, v, file, classPath); err != nil {
			return nil, err
		}
	}
	info, err := os.Stat(file)
	if err != nil || info.Size() == 0 { // empty: could not be made
		return nil, err
	}
	return []string{"-XX:SharedArchiveFile=" + file, "-Xlog:cds=off", "-Xlog:cds+dynamic=off"}, nil
}

// archiveFile names the archive for the Java installation in the path: an
// archive of another one would be ignored.
func archiveFile(jars string) (string, error) {
	java, err := exec.LookPath("java")
	if err == nil {
		java, err = filepath.EvalSymlinks(java)
	}
	if err != nil {
		return "", fmt.Errorf("find java: %w", err)
	}
	info, err := os.Stat(java)
	if err != nil {
		return "", fmt.Errorf("find java: %w", err)
	}
	id := sha256.Sum256(fmt.Appendf(nil, "%s %d %v", java, info.Size(), info.ModTime().UnixNano()))
	return fmt.Sprintf("%s-%x.jsa", jars, id[:6]), nil
}

// makeArchive makes the archive aside and renames it.
func makeArchive(ctx context.Context, v Version, file, classPath string) error {
	unlock, err := lockFile(ctx, file+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if exists(file) { // another process was faster
		return nil
	}
	tmp := file + ".tmp"
	defer os.Remove(tmp)
	fmt.Fprintf(os.Stderr, "testbed: making a class archive of kafka %s, once\n", v)
	if err := dumpClasses(ctx, v, tmp, classPath); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Fprintf(os.Stderr, "testbed: kafka %s will start without a class archive: %v\n", v, err)
		if err := os.WriteFile(tmp, nil, 0o644); err != nil {
			return fmt.Errorf("note that there is no class archive: %w", err)
		}
	}
	if err := os.Rename(tmp, file); err != nil {
		return fmt.Errorf("move the class archive into place: %w", err)
	}
	return nil
}

// dumpClasses runs a broker that writes the classes it has loaded when it stops.
func dumpClasses(ctx context.Context, v Version, file, classPath string) error {
	o, err := Options{Version: v}.withDefaults()
	if err != nil {
		return err
	}
	c := &Cluster{Version: v, options: o, classPath: classPath, dump: []string{"-XX:ArchiveClassesAtExit=" + file}}
	defer c.Close()
	if err := c.start(ctx); err != nil {
		return err
	}
	if err := c.Broker(0).process().stop(2 * time.Minute); err != nil {
		return err
	}
	_, err = os.Stat(file)
	return err
}
