package testkit

import (
	"bytes"
	"sync"
)

// Lines collects what a process writes, line by line. It keeps the last 100,000 lines, which no test comes near; older
// ones are dropped.
type Lines struct {
	mu      sync.Mutex
	partial []byte
	lines   []string
	total   int
}

const maxLines = 100_000

// Write implements io.Writer.
func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, p...)
	for {
		i := bytes.IndexByte(l.partial, '\n')
		if i < 0 {
			return len(p), nil
		}
		l.lines = append(l.lines, string(bytes.TrimSuffix(l.partial[:i], []byte{'\r'})))
		l.partial = l.partial[i+1:]
		l.total++
		if len(l.lines) > maxLines {
			l.lines = append([]string(nil), l.lines[maxLines/2:]...)
		}
	}
}

// All returns a copy of the lines so far.
func (l *Lines) All() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

// Matching returns the lines for which f is true.
func (l *Lines) Matching(f func(string) bool) []string {
	var out []string
	for _, s := range l.All() {
		if f(s) {
			out = append(out, s)
		}
	}
	return out
}
