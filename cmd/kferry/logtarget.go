package main

import (
	"io"
	"sync"
)

// logTarget is a writer whose destination can be changed while loggers hold it.
type logTarget struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *logTarget) set(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.w = w
}

// Write implements io.Writer.
func (l *logTarget) Write(p []byte) (int, error) {
	l.mu.Lock()
	w := l.w
	l.mu.Unlock()
	if w == nil {
		return len(p), nil
	}
	return w.Write(p)
}
