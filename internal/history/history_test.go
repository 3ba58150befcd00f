package history

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// embedded starts an embedded cluster and a writer for it.
func embedded(t *testing.T, seed uint64) *Writer {
	t.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	w, err := NewWriter(Options{
		Bootstrap: fake.ListenAddrs(), Seed: seed,
		Compact: func(string) error { fake.Compact(); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// The same seed gives the same history, so two clusters written with it are equal; another seed gives another.
func TestSeedDecides(t *testing.T) {
	ctx := t.Context()
	a, b, c := embedded(t, 1), embedded(t, 1), embedded(t, 2)
	topics := append(Hard(), Random(2, 60, false), Random(2, 60, true))
	for _, topic := range topics {
		if topic.OldFormats || topic.Configs["message.timestamp.type"] == "LogAppendTime" {
			continue // the embedded cluster has neither, and a clock is not decided by a seed
		}
		for _, w := range []*Writer{a, b, c} {
			if err := w.Write(ctx, topic.Name, topic); err != nil {
				t.Fatal(err)
			}
		}
		res, err := Compare(ctx, a.Client(), b.Client(), []string{topic.Name}, Rules{})
		if err != nil {
			t.Fatal(err)
		}
		if !res.Equal() {
			t.Errorf("%s: the same seed gave something else: %s", topic.Name, res)
		}
		if topic.Name == "codecs" && (res.Committed < 1000 || res.Partitions != 3) {
			t.Errorf("%s: only %s", topic.Name, res)
		}
		if topic.Name == "transactions" && (res.Committed < 200 || res.Uncommitted < 100 || res.AbortedKept != res.Uncommitted) {
			t.Errorf("%s: not the mix that is wanted: %s", topic.Name, res)
		}
		if res, err = Compare(ctx, a.Client(), c.Client(), []string{topic.Name}, Rules{}); err != nil {
			t.Fatal(err)
		}
		if res.Equal() && res.Committed > 0 {
			t.Errorf("%s: another seed gave the same", topic.Name)
		}
	}
	groups, err := a.WriteGroups(ctx, "g-", []string{"codecs", "raised"})
	if err != nil {
		t.Fatal(err)
	}
	res := &Result{}
	if err := CompareGroups(ctx, a.Client(), b.Client(), groups, []string{"codecs", "raised"}, res); err != nil {
		t.Fatal(err)
	}
	if res.Positions != 4*6 || len(res.Differences) != 4*6 {
		t.Errorf("groups that only one side has: %s", res)
	}
}

// One difference each, which the judge must find and place.
func TestCompareFinds(t *testing.T) {
	record := func(change func(*kgo.Record)) *kgo.Record {
		r := &kgo.Record{
			Key: []byte("key"), Value: []byte("value"), Timestamp: time.UnixMilli(5000),
			Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a", Value: nil}},
		}
		if change != nil {
			change(r)
		}
		return r
	}
	batch := func(changes ...func(*kgo.Record)) func(context.Context, *Pen) error {
		return func(ctx context.Context, p *Pen) error {
			for _, c := range changes {
				if err := p.Batch(ctx, 0, lz4, record(c)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	ended := func(commit bool) func(context.Context, *Pen) error {
		return func(ctx context.Context, p *Pen) error {
			tx, err := p.Transactor(0, lz4)
			if err != nil {
				return err
			}
			defer tx.Close()
			if err := tx.Write(ctx, 0, record(nil), record(nil)); err != nil {
				return err
			}
			return tx.End(ctx, commit)
		}
	}
	key := func(k string) func(*kgo.Record) { return func(r *kgo.Record) { r.Key = []byte(k) } }
	keyed := func(keys ...string) func(context.Context, *Pen) error {
		changes := make([]func(*kgo.Record), len(keys))
		for i, k := range keys {
			changes[i] = key(k)
		}
		return batch(changes...)
	}
	// holed has keys first, x, x, y, z; the first x may be compacted away.
	holed := func(compact bool) func(context.Context, *Pen) error {
		return func(ctx context.Context, p *Pen) error {
			if err := keyed("first", "x", "x", "y", "z")(ctx, p); err != nil || !compact {
				return err
			}
			return p.w.o.Compact(p.topic)
		}
	}
	echoed := func(k string) func(context.Context, *Pen) error { return keyed("first", k, "x", "y", "z") }
	// inside puts something between plain records.
	inside := func(write func(context.Context, *Pen) error, then func(*Pen) error) func(context.Context, *Pen) error {
		return func(ctx context.Context, p *Pen) error {
			for _, f := range []func(context.Context, *Pen) error{keyed("a"), write, keyed("b")} {
				if err := f(ctx, p); err != nil {
					return err
				}
			}
			if then != nil {
				return then(p)
			}
			return nil
		}
	}
	plain := batch(nil, nil, nil)
	for _, c := range []struct {
		name           string
		source, target func(context.Context, *Pen) error
		rules          Rules
		want           string // empty: no difference
	}{
		{"nothing", plain, plain, Rules{}, ""},
		{"record missing at the end", plain, batch(nil, nil), Rules{}, "the source's log ends at 3 (last stable offset), the target's at 2"},
		{"record too many", plain, batch(nil, nil, nil, nil), Rules{}, "at offset 3: the target has a record where the source has none"},
		{"value", plain, batch(nil, func(r *kgo.Record) { r.Value = []byte("valuE") }, nil), Rules{}, `at offset 1: value "value" on the source, "valuE" on the target`},
		{"null value", batch(func(r *kgo.Record) { r.Value = nil }), batch(func(r *kgo.Record) { r.Value = []byte{} }), Rules{}, `value null on the source, "" on the target`},
		{"null key", batch(func(r *kgo.Record) { r.Key = []byte{} }), batch(func(r *kgo.Record) { r.Key = nil }), Rules{}, `key "" on the source, null on the target`},
		{"timestamp", batch(func(r *kgo.Record) { r.Timestamp = time.UnixMilli(5001) }), batch(nil), Rules{}, "timestamp 5001 on the source, 5000 on the target"},
		{"header order", plain, batch(nil, nil, func(r *kgo.Record) { r.Headers[0], r.Headers[1] = r.Headers[1], r.Headers[0] }), Rules{}, "at offset 2: header 0"},
		{"null header", plain, batch(nil, nil, func(r *kgo.Record) { r.Headers[1].Value = []byte{} }), Rules{}, "at offset 2: header 1"},
		{"header missing", plain, batch(nil, nil, func(r *kgo.Record) { r.Headers = r.Headers[:1] }), Rules{}, "2 headers on the source, 1 on the target"},
		{"log start", plain, func(ctx context.Context, p *Pen) error {
			if err := plain(ctx, p); err != nil {
				return err
			}
			return p.w.DeleteBefore(ctx, p.topic, 0, 1)
		}, Rules{}, "the source's log starts at 0, the target's at 1"},
		{"aborted is committed", ended(false), ended(true), Rules{}, "at offset 0: an aborted record of the source is a committed one"},
		{"committed is aborted", ended(true), ended(false), Rules{}, "at offset 0: a committed record of the source is an aborted one"},
		{"marker became a record", ended(true), batch(nil, nil, nil), Rules{}, "at offset 2: the target has a record where the source has none"},
		{"aborted records may be missing", inside(ended(false), nil), inside(ended(false), func(p *Pen) error { return p.w.o.Compact(p.topic) }), Rules{}, ""},
		{"an echo, not allowed", holed(true), echoed("x"), Rules{}, "at offset 1: the target has a record where the source has none"},
		{"an echo", holed(true), echoed("x"), Rules{Echoes: true}, ""},
		{"an echo of the record before", holed(true), echoed("first"), Rules{Echoes: true}, "at offset 1: the target has a record where the source has none"},
		{"open transaction on the target", plain, Open().Write, Rules{}, "a transaction is open on the target"},
		{"thinned, not allowed", holed(true), holed(false), Rules{}, "at offset 1: the target has a record where the source has none"},
		{"thinned", holed(true), holed(false), Rules{Thinned: true}, ""},
		{"more than thinned", holed(true), keyed("first", "gone", "x", "y", "z"), Rules{Thinned: true}, `at offset 1: the target has a record of key "gone"`},
		{"tombstone", holed(true), func(ctx context.Context, p *Pen) error {
			for _, r := range []*kgo.Record{record(key("first")), record(func(r *kgo.Record) { r.Key, r.Value = []byte("gone"), nil }), record(key("x")), record(key("y")), record(key("z"))} {
				if err := p.Batch(ctx, 0, lz4, r); err != nil {
					return err
				}
			}
			return nil
		}, Rules{Thinned: true}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			a, b := embedded(t, 1), embedded(t, 1)
			configs := map[string]string{"cleanup.policy": "compact,delete"}
			if err := a.Write(ctx, "x", Topic{Name: "x", Partitions: 1, Configs: configs, Write: c.source}); err != nil {
				t.Fatal(err)
			}
			if err := b.Write(ctx, "x", Topic{Name: "x", Partitions: 1, Configs: configs, Write: c.target}); err != nil {
				t.Fatal(err)
			}
			res, err := Compare(ctx, a.Client(), b.Client(), []string{"x"}, c.rules)
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" != res.Equal() || !strings.Contains(res.String(), c.want) {
				t.Errorf("got %s\nwant %q", res, c.want)
			}
		})
	}
}
