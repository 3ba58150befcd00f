package testbed

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kgo"
)

// JavaProduce writes records with the Java producer of version v. Arguments
// are key=value:
//
//	bootstrap, topic     where to (required)
//	count, first         how many records (100) and the number of the first (0)
//	seed                 changes the values, not the keys
//	partition            all to one partition; else record i goes to i % partitions
//	partitions           see above (1)
//	size                 bytes of a value (100), half of them random
//	keys                 distinct keys (0: every record its own)
//	null.keys=n          every n-th record has a null key
//	null.values=n        every n-th record has a null value
//	headers=n            n headers a record: the first name twice, every third value null
//	timestamp, timestamp.step  record i has timestamp + i*step, in ms (default: the clock)
//	codec                none, gzip, snappy, lz4, zstd; a list takes turns, one producer each
//	batch.size           bytes of a batch (the client's default)
//	flush.every=n        n records, then a flush: no batch spans groups, codecs change here
//	txn.id               write in transactions; each codec has an id of its own
//	txn.size             records of a transaction (10)
//	txn.abort.every=n    every n-th transaction is aborted
//	txn.open=true        leave the last transaction open
//	config.<name>        any property of the Java producer
func JavaProduce(ctx context.Context, v Version, args ...string) error {
	return runDriver(ctx, v, "Produce", args, io.Discard)
}

// JavaRecord is a record as the Java consumer returned it.
type JavaRecord struct {
	Partition     int32
	Offset        int64
	Timestamp     int64  // ms
	TimestampType string // CreateTime, LogAppendTime or NoTimestampType
	Key, Value    string // as Digest prints them
	Headers       string // name in hex=Digest(value), separated by commas, in order
}

// JavaLog is what JavaConsume read.
type JavaLog struct {
	Records   []JavaRecord    // by partition in order of offsets
	Positions map[int32]int64 // where the consumer stood at the end, by partition
}

// JavaConsume reads a topic with the Java consumer of version v, without a
// group. Arguments are key=value:
//
//	bootstrap, topic   where from (required)
//	partition          only this one (all)
//	from, to           offsets, to is exclusive (log start, and the end at the start of the call:
//	                   the high watermark, or the last stable offset with read_committed)
//	isolation          read_uncommitted (default) or read_committed
//	idle.ms            give up after so long without progress (30000)
//	config.<name>      any property of the Java consumer
func JavaConsume(ctx context.Context, v Version, args ...string) (*JavaLog, error) {
	var out bytes.Buffer
	if err := runDriver(ctx, v, "Consume", args, &out); err != nil {
		return nil, err
	}
	log := &JavaLog{Positions: map[int32]int64{}}
	lines := bufio.NewScanner(&out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if err := log.add(strings.Split(lines.Text(), "\t")); err != nil {
			return nil, fmt.Errorf("line %q of the Java consumer: %w", lines.Text(), err)
		}
	}
	return log, lines.Err()
}

func (l *JavaLog) add(fields []string) error {
	var numbers []int64
	wanted := map[string]struct{ numbers, fields int }{"position": {2, 3}, "record": {3, 8}}[fields[0]]
	if len(fields) != max(1, wanted.fields) || wanted.fields == 0 {
		return fmt.Errorf("%d fields of kind %q", len(fields), fields[0])
	}
	for _, f := range fields[1 : 1+wanted.numbers] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return err
		}
		numbers = append(numbers, n)
	}
	if fields[0] == "position" {
		l.Positions[int32(numbers[0])] = numbers[1]
		return nil
	}
	l.Records = append(l.Records, JavaRecord{
		Partition: int32(numbers[0]), Offset: numbers[1], Timestamp: numbers[2],
		TimestampType: fields[4], Key: fields[5], Value: fields[6], Headers: fields[7],
	})
	return nil
}

// FromRecord is a record of franz-go in the form that JavaConsume returns, so
// that the two clients' views of a log can be compared.
func FromRecord(r *kgo.Record) JavaRecord {
	var headers []string
	for _, h := range r.Headers {
		headers = append(headers, hex.EncodeToString([]byte(h.Key))+"="+Digest(h.Value))
	}
	types := map[int8]string{0: "CreateTime", 1: "LogAppendTime"}
	kind, ok := types[r.Attrs.TimestampType()]
	if !ok {
		kind = "NoTimestampType"
	}
	return JavaRecord{
		Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), TimestampType: kind,
		Key: Digest(r.Key), Value: Digest(r.Value), Headers: strings.Join(headers, ","),
	}
}

// Digest is "null" for nil, else the length of b and the first 16 bytes of its
// SHA-256 in hex.
func Digest(b []byte) string {
	if b == nil {
		return "null"
	}
	sum := sha256.Sum256(b)
	return fmt.Sprintf("%d:%x", len(b), sum[:16])
}

// runDriver runs one of the embedded Java programs on the class path of v.
func runDriver(ctx context.Context, v Version, class string, args []string, stdout io.Writer) error {
	java, err := driverCommand(ctx, v)
	if err != nil {
		return fmt.Errorf("run the Java program %s: %w", class, err)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "java", slices.Concat(java, []string{class}, args)...)
	cmd.Stdout, cmd.Stderr = stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := onStarterThread(cmd.Start); err != nil {
		return fmt.Errorf("start the Java program %s: %w", class, err)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("java program %s %v: %w: %s", class, args, err, gist(stderr.String(), 15))
	}
	return nil
}

// driverCommand is what comes before the name of a Java program.
func driverCommand(ctx context.Context, v Version) ([]string, error) {
	jars, err := Jars(ctx, v)
	if err != nil {
		return nil, err
	}
	cp, err := classPath(jars)
	if err != nil {
		return nil, err
	}
	archive, err := archiveFlags(ctx, v, jars, cp)
	if err != nil {
		return nil, err
	}
	whole, err := driverPath(ctx, jars, cp)
	if err != nil {
		return nil, err
	}
	return slices.Concat(javaFlags(512, false), archive,
		[]string{"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", whole}), nil
}
