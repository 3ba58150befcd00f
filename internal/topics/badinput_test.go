package topics

import (
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
)

// Bad input of topics that is tested elsewhere: other topics under the same name (TestNoticesOtherTopicsUnderTheSameName),
// refused keys (TestRefusedKeys), denials (TestDenied), metadata that cannot be, 10^5 partitions, leaders and brokers that
// are nobody (internal/kafka, TestBadInputMetadata and TestBadInputBrokers), values of settings (settings, FuzzSettings).

// refuseCreation makes the target answer one error for every topic to be created.
func (b *bench) refuseCreation(code int16, words string) {
	b.fakeB.ControlKey(int16(kmsg.CreateTopics), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		b.fakeB.KeepControl()
		resp := kreq.ResponseKind().(*kmsg.CreateTopicsResponse)
		for _, rt := range kreq.(*kmsg.CreateTopicsRequest).Topics {
			t := kmsg.NewCreateTopicsResponseTopic()
			t.Topic, t.ErrorCode, t.ErrorMessage = rt.Topic, code, kmsg.StringPtr(words)
			resp.Topics = append(resp.Topics, t)
		}
		return resp, nil, true
	})
}

// A target that will not have a topic, for whatever reason: a fault of that topic with the broker's words.
func TestBadInputCreationRefused(t *testing.T) {
	for name, c := range map[string]struct {
		topic string
		code  int16
		words string
	}{
		"a name that collides": {"a.b", kerr.InvalidTopicException.Code, "Topic 'a.b' collides with existing topics: a_b"},
		"too many partitions":  {"wide", kerr.InvalidPartitions.Code, "Number of partitions is over the limit"},
		"too many replicas":    {"wide", kerr.InvalidReplicationFactor.Code, "Unable to replicate the partition 3 time(s)"},
		"an unknown error":     {"odd", 9999, "who knows"},
	} {
		b := newBench(t)
		b.create(b.fakeA, c.topic, 2, nil)
		b.refuseCreation(c.code, c.words)
		o := b.ensure(c.topic)
		if o.Ready || (o.Fault == nil && o.Waiting == "") || (o.Fault != nil && (o.Fault.Kind != fault.TopicRefused || !strings.Contains(o.Fault.Error(), c.words))) {
			t.Errorf("%s: %+v, fault %v", name, o, o.Fault)
		}
	}
}

// A creation that the target leaves out of its answer has not happened.
func TestBadInputCreationLeftOut(t *testing.T) {
	b := newBench(t)
	b.create(b.fakeA, "orders", 2, nil)
	b.fakeB.ControlKey(int16(kmsg.CreateTopics), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		b.fakeB.KeepControl()
		return kreq.ResponseKind(), nil, true
	})
	out, err := b.keeper.Ensure(t.Context(), []string{"orders"})
	if err == nil && (len(out) != 1 || out[0].Ready) {
		t.Errorf("%+v", out)
	}
}

func TestBadInputNames(t *testing.T) {
	b := newBench(t)
	long := strings.Repeat("x", 249)
	for _, name := range []string{long, "a.b", "A.B", "-", "0", "__almost-internal"} {
		b.create(b.fakeA, name, 1, nil)
		if o := b.ready(name); o.Topic != name {
			t.Errorf("%s became %s", name, o.Topic)
		}
	}
	all := []estate.Topic{{Name: long}, {Name: "a.b"}, {Name: "a_b"}, {Name: "a%2fb"}, {Name: "a/b"}, {Name: "../etc"}, {Name: ""}, {Name: "__consumer_offsets", Internal: true}, {Name: "__x"}}
	for pattern, want := range map[string]string{
		`a\.b`: "a.b", `a.b`: "a.b,a/b,a_b", `x{249}`: long, `.*`: "../etc,a%2fb,a.b,a/b,a_b," + long, `__x`: "__x", ``: "",
	} {
		got := Select(all, []*regexp.Regexp{regexp.MustCompile(pattern)}, nil)
		if s := strings.Join(got, ","); strings.TrimPrefix(s, ",") != want {
			t.Errorf("%q selects %q, want %q", pattern, s, want)
		}
	}
}
