// Command kferry carries live Kafka topics from one cluster to another with the same offsets.
//
// One file holds one command, all of one shape: a constructor, an options struct, its flags, and
// runX(ctx, opts, streams). What a command does is in internal; here flags become options and results become
// output and exit codes.
package main

import (
	"os"
)

func main() {
	os.Exit(run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}
