package sqlite

import (
	"log/slog"
	"sync"
	"sync/atomic"
)

// checkpointer moves pages from the write-ahead log into the main file. SQLite would do it inside a COMMIT, and all who wait for
// an ack would wait for thousands of small writes and two fsyncs too. Here a goroutine with a connection of its own does it beside
// the commits.
//
// The log starts from its beginning again at the first commit that finds all of it moved, so as soon as a checkpoint ends in a
// pause. When commits go on and on the log gets long, and the committer has to move what is left itself, between two
// transactions; the checkpointer sees to it that this is little.
type checkpointer struct {
	open func() (*conn, error)
	log  *slog.Logger

	every int64 // pages written to the log before a checkpoint
	long  int64 // pages in the log that are too many

	written  atomic.Int64  // pages, by the committer
	asked    int64         // of these, when a checkpoint was last asked for; the committer's own
	due      chan struct{} // holds one: the log has grown
	leftover atomic.Bool   // the committer is to move the rest
	stopping atomic.Bool
	failing  bool // the goroutine's own
	running  sync.WaitGroup
}

const (
	checkpointPages = 1000  // 2 MiB: more makes longer fsyncs, beside which those of commits wait
	longLog         = 28000 // 56 MiB, below journal_size_limit, so that the file is written over and not cut
	leftoverPages   = 200   // so few are for the committer
	leftoverLimit   = 2000  // or so many, when the checkpointer gets no closer
)

func newCheckpointer(open func() (*conn, error), log *slog.Logger) *checkpointer {
	p := &checkpointer{open: open, log: log, every: checkpointPages, long: longLog, due: make(chan struct{}, 1)}
	p.running.Go(p.run)
	return p
}

// wrote is told how many pages a commit has added to the log, and has them moved in time. Only the committer calls it.
func (p *checkpointer) wrote(pages int32) {
	if n := p.written.Add(int64(pages)); n-p.asked >= p.every {
		p.asked = n
		select {
		case p.due <- struct{}{}:
		default:
		}
	}
}

// close ends the goroutine. Nothing may be written after that.
func (p *checkpointer) close() {
	p.stopping.Store(true)
	close(p.due)
	p.running.Wait()
}

func (p *checkpointer) run() {
	var c *conn
	for range p.due {
		if p.stopping.Load() {
			break
		}
		if p.leftover.Load() { // now it is for the committer
			continue
		}
		var err error
		if c == nil {
			c, err = p.open()
		}
		if err == nil {
			err = p.checkpoint(c)
		}
		if err != nil && c != nil {
			c.close() // the next one opens it anew
			c = nil
		}
		p.report(err)
	}
	if c != nil {
		c.close()
	}
}

// report says once that checkpoints fail: the log grows meanwhile, and nothing is lost.
func (p *checkpointer) report(err error) {
	if (err != nil) == p.failing {
		return
	}
	p.failing = err != nil
	if p.failing {
		p.log.Warn("checkpoint failed; the -wal file grows until one succeeds", "error", err, "advice", adviceOf(err))
	} else {
		p.log.Info("checkpoints succeed again")
	}
}

// checkpoint moves what is in the log. When that has become long it goes on until little is left, or it gets no closer since
// commits are too fast, and leaves the rest to the committer.
func (p *checkpointer) checkpoint(c *conn) error {
	for last := int64(leftoverLimit); ; {
		before := p.written.Load()
		inLog, moved, err := c.checkpoint()
		if err != nil || int64(inLog) < p.long || moved < inLog { // moved less: a reader needs older pages
			return err
		}
		left := p.written.Load() - before
		if left > leftoverPages && left < last/2 && !p.stopping.Load() {
			last = left
			continue
		}
		p.leftover.Store(left <= leftoverLimit)
		return nil
	}
}
