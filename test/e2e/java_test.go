package e2e

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/testbed"
)

// What the Java producer wrote in batches of its own shapes, and what only Java reads: judged by the Java consumer.
func TestJavaConsumerSeesTheSame(t *testing.T) {
	for _, c := range []struct {
		name   string
		source testbed.Version
		write  func(f *flow, topic string) error
	}{
		{"every codec", testbed.V39, func(f *flow, topic string) error {
			return f.javaProduce(topic, "count=3000", "partitions=2", "codec=none,gzip,snappy,lz4,zstd", "flush.every=70",
				"null.keys=7", "null.values=11", "headers=4", "timestamp=1000000", "timestamp.step=10", "size=300")
		}},
		{"transactions", testbed.V39, func(f *flow, topic string) error {
			return f.javaProduce(topic, "count=400", "partitions=2", "codec=none,lz4", "txn.id="+topic, "txn.size=15", "txn.abort.every=2")
		}},
		{"lz4 of message format v0", testbed.V28, func(f *flow, topic string) error {
			return f.from.Write(f.t.Context(), topic, history.OldLZ4())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFlow(t, cluster(t, c.source), cluster(t, testbed.V43))
			topic := f.topic("java")
			if c.source != testbed.V28 {
				if err := f.from.Create(t.Context(), topic, 2, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.write(f, topic); err != nil {
				t.Fatal(err)
			}
			f.mustCatchUp()
			if c.source != testbed.V28 {
				f.equal(history.Rules{}, topic)
			}
			source, target := f.javaConsume(f.source, topic), f.javaConsume(f.target, topic)
			if len(source.Records) < 100 {
				t.Fatalf("only %d records", len(source.Records))
			}
			for i := range source.Records { // v0 has no timestamps
				if source.Records[i].TimestampType == "NoTimestampType" {
					source.Records[i].TimestampType = "CreateTime"
				}
			}
			if diff := cmp.Diff(source, target); diff != "" {
				t.Errorf("the Java consumer sees something else on the target: %s", tail(diff, 3000))
			}
		})
	}
}

func (f *flow) javaProduce(topic string, args ...string) error {
	return testbed.JavaProduce(f.t.Context(), f.source.Version, append(args, "topic="+topic, "bootstrap="+f.source.Bootstrap())...)
}

// javaConsume reads with the newest consumer, as whoever moves to the target will have one.
func (f *flow) javaConsume(c *testbed.Cluster, topic string) *testbed.JavaLog {
	f.t.Helper()
	log, err := testbed.JavaConsume(f.t.Context(), testbed.V43, "topic="+topic, "bootstrap="+c.Bootstrap(), "isolation=read_committed")
	if err != nil {
		f.t.Fatal(err)
	}
	return log
}
