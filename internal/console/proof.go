package console

import (
	"fmt"
	"io"

	"github.com/kferry/kferry/internal/report"
)

// Proof is what comparing found out about one topic.
type Proof struct {
	Topic   string
	Records int64  // compared
	Result  string // equal, different, incomplete
}

// WriteProof prints one line for each topic: where its log begins and ends on the target, what was copied and how,
// and what comparing both sides found. width 0 is unlimited.
func WriteProof(w io.Writer, doc *report.Document, proofs []Proof, width int) error {
	found := map[string]Proof{}
	for _, p := range proofs {
		found[p.Topic] = p
	}
	t := &table{columns: []column{
		{title: "TOPIC", min: 10}, {title: "PARTS", right: true, drop: 5}, {title: "LOG START", right: true, drop: 2}, {title: "LOG END", right: true, drop: 3},
		{title: "PASSED AS IS", right: true, drop: 6}, {title: "WRITTEN ANEW", right: true, drop: 7},
		{title: "GAPS (OFFSETS)", min: 14, prose: true, drop: 4}, {title: "COMPARED", right: true}, {title: "RESULT"},
	}}
	for i := range doc.Topics {
		topic := &doc.Topics[i]
		s := sumTopic(topic)
		first, last := int64(-1), int64(-1)
		for _, p := range topic.Partitions {
			if first < 0 || p.TargetStart < first {
				first = p.TargetStart
			}
			last = max(last, p.TargetEnd)
		}
		p, ok := found[topic.Name]
		if !ok {
			p.Result = "not compared"
		}
		t.add(topic.Name, fmt.Sprint(len(topic.Partitions)), offset(first), offset(last),
			Bytes(s.traffic.BytesRaw), Bytes(s.traffic.BytesRecoded), gaps(s.traffic), fmt.Sprint(p.Records), p.Result)
	}
	return t.write(w, width)
}
