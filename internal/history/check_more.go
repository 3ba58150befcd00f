package history

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// checkLogs judges borders (I3), open transactions (I6) and seeks by time (I8).
func checkLogs(ctx context.Context, o *CheckOptions, v *Verdict, read map[string][]*sides) error {
	topics := slices.Sorted(maps.Keys(read))
	open, err := openTransactions(ctx, o, topics)
	if err != nil {
		return err
	}
	for _, topic := range topics {
		for _, p := range read[topic] {
			v.checked(I6Transactions, 1)
			if p.t.stable != p.t.high {
				v.violate(I6Transactions, "%s-%d: the target's last stable offset is %d, its high watermark %d", topic, p.partition, p.t.stable, p.t.high)
			}
			for _, what := range open[topic][p.partition] {
				v.violate(I6Transactions, "%s-%d: %s", topic, p.partition, what)
			}
			if _, stopped := o.until(topic, p.partition); stopped || o.Shifted {
				continue
			}
			if err := p.borders(ctx); err != nil {
				return err
			}
			if err := p.timeSeeks(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *sides) borders(ctx context.Context) error {
	p.v.checked(I3Borders, 1)
	if p.s.start != p.t.start {
		p.v.violate(I3Borders, "%s-%d: the source's log starts at %d, the target's at %d", p.topic, p.partition, p.s.start, p.t.start)
	}
	if p.s.stable != p.t.high {
		p.v.violate(I3Borders, "%s-%d: the source's last stable offset is %d, the target's high watermark %d", p.topic, p.partition, p.s.stable, p.t.high)
	}
	end, err := p.logEnd(ctx)
	if err != nil {
		return err
	}
	if end != p.t.high {
		p.v.violate(I3Borders, "%s-%d: the target's log ends at %d beyond its high watermark %d", p.topic, p.partition, end, p.t.high)
	}
	return nil
}

// logEnd asks the target's leader for its log end: ListOffsets tells only the high watermark.
func (p *sides) logEnd(ctx context.Context) (int64, error) {
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
	rt.Topic = p.topic
	rp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	rp.Partition, rp.CurrentLeaderEpoch = p.partition, -1
	md, err := kadm.NewClient(p.o.Target).Metadata(ctx, p.topic)
	if err != nil {
		return 0, err
	}
	rp.LeaderEpoch = md.Topics[p.topic].Partitions[p.partition].LeaderEpoch
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, p.o.Target)
	if err != nil {
		return 0, fmt.Errorf("ask for the log end of %s-%d: %w", p.topic, p.partition, err)
	}
	a := resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(a.ErrorCode); err != nil {
		return 0, fmt.Errorf("ask for the log end of %s-%d: %w", p.topic, p.partition, err)
	}
	return a.EndOffset, nil
}

// openTransactions asks the target's leaders for transactions that are open.
func openTransactions(ctx context.Context, o *CheckOptions, topics []string) (map[string]map[int32][]string, error) {
	var set kadm.TopicsSet = map[string]map[int32]struct{}{}
	md, err := kadm.NewClient(o.Target).Metadata(ctx, topics...)
	if err != nil {
		return nil, err
	}
	for _, topic := range topics {
		for id := range md.Topics[topic].Partitions {
			set.Add(topic, id)
		}
	}
	described, err := kadm.NewClient(o.Target).DescribeProducers(ctx, set)
	if err != nil {
		return nil, fmt.Errorf("describe the producers of the target: %w", err)
	}
	open := map[string]map[int32][]string{}
	described.EachProducer(func(d kadm.DescribedProducer) {
		if d.CurrentTxnStartOffset >= 0 {
			if open[d.Topic] == nil {
				open[d.Topic] = map[int32][]string{}
			}
			open[d.Topic][d.Partition] = append(open[d.Topic][d.Partition], fmt.Sprintf("producer %d has a transaction open since offset %d", d.ProducerID, d.CurrentTxnStartOffset))
		}
	})
	return open, nil
}

// timeSeeks asks both sides for a few times. Fillers carry other times than what they stand for, so the answers
// may differ; they are counted.
func (p *sides) timeSeeks(ctx context.Context) error {
	const samples = 4
	for i := range samples {
		if len(p.sc) == 0 {
			return nil
		}
		millis := p.sc[i*(len(p.sc)-1)/samples].millis
		p.v.checked(I8Times, 1)
		s, err := kadm.NewClient(p.o.Source).ListOffsetsAfterMilli(ctx, millis, p.topic)
		if err != nil {
			return err
		}
		t, err := kadm.NewClient(p.o.Target).ListOffsetsAfterMilli(ctx, millis, p.topic)
		if err != nil {
			return err
		}
		if s[p.topic][p.partition].Offset != t[p.topic][p.partition].Offset {
			p.v.TimeSeeks++
		}
	}
	return nil
}

// checkClaims compares what the copy says with what was read: I9 and I10.
func checkClaims(o *CheckOptions, v *Verdict, target map[string][]ends) {
	for topic, parts := range o.Claims.Ends {
		for id, span := range parts {
			v.checked(I9Journal, 1)
			if int(id) >= len(target[topic]) {
				v.violate(I9Journal, "%s-%d is reported and not on the target", topic, id)
				continue
			}
			if e := target[topic][id]; e.start != span.Start || e.high != span.End {
				v.violate(I9Journal, "%s-%d is reported as [%d, %d) on the target and is [%d, %d)", topic, id, span.Start, span.End, e.start, e.high)
			}
		}
	}
	if o.Claims.Verified == nil {
		return
	}
	v.checked(I10Claim, 1)
	wrong := !v.Counts.Zero() || v.violations(I7Layout) > 0
	switch {
	case *o.Claims.Verified && wrong:
		v.violate(I10Claim, "the copy's own verification says equal")
	case !*o.Claims.Verified && !wrong:
		v.FalseAlarm = true
	}
}

// Behind says what the target has yet to do before [Check] can be asked: a log start or end, or a group's
// position that is not the source's. Empty when there is nothing; partitions in Until are not waited for.
func Behind(ctx context.Context, o CheckOptions) (string, error) {
	s, err := tryEnds(ctx, o.Source, o.Topics)
	if err != nil {
		return "", err
	}
	t, err := tryEnds(ctx, o.Target, o.Topics)
	if err != nil {
		return "", err
	}
	for _, topic := range o.Topics {
		for id, e := range s[topic] {
			if _, stopped := o.until(topic, int32(id)); stopped {
				continue
			}
			if id >= len(t[topic]) {
				return fmt.Sprintf("%s-%d is not there", topic, id), nil
			}
			if at := t[topic][id]; at.high != e.stable || at.start != e.start || at.stable != at.high {
				return fmt.Sprintf("%s-%d is [%d, %d) on the source, [%d, %d) on the target, stable up to %d", topic, id, e.start, e.stable, at.start, at.high, at.stable), nil
			}
		}
	}
	v := &Verdict{}
	read := map[string][]*sides{}
	for topic := range s {
		for id := range t[topic] {
			read[topic] = append(read[topic], &sides{o: &o, v: v, topic: topic, partition: int32(id), s: s[topic][id], t: t[topic][id]})
		}
	}
	if err := checkGroups(ctx, &o, v, read); err != nil {
		return "", err
	}
	if v.GroupDiff > 0 {
		return v.Invariants[I5Groups].Examples[0], nil
	}
	return "", nil
}
