package testkit

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// Program runs f outside of go test, with what the test kit asks of a test: messages go to w, and what was started is
// stopped when f returns. It reports whether nothing failed.
func Program(ctx context.Context, w io.Writer, f func(context.Context, testing.TB)) bool {
	p := &program{w: w}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx, p)
	}()
	<-done
	for _, clean := range slices.Backward(p.cleanups) {
		clean()
	}
	return !p.Failed()
}

// program is a testing.TB of which the test kit uses only the methods below.
type program struct {
	testing.TB
	w io.Writer

	mu       sync.Mutex
	cleanups []func()
	failed   bool
}

func (p *program) Helper()      {}
func (p *program) Name() string { return "program" }

func (p *program) Cleanup(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = append(p.cleanups, f)
}

func (p *program) TempDir() string {
	dir, err := os.MkdirTemp("", "pactwire-")
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			p.Error(err)
		}
	})
	return dir
}

func (p *program) Fail() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = true
}

func (p *program) Failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

func (p *program) FailNow() {
	p.Fail()
	runtime.Goexit()
}

func (p *program) Log(args ...any)                 { fmt.Fprintln(p.w, args...) }
func (p *program) Logf(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

func (p *program) Error(args ...any) {
	p.Log(args...)
	p.Fail()
}

func (p *program) Errorf(format string, args ...any) {
	p.Logf(format, args...)
	p.Fail()
}

func (p *program) Fatal(args ...any) {
	p.Log(args...)
	p.FailNow()
}

func (p *program) Fatalf(format string, args ...any) {
	p.Logf(format, args...)
	p.FailNow()
}
