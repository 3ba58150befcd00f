package main

// event is something that will happen.
type event struct {
	at int64 // ms
	n  int   // events of the same moment happen in the order in which they were planned
	do func()
}

// queue is a heap of events, the next one first.
type queue []event

func (a *event) before(b *event) bool { return a.at < b.at || a.at == b.at && a.n < b.n }

func (q *queue) push(e event) {
	h := append(*q, e)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
	*q = h
}

func (q *queue) pop() event {
	h := *q
	first, n := h[0], len(h)-1
	h[0] = h[n]
	h[n] = event{}
	h = h[:n]
	for i := 0; ; {
		least := 2*i + 1
		if least >= n {
			break
		}
		if right := least + 1; right < n && h[right].before(&h[least]) {
			least = right
		}
		if !h[least].before(&h[i]) {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	*q = h
	return first
}

// at plans something for a moment, after after some ms.
func (w *world) at(moment int64, do func()) {
	w.planned++
	w.queue.push(event{moment, w.planned, do})
}

func (w *world) after(ms int64, do func()) { w.at(w.now+ms, do) }
