// Command lab runs a real Kafka cluster by hand until Ctrl-C:
//
//	go run ./internal/testbed/lab -version 3.9 -brokers 1 -port 19092
//
// It prints the bootstrap addresses on standard output when the cluster takes
// requests. The data is removed at the end unless -data names a directory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/kferry/kferry/internal/testbed"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	version := flag.String("version", string(testbed.V39), "Kafka `release`: 2.8, 3.9 or 4.3")
	config := configLines{}
	var o testbed.Options
	flag.IntVar(&o.Brokers, "brokers", 1, "number of brokers")
	flag.IntVar(&o.Port, "port", 0, "`port` of the first broker, the others follow; 0 chooses free ones")
	flag.IntVar(&o.HeapMB, "heap", 0, "Java heap of a broker in `MB` (default 512)")
	flag.BoolVar(&o.Benchmark, "benchmark", false, "full JIT and G1 instead of a quick start")
	flag.StringVar(&o.DataDir, "data", "", "keep data and logs in this `directory`")
	flag.Var(config, "config", "`key=value` line of server.properties, repeatable")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flag.Arg(0))
	}
	v, err := testbed.ParseVersion(*version)
	if err != nil {
		return err
	}
	o.Version, o.Config = v, config
	c, err := testbed.Start(ctx, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "kafka %s is up, log of the first broker: %s; Ctrl-C stops it\n", v, c.Broker(0).LogFile())
	fmt.Println(c.Bootstrap())
	<-ctx.Done()
	return c.Close()
}

// configLines collects -config key=value flags.
type configLines map[string]string

func (c configLines) String() string { return "" }

func (c configLines) Set(line string) error {
	k, v, ok := strings.Cut(line, "=")
	if !ok || k == "" {
		return errors.New("want key=value")
	}
	c[k] = v
	return nil
}
