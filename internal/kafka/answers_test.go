package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// allocating returns the bytes that fn allocates.
func allocating(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestFetchAnswerOfEveryVersion(t *testing.T) {
	for v := int16(minFetchVersion); v <= maxFetchVersion; v++ {
		body := fetchSample(v)
		got, err := readFetchAnswer(body, v, nameless)
		if err != nil {
			t.Fatalf("version %d: %v", v, err)
		}
		want := kmsg.FetchResponse{Version: v}
		if err := want.ReadFrom(body); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fetchByKmsg(&want), got, cmpopts.EquateEmpty(), cmp.AllowUnexported(fetchAnswer{}), sameError); diff != "" {
			t.Errorf("version %d (-kmsg +ours):\n%s", v, diff)
		}
		if len(got.parts) != 6 || !errors.Is(got.parts[1].Err, kerr.OffsetOutOfRange) {
			t.Errorf("version %d: %+v", v, got)
		}
	}
	if _, err := readFetchAnswer(nil, 6, nameless); !errors.Is(err, kerr.UnsupportedVersion) {
		t.Errorf("version 6: %v", err)
	}
}

// Every cut and every wrong length must be noticed, and cost next to nothing.
func TestBadInputAnswersCutShort(t *testing.T) {
	for name, c := range map[string]struct {
		body []byte
		read func([]byte) error
	}{
		"fetch 11":  {fetchSample(11), func(b []byte) error { _, err := readFetchAnswer(b, 11, nameless); return err }},
		"fetch 12":  {fetchSample(12), func(b []byte) error { _, err := readFetchAnswer(b, 12, nameless); return err }},
		"fetch 16":  {fetchSample(16), func(b []byte) error { _, err := readFetchAnswer(b, 16, nameless); return err }},
		"produce":   {produceSample(), func(b []byte) error { _, err := readProduced(b); return err }},
		"markers 0": {markerSample(0), func(b []byte) error { _, err := readMarked(b, 0); return err }},
		"markers 1": {markerSample(1), func(b []byte) error { _, err := readMarked(b, 1); return err }},
	} {
		if err := c.read(c.body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for n := range c.body {
			if err := c.read(c.body[:n]); !errors.Is(err, errAnswer) {
				t.Errorf("%s cut to %d of %d bytes: %v", name, n, len(c.body), err)
			}
		}
		if err := c.read(append(bytes.Clone(c.body), 0)); !errors.Is(err, errAnswer) {
			t.Errorf("%s with a byte behind: %v", name, err)
		}
	}
}

// An array may announce no more than its bytes can hold. kmsg made room for 200 bytes for each byte that came.
func TestBadInputAnswersThatClaimTooMuch(t *testing.T) {
	const size = 4 << 20
	fetch := func(at int, elements uint64, version int16) []byte {
		b := make([]byte, 10, size)
		if at == 1 {
			b = append(b, 2, 2, 't') // one topic, its name
		}
		b = binary.AppendUvarint(b, elements+1)
		return b[:size]
	}
	for name, c := range map[string]struct {
		body []byte
		read func([]byte) error
	}{
		"fetch: topics":         {fetch(0, size-20, 12), func(b []byte) error { _, err := readFetchAnswer(b, 12, nameless); return err }},
		"fetch: 2^32-2 topics":  {fetch(0, 1<<32-2, 12), func(b []byte) error { _, err := readFetchAnswer(b, 12, nameless); return err }},
		"fetch: partitions":     {fetch(1, size-20, 12), func(b []byte) error { _, err := readFetchAnswer(b, 12, nameless); return err }},
		"fetch: topics of 11":   {binary.BigEndian.AppendUint32(make([]byte, 10, size), size-20)[:size], func(b []byte) error { _, err := readFetchAnswer(b, 11, nameless); return err }},
		"produce: topics":       {binary.AppendUvarint(make([]byte, 0, size), size-20)[:size], func(b []byte) error { _, err := readProduced(b); return err }},
		"markers: producers":    {binary.AppendUvarint(make([]byte, 0, size), size-20)[:size], func(b []byte) error { _, err := readMarked(b, 1); return err }},
		"fetch: 2^32-1 tags":    {binary.AppendUvarint(append(make([]byte, 10, 20), 1), 1<<32-1), func(b []byte) error { _, err := readFetchAnswer(b, 12, nameless); return err }},
		"fetch: 2^32 tags":      {binary.AppendUvarint(append(make([]byte, 10, 20), 1), 1<<32), func(b []byte) error { _, err := readFetchAnswer(b, 12, nameless); return err }},
		"fetch: varint of 2^64": {append(make([]byte, 10, 30), bytes.Repeat([]byte{0xff}, 11)...), func(b []byte) error { _, err := readFetchAnswer(b, 12, nameless); return err }},
	} {
		var err error
		n := allocating(func() { err = c.read(c.body) })
		if !errors.Is(err, errAnswer) {
			t.Errorf("%s: %v", name, err)
		}
		if n > 64<<10 {
			t.Errorf("%s: %d KiB were allocated for %d bytes", name, n>>10, len(c.body))
		}
	}
}

// A broker may list every record of a batch that it refuses.
func TestBadInputAnswerWithAMessageForEachRecord(t *testing.T) {
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = maxProduceVersion
	p := kmsg.NewProduceResponseTopicPartition()
	p.ErrorCode, p.ErrorMessage = kerr.InvalidRecord.Code, kmsg.StringPtr("rejected")
	for i := range 100_000 {
		e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		e.RelativeOffset, e.ErrorMessage = int32(i), kmsg.StringPtr("the timestamp is out of range")
		p.ErrorRecords = append(p.ErrorRecords, e)
	}
	topic := kmsg.NewProduceResponseTopic()
	topic.Topic, topic.Partitions = "t", append(topic.Partitions, p)
	resp.Topics = append(resp.Topics, topic)
	body := resp.AppendTo(nil)
	var out []Produced
	var err error
	n := allocating(func() { out, err = readProduced(body) })
	if err != nil || len(out) != 1 {
		t.Fatalf("%v, %v", out, err)
	}
	const want = "rejected [record 0: the timestamp is out of range] [record 1: the timestamp is out of range] [record 2: the timestamp is out of range] [100000 records in all]"
	if out[0].Message != want {
		t.Errorf("message %.300s", out[0].Message)
	}
	if n > uint64(4*len(body)) {
		t.Errorf("%d bytes were allocated for an answer of %d", n, len(body))
	}
	if !strings.Contains(out[0].Err.Error(), "INVALID_RECORD") {
		t.Errorf("%v", out[0].Err)
	}
}
