package demo

import (
	"slices"
	"sync"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/report"
)

// reports keeps the newest document of each run of kferry.
type reports struct {
	mu   sync.Mutex
	docs []*report.Document // nil until the run has reported
}

// nextRun says that what is put from now on is of another run.
func (r *reports) nextRun() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.docs = append(r.docs, nil)
}

func (r *reports) put(doc *report.Document) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.docs[len(r.docs)-1] = doc
}

// get returns the newest document of this run, nil if there is none yet.
func (r *reports) get() *report.Document {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.docs[len(r.docs)-1]
}

// together is the newest document, with the traffic of all runs: each counts from its own start.
func (r *reports) together() *report.Document {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.docs) - 1
	before := map[estate.TopicPartition]report.Traffic{}
	for _, doc := range r.docs[:last] {
		for _, t := range doc.Topics {
			for _, p := range t.Partitions {
				tp := estate.TopicPartition{Topic: t.Name, Partition: p.ID}
				sum := before[tp]
				sum.Add(p.Traffic)
				before[tp] = sum
			}
		}
	}
	doc := *r.docs[last]
	doc.Topics = slices.Clone(doc.Topics)
	for i := range doc.Topics {
		t := &doc.Topics[i]
		t.Partitions = slices.Clone(t.Partitions)
		for j := range t.Partitions {
			t.Partitions[j].Traffic.Add(before[estate.TopicPartition{Topic: t.Name, Partition: t.Partitions[j].ID}])
		}
	}
	doc.Sum()
	return &doc
}
