package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/testbed"
)

// flow is one flow between two clusters, with a name and topics of its own.
type flow struct {
	t              *testing.T
	name           string // of the flow, and of its groups' prefix
	prefix         string // of its topics; name
	source, target *testbed.Cluster
	from, to       *history.Writer
	file           string
	targetLine     string   // of the configuration
	extra          []string // further lines of the configuration
}

// newFlow prepares a flow. extra are further lines of its configuration, indented as there.
func newFlow(t *testing.T, source, target *testbed.Cluster, extra ...string) *flow {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-", "Test", "").Replace(t.Name()))
	f := &flow{t: t, name: name, prefix: name, extra: extra, source: source, target: target, from: seeded(t, source, 1), to: seeded(t, target, 1)}
	f.file = filepath.Join(t.TempDir(), "migration.yaml")
	f.targetLine = fmt.Sprintf(`{alias: new, bootstrapServers: "%s"}`, target.Bootstrap())
	f.configure()
	return f
}

// configure writes the configuration file.
func (f *flow) configure() {
	f.t.Helper()
	text := fmt.Sprintf(`apiVersion: kferry.io/v1alpha1
kind: Migration
metadata: {name: e2e}
spec:
  clusters:
  - {alias: old, bootstrapServers: "%s"}
  - %s
  flows:
  - name: %s
    source: old
    target: new
    topics: ["%s-.*"]
    groups: ["%s-.*"]
    topicRefreshInterval: 500ms
    groupSyncInterval: 500ms
`, f.source.Bootstrap(), f.targetLine, f.name, f.prefix, f.name)
	for _, line := range f.extra {
		text += "    " + line + "\n"
	}
	if err := os.WriteFile(f.file, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// topic is the full name of one of the flow's topics.
func (f *flow) topic(name string) string { return f.prefix + "-" + name }

// ferry is a kferry that runs.
type ferry struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr buffer
	done   chan struct{}
}

// buffer may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start starts `kferry replicate` for the flow.
func (f *flow) start(args ...string) *ferry {
	f.t.Helper()
	args = append([]string{"replicate", "-f", f.file, "-o", "json"}, args...)
	r := &ferry{t: f.t, cmd: exec.Command(binary, args...), done: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait()
		close(r.done)
	}()
	f.t.Cleanup(r.kill)
	return r
}

// kill ends it with SIGKILL.
func (r *ferry) kill() {
	_ = r.cmd.Process.Kill()
	<-r.done
}

// ended is how a kferry ended.
type ended struct {
	code   int
	report *report.Document
	stderr string
}

// stop ends it as an operator would, with SIGTERM.
func (r *ferry) stop() ended {
	r.t.Helper()
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	return r.wait(30 * time.Second)
}

// wait waits until it ends by itself. One that does not is made to print its goroutines.
func (r *ferry) wait(most time.Duration) ended {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(most):
		_ = r.cmd.Process.Signal(syscall.SIGQUIT)
		<-r.done
		r.t.Fatalf("kferry did not end within %v; standard error:\n%s", most, tail(r.stderr.String(), 20000))
	}
	e := ended{code: r.cmd.ProcessState.ExitCode(), stderr: r.stderr.String()}
	for line := range strings.SplitSeq(r.stdout.String(), "\n") {
		var event struct {
			Event  string           `json:"event"`
			Report *report.Document `json:"report"`
		}
		if json.Unmarshal([]byte(line), &event) == nil && event.Event == "end" {
			e.report = event.Report
		}
	}
	return e
}

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}

// catchUp runs kferry until the target holds what the source holds.
func (f *flow) catchUp() ended {
	f.t.Helper()
	e := f.start("--until-caught-up").wait(3 * time.Minute)
	if e.report == nil {
		f.t.Fatalf("kferry ended with code %d and no report; standard error:\n%s", e.code, tail(e.stderr, 5000))
	}
	return e
}

// mustCatchUp is catchUp without any fault.
func (f *flow) mustCatchUp() *report.Document {
	f.t.Helper()
	e := f.catchUp()
	if e.code != 0 || !e.report.CaughtUp || len(e.report.Faults) > 0 {
		f.t.Fatalf("kferry ended with code %d, caught up %v, faults %v; standard error:\n%s", e.code, e.report.CaughtUp, e.report.Faults, tail(e.stderr, 5000))
	}
	if n := e.report.Totals.ResyncsUnknown; n > 0 {
		f.t.Logf("%d unknown outcomes although nobody disturbed; standard error:\n%s", n, tail(e.stderr, 3000))
	}
	return e.report
}

// eventually waits until ok, for things that a running kferry does in its own time.
func (f *flow) eventually(what string, ok func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("not within two minutes: %s", what)
		}
	}
}

// equal compares topics of both clusters and fails the test at a difference.
func (f *flow) equal(rules history.Rules, topics ...string) *history.Result {
	f.t.Helper()
	res, err := history.Compare(f.t.Context(), f.from.Client(), f.to.Client(), topics, rules)
	if err != nil {
		f.t.Fatal(err)
	}
	if !res.Equal() {
		f.t.Fatalf("target differs: %s", res)
	}
	return res
}

// sameGroups compares the positions of groups.
func (f *flow) sameGroups(groups []string, topics ...string) {
	f.t.Helper()
	res := &history.Result{}
	if err := history.CompareGroups(f.t.Context(), f.from.Client(), f.to.Client(), groups, topics, res); err != nil {
		f.t.Fatal(err)
	}
	if !res.Equal() || res.Positions == 0 {
		f.t.Fatalf("positions of groups differ: %s", res)
	}
}

// faultOf is the fault of a partition, nil if it has none.
func faultOf(doc *report.Document, topic string, partition int32) *fault.Fault {
	for i := range doc.Faults {
		if ft := &doc.Faults[i]; ft.Topic == topic && (ft.Partition == partition || ft.Partition < 0) {
			return ft
		}
	}
	return nil
}

// wantFault fails unless exactly one partition, this one, is faulted with that kind, and the exit code says so.
func (f *flow) wantFault(e ended, code int, kind fault.Kind, topic string, partition int32) *fault.Fault {
	f.t.Helper()
	if e.report == nil {
		f.t.Fatalf("kferry ended with code %d and no report; standard error:\n%s", e.code, tail(e.stderr, 5000))
	}
	ft := faultOf(e.report, topic, partition)
	if e.code != code || ft == nil || ft.Kind != kind || len(e.report.Faults) != 1 {
		f.t.Fatalf("code %d, faults %v; want code %d and %s of %s-%d alone; standard error:\n%s", e.code, e.report.Faults, code, kind, topic, partition, tail(e.stderr, 5000))
	}
	if ft.Detail == "" || ft.Next == "" {
		f.t.Errorf("fault without words: %+v", ft)
	}
	return ft
}

// produce writes plain records to one partition of a cluster, as anybody might.
func produce(ctx context.Context, c *testbed.Cluster, topic string, partition int32, values ...string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableClientMetrics())
	if err != nil {
		return err
	}
	defer cl.Close()
	for _, v := range values {
		r := &kgo.Record{Topic: topic, Partition: partition, Key: []byte("k"), Value: []byte(v)}
		if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
			return err
		}
	}
	return nil
}

func secretFile(t *testing.T, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
