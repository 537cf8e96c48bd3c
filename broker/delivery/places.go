package delivery

import (
	"context"

	"github.com/pactwire/pactwire"
)

// places reads the bounds of streams for those who subscribe, many in one read.
type places struct {
	log  Log
	asks chan *place // unbuffered: who asks waits for the reader, and a client asks one at a time
}

type place struct {
	streams []pactwire.Stream
	done    chan struct{}
	bounds  []pactwire.Bounds
	err     error
}

// streamsARead bounds one read.
const streamsARead = 1024

func newPlaces(log Log) *places { return &places{log: log, asks: make(chan *place)} }

// bounds tells what is kept of each stream.
func (p *places) bounds(ctx context.Context, streams []pactwire.Stream) ([]pactwire.Bounds, error) {
	ask := &place{streams: streams, done: make(chan struct{})}
	late := func() error {
		return &pactwire.Error{Code: pactwire.Unavailable, Message: "the log cannot be read now; try again", Cause: ctx.Err()}
	}
	select {
	case p.asks <- ask:
	case <-ctx.Done():
		return nil, late()
	}
	select {
	case <-ask.done:
		return ask.bounds, ask.err
	case <-ctx.Done():
		return nil, late()
	}
}

func (p *places) run(ctx context.Context) {
	for {
		var batch []*place
		n := 0
		select {
		case <-ctx.Done():
			return
		case ask := <-p.asks:
			batch, n = append(batch, ask), len(ask.streams)
		}
	more:
		for n < streamsARead {
			select {
			case ask := <-p.asks:
				batch = append(batch, ask)
				n += len(ask.streams)
			default:
				break more
			}
		}
		p.read(ctx, batch, n)
	}
}

func (p *places) read(ctx context.Context, batch []*place, n int) {
	streams := make([]pactwire.Stream, 0, n)
	for _, ask := range batch {
		streams = append(streams, ask.streams...)
	}
	turn, cancel := context.WithTimeout(ctx, readTimeout)
	bounds, err := p.log.Bounds(turn, streams)
	cancel()
	for _, ask := range batch {
		if ask.err = err; err == nil {
			ask.bounds, bounds = bounds[:len(ask.streams)], bounds[len(ask.streams):]
		}
		close(ask.done)
	}
}
