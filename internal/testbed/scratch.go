package testbed

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

const scratchPrefix = "kferry-testbed-"

// scratchDir makes a temporary directory that holds a locked file for as long
// as this process lives. Directories whose lock is free were left by a process
// that was killed, and are removed here: brokers write gigabytes.
func scratchDir(name string) (dir string, remove func(), err error) {
	sweepOnce.Do(sweepScratch)
	dir, err = os.MkdirTemp("", scratchPrefix+name+"-")
	if err != nil {
		return "", nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	unlock, err := tryLockFile(filepath.Join(dir, "owner.lock"))
	if err != nil {
		os.RemoveAll(dir)
		return "", nil, err
	}
	return dir, func() {
		os.RemoveAll(dir)
		unlock()
	}, nil
}

var sweepOnce sync.Once

func sweepScratch() {
	entries, err := os.ReadDir(os.TempDir())
	if err != nil {
		return // nothing to sweep is not worth a failed test
	}
	for _, e := range entries {
		lock := filepath.Join(os.TempDir(), e.Name(), "owner.lock")
		if !strings.HasPrefix(e.Name(), scratchPrefix) || !exists(lock) {
			continue
		}
		unlock, err := tryLockFile(lock)
		if err != nil {
			continue // its owner lives, or it is not ours
		}
		unmountBelow(filepath.Dir(lock))
		os.RemoveAll(filepath.Dir(lock))
		unlock()
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
