package testbed

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// mountDisk mounts a tmpfs of that many MiB at dir.
func mountDisk(dir string, megabytes int) (unmount func(), err error) {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", megabytes)); err != nil {
		return nil, fmt.Errorf("mount a tmpfs of %d MB at %s: %w: a full disk can be tried only where tmpfs may be mounted, as root outside of most containers",
			megabytes, dir, err)
	}
	return func() { syscall.Unmount(dir, syscall.MNT_DETACH) }, nil
}

// unmountBelow detaches what a process that was killed left mounted below dir.
func unmountBelow(dir string) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			syscall.Unmount(fields[1], syscall.MNT_DETACH)
		}
	}
}

// ballast is the file that fills a disk. Kafka leaves a file alone that is not a directory.
func (b *Broker) ballast() string { return filepath.Join(b.dataDir(), "ballast.tmp") }

// FillDisk writes a file beside the broker's logs until no byte is free any more. It needs Options.DiskMB.
func (b *Broker) FillDisk() error {
	if b.cluster.options.DiskMB == 0 {
		return fmt.Errorf("fill the disk of broker %d: it has none of its own, set Options.DiskMB", b.ID)
	}
	f, err := os.OpenFile(b.ballast(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("fill the disk of broker %d: %w", b.ID, err)
	}
	defer f.Close()
	for _, size := range []int64{1 << 20, 4 << 10, 1} {
		for err = nil; err == nil; {
			_, err = io.CopyN(f, zeros{}, size)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("fill the disk of broker %d: %w", b.ID, err)
		}
	}
	return nil
}

// FreeDisk removes what FillDisk wrote.
func (b *Broker) FreeDisk() error {
	if err := os.Remove(b.ballast()); err != nil {
		return fmt.Errorf("free the disk of broker %d: %w", b.ID, err)
	}
	return nil
}

// zeros reads zeros without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
