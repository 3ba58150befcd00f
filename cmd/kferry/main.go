// Command kferry carries live Kafka topics from one cluster to another with the same offsets.
//
// One file holds one command, all of one shape: a constructor, an options struct, its flags, and
// runX(ctx, opts, streams). What a command does is in internal; here flags become options and results become
// output and exit codes.
package main

import (
	"os"
	"runtime/debug"

	"github.com/kferry/kferry/internal/kafka"
)

// collectAt is how much garbage, in percent of what is in use, may pile up before it is collected: a copy holds
// tens of megabytes of buffers and makes little garbage, so a low figure costs next to nothing and keeps memory
// near its budget.
const collectAt = 20

// version is set by the linker for releases.
var version string

func main() {
	if version != "" {
		kafka.Version = version
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	os.Exit(run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}
