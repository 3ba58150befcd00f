// Command carry is the long proof: ten million records, transactions with aborts and a compacted topic with
// holes among them, are carried from one real cluster to another while kferry is killed (kill -9) every few
// seconds and started again; then everything is compared. It ends with exit code 0 only if all of it is equal.
//
//	go run ./test/carry [-records 10000000] [-every 3s] [-source 3.9] [-target 4.3]
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kferry/kferry/internal/testbed"
)

var (
	records = flag.Int("records", 10_000_000, "records to write, over all topics")
	every   = flag.Duration("every", 3*time.Second, "mean time between kills")
	from    = flag.String("source", "3.9", "Kafka release of the source")
	to      = flag.String("target", "4.3", "Kafka release of the target")
)

func main() {
	flag.Parse()
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "kferry-carry-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "kferry")
	if out, err := exec.Command("go", "build", "-o", binary, "./cmd/kferry").CombinedOutput(); err != nil {
		return fmt.Errorf("build kferry: %w: %s", err, out)
	}
	source, err := start(ctx, *from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := start(ctx, *to)
	if err != nil {
		return err
	}
	defer target.Close()
	began := time.Now()
	if err := write(ctx, source.Bootstrap()); err != nil {
		return err
	}
	fmt.Printf("wrote %d records in %v\n", *records, time.Since(began).Round(time.Second))
	args := []string{"--source-bootstrap-server", source.Bootstrap(), "--target-bootstrap-server", target.Bootstrap(), "--topics", "carry-.*"}
	began = time.Now()
	kills, err := copyUnderFire(binary, args)
	if err != nil {
		return err
	}
	fmt.Printf("copied in %v, killed %d times\n", time.Since(began).Round(time.Second), kills)
	verify := exec.Command(binary, append([]string{"verify"}, args...)...)
	verify.Stdout, verify.Stderr = os.Stdout, os.Stderr
	return verify.Run()
}

func start(ctx context.Context, version string) (*testbed.Cluster, error) {
	v, err := testbed.ParseVersion(version)
	if err != nil {
		return nil, err
	}
	return testbed.Start(ctx, testbed.Options{Version: v, HeapMB: 1024, Benchmark: true, Config: map[string]string{
		"log.cleaner.backoff.ms": "500", "transaction.max.timeout.ms": "900000",
	}})
}

// copyUnderFire starts kferry until it ends by itself, killing it after a random time each time but the last.
func copyUnderFire(binary string, args []string) (kills int, err error) {
	for {
		cmd := exec.Command(binary, append([]string{"replicate", "--until-caught-up"}, args...)...)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			return kills, err
		}
		var killed atomic.Bool
		life := *every/2 + rand.N(*every)
		timer := time.AfterFunc(life, func() { killed.Store(true); cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		if !killed.Load() {
			return kills, err
		}
		kills++
	}
}

// write fills three topics: seven tenths plain, two tenths in transactions of which a third is aborted, one
// tenth compacted.
func write(ctx context.Context, bootstrap string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	value := func(s string) *string { return &s }
	if _, err := admin.CreateTopics(ctx, 8, 1, nil, "carry-plain", "carry-transactions"); err != nil {
		return err
	}
	compacted := map[string]*string{
		"cleanup.policy": value("compact"), "min.cleanable.dirty.ratio": value("0.01"),
		"segment.bytes": value("4194304"), "max.compaction.lag.ms": value("2000"),
	}
	if _, err := admin.CreateTopics(ctx, 4, 1, compacted, "carry-compacted"); err != nil {
		return err
	}
	n := *records
	return errors.Join(
		plain(ctx, bootstrap, "carry-compacted", n/10, 20_000),
		transactions(ctx, bootstrap, "carry-transactions", n/5),
		plain(ctx, bootstrap, "carry-plain", n-n/10-n/5, n),
	)
}

func record(topic string, i, keys int) *kgo.Record {
	key := binary.BigEndian.AppendUint64(nil, uint64(i%keys))
	value := make([]byte, 80+i%40)
	binary.BigEndian.PutUint64(value, uint64(i))
	return &kgo.Record{Topic: topic, Key: key, Value: value}
}

func plain(ctx context.Context, bootstrap, topic string, n, keys int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ProducerBatchMaxBytes(64<<10),
		kgo.ProducerLinger(5*time.Millisecond), kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	if err != nil {
		return err
	}
	defer client.Close()
	return produce(ctx, client, topic, 0, n, keys)
}

func produce(ctx context.Context, client *kgo.Client, topic string, from, n, keys int) error {
	var failed atomic.Pointer[error]
	for i := from; i < from+n; i++ {
		client.Produce(ctx, record(topic, i, keys), func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("produce to %s: %w", topic, *err)
	}
	return nil
}

// transactions writes in transactions of random size, two producers in turn so that they interleave.
func transactions(ctx context.Context, bootstrap, topic string, n int) error {
	var clients []*kgo.Client
	for i := range 2 {
		client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.TransactionalID(fmt.Sprintf("carry-%d", i)),
			kgo.ProducerBatchMaxBytes(64<<10), kgo.ProducerLinger(5*time.Millisecond))
		if err != nil {
			return err
		}
		defer client.Close()
		clients = append(clients, client)
	}
	for i := 0; i < n; {
		for _, client := range clients {
			if err := client.BeginTransaction(); err != nil {
				return err
			}
			part := min(1+rand.IntN(8_000), n-i)
			if err := produce(ctx, client, topic, i, part, n); err != nil {
				return err
			}
			i += part
		}
		for _, client := range clients {
			if err := client.EndTransaction(ctx, kgo.TransactionEndTry(rand.IntN(3) > 0)); err != nil {
				return err
			}
		}
	}
	return nil
}
