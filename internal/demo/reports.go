package demo

import (
	"sync"

	"github.com/kferry/kferry/internal/report"
)

// reports keeps the newest document.
type reports struct {
	mu  sync.Mutex
	doc *report.Document
}

func (r *reports) put(doc *report.Document) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doc = doc
}

func (r *reports) get() *report.Document {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.doc
}
