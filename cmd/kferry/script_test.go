package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kferry/kferry/internal/demo"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kferry": main})
}

// TestScripts runs testdata/script: kferry as a process against two embedded clusters of its own for each script,
// at $SOURCE and $TARGET. Nobody listens at $NOBODY; who listens at $SILENT never answers.
//
//	exits CODE kferry ARGS...      runs kferry and wants this exit code; stdout and stderr can then be looked at
//	shows PATTERN kferry ARGS...   runs kferry until stdout matches, for 30 seconds
//	topic CLUSTER NAME PARTITIONS  creates a topic
//	produce CLUSTER NAME N [AGO]   writes N records, spread over the partitions, with a time that long ago
//	commit NAME GROUP              reads all of a topic of the source as a group, and leaves
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setUpClusters,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "shows": shows, "topic": createTopic, "produce": produce, "commit": commitAll,
		},
	})
}

type clusterKey string

func setUpClusters(env *testscript.Env) error {
	for _, name := range []string{"SOURCE", "TARGET"} {
		c, err := demo.NewCluster(strings.ToLower(name)+"-cluster", 1)
		if err != nil {
			return err
		}
		env.Defer(c.Close)
		env.Values[clusterKey(name)] = c
		env.Setenv(name, strings.Join(c.ListenAddrs(), ","))
	}
	// A port that was free a moment ago and is not listened on now.
	gone, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		return err
	}
	env.Setenv("NOBODY", gone.ListenAddrs()[0])
	gone.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	env.Defer(func() { silent.Close() })
	env.Setenv("SILENT", silent.Addr().String())
	return nil
}

func shows(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: shows pattern command ...")
	}
	pattern := regexp.MustCompile(args[0])
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("never showed %s", pattern)
		}
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command ...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		got = e.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func clusterOf(ts *testscript.TestScript, name string) *kfake.Cluster {
	c, ok := ts.Value(clusterKey(name)).(*kfake.Cluster)
	if !ok {
		ts.Fatalf("no cluster %s", name)
	}
	return c
}

func createTopic(ts *testscript.TestScript, _ bool, args []string) {
	partitions, err := strconv.ParseInt(args[2], 10, 32)
	ts.Check(err)
	configs := map[string]string{}
	for _, a := range args[3:] {
		k, v, _ := strings.Cut(a, "=")
		configs[k] = v
	}
	ts.Check(clusterOf(ts, args[0]).CreateTopic(args[1], int32(partitions), configs))
}

func produce(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	cl, err := kgo.NewClient(kgo.SeedBrokers(clusterOf(ts, args[0]).ListenAddrs()...), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	ts.Check(err)
	defer cl.Close()
	at := time.Now()
	if len(args) > 3 {
		ago, err := time.ParseDuration(args[3])
		ts.Check(err)
		at = at.Add(-ago)
	}
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{Topic: args[1], Key: fmt.Appendf(nil, "key-%d", i), Value: fmt.Appendf(nil, "value-%d", i), Timestamp: at})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ts.Check(cl.ProduceSync(ctx, records...).FirstErr())
}

func commitAll(ts *testscript.TestScript, _ bool, args []string) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(clusterOf(ts, "SOURCE").ListenAddrs()...), kgo.ConsumerGroup(args[1]),
		kgo.ConsumeTopics(args[0]), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	ts.Check(err)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ts.Check(cl.PollFetches(ctx).Err())
	ts.Check(cl.CommitUncommittedOffsets(ctx))
}
