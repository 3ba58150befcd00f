package testbed

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// consumeAll reads n records with franz-go as JavaConsume would tell them.
func consumeAll(t *testing.T, c *Cluster, topic string, n int, opts ...kgo.Opt) []JavaRecord {
	t.Helper()
	cl := client(t, c.Bootstrap(), append(opts, kgo.ConsumeTopics(topic))...)
	var records []JavaRecord
	for len(records) < n {
		fetches := cl.PollFetches(deadline(t))
		if err := fetches.Err(); err != nil {
			t.Fatalf("consume %s after %d of %d records: %v", topic, len(records), n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { records = append(records, FromRecord(r)) })
	}
	sortRecords(records)
	return records
}

func sortRecords(records []JavaRecord) {
	slices.SortFunc(records, func(a, b JavaRecord) int {
		if a.Partition != b.Partition {
			return int(a.Partition - b.Partition)
		}
		return int(a.Offset - b.Offset)
	})
}

func mustJavaConsume(t *testing.T, c *Cluster, args ...string) *JavaLog {
	t.Helper()
	log, err := JavaConsume(deadline(t), c.Version, append(args, "bootstrap="+c.Bootstrap())...)
	if err != nil {
		t.Fatal(err)
	}
	sortRecords(log.Records)
	return log
}

func mustJavaProduce(t *testing.T, c *Cluster, args ...string) {
	t.Helper()
	if err := JavaProduce(deadline(t), c.Version, append(args, "bootstrap="+c.Bootstrap())...); err != nil {
		t.Fatal(err)
	}
}

// Both clients must tell the same of every shape that the Java producer writes.
func TestJavaAndFranzGoReadTheSame(t *testing.T) {
	for _, v := range Versions() {
		t.Run(string(v), func(t *testing.T) {
			t.Parallel()
			c := Shared(t, v)
			mustCreateTopic(t, client(t, c.Bootstrap()), "shapes", 2)
			mustJavaProduce(t, c, "topic=shapes", "count=60", "partitions=2", "codec=none,gzip,snappy,lz4,zstd",
				"flush.every=5", "null.keys=7", "null.values=11", "headers=4", "timestamp=1000000", "timestamp.step=10", "size=300")
			want := consumeAll(t, c, "shapes", 60)
			got := mustJavaConsume(t, c, "topic=shapes")
			if diff := cmp.Diff(want, got.Records); diff != "" {
				t.Errorf("franz-go (-) and Java (+) differ:\n%s", diff)
			}
			if want := map[int32]int64{0: 30, 1: 30}; !cmp.Equal(want, got.Positions) {
				t.Errorf("positions %v, want %v", got.Positions, want)
			}
			checkShapes(t, got.Records)
			part := mustJavaConsume(t, c, "topic=shapes", "partition=1", "from=4", "to=9")
			if len(part.Records) != 5 || part.Records[0].Offset != 4 || part.Records[4].Offset != 8 {
				t.Errorf("offsets 4 to 9 of partition 1: %v", part.Records)
			}
		})
	}
}

// checkShapes makes sure that the options had an effect on what was written.
func checkShapes(t *testing.T, records []JavaRecord) {
	t.Helper()
	nullKeys, nullValues := 0, 0
	for _, r := range records {
		if r.Key == "null" {
			nullKeys++
		}
		if r.Value == "null" {
			nullValues++
		}
		number := 2*r.Offset + int64(r.Partition)
		if r.Timestamp != 1000000+10*number || r.TimestampType != "CreateTime" {
			t.Errorf("record %d has timestamp %d %s", number, r.Timestamp, r.TimestampType)
		}
	}
	if nullKeys != 60/7 || nullValues != 60/11 {
		t.Errorf("%d null keys and %d null values of 60, want %d and %d", nullKeys, nullValues, 60/7, 60/11)
	}
	const name0 = "6865616465722d30" // header-0
	want := name0 + "=" + Digest([]byte("value 0/0")) + "," + name0 + "=" + Digest([]byte("value 0/1")) +
		",6865616465722d32=null,6865616465722d33=" + Digest([]byte("value 0/3"))
	if records[0].Headers != want {
		t.Errorf("headers of record 0 are %s, want %s", records[0].Headers, want)
	}
}

func TestJavaTransactionsAbortAndStayOpen(t *testing.T) {
	for _, v := range []Version{V28, V43} {
		t.Run(string(v), func(t *testing.T) {
			t.Parallel()
			c := Shared(t, v)
			mustCreateTopic(t, client(t, c.Bootstrap()), "java-tx", 1)
			// 3 transactions of 4 records and a marker; the second is aborted, the
			// fourth, of 2 records, stays open.
			mustJavaProduce(t, c, "topic=java-tx", "count=14", "txn.id=java-tx", "txn.size=4", "txn.abort.every=2", "txn.open=true")
			for isolation, want := range map[string]struct{ records, position int }{
				"read_uncommitted": {14, 17},
				"read_committed":   {8, 15},
			} {
				log := mustJavaConsume(t, c, "topic=java-tx", "isolation="+isolation)
				if len(log.Records) != want.records || log.Positions[0] != int64(want.position) {
					t.Errorf("%s: %d records up to %v, want %v", isolation, len(log.Records), log.Positions, want)
				}
			}
		})
	}
}

func TestJavaProgramsTellWhatWentWrong(t *testing.T) {
	c := Shared(t, V43)
	err := JavaProduce(deadline(t), V43, "bootstrap="+c.Bootstrap(), "topic=missing", "config.max.block.ms=500")
	if err == nil || !strings.Contains(err.Error(), "TimeoutException") {
		t.Errorf("produce to a missing topic: %v", err)
	}
	_, err = JavaConsume(deadline(t), V43, "bootstrap="+c.Bootstrap(), "topic=missing")
	if err == nil || !strings.Contains(err.Error(), "topic missing does not exist") {
		t.Errorf("consume a missing topic: %v", err)
	}
}

func TestDigestTellsNullFromEmpty(t *testing.T) {
	if null, empty := Digest(nil), Digest([]byte{}); null != "null" || empty != fmt.Sprintf("0:%s", "e3b0c44298fc1c149afbf4c8996fb924") {
		t.Errorf("digests of nil and of no bytes: %s, %s", null, empty)
	}
}
