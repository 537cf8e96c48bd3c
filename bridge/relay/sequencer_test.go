package relay

import (
	"fmt"
	"testing"

	"github.com/pactwire/pactwire"
)

// bench is a sequencer with a log, of one stream.
type bench struct {
	*sequencer
	log       []pactwire.Entry
	published []pactwire.Seq
	told      pactwire.Seq // by behind: readers look for themselves up to here
	filling   bool
}

var stream = pactwire.ActivityOf("p")

func newBench(t interface{ Fatalf(string, ...any) }) *bench {
	b := &bench{}
	b.sequencer = newSequencer(func(e pactwire.Entry) {
		if n := len(b.published); n > 0 && e.Seq != b.published[n-1]+1 && e.Seq != b.told+1 {
			t.Fatalf("%d was published after %v", e.Seq, b.published)
		}
		b.published = append(b.published, e.Seq)
	}, func(_ pactwire.Stream, head pactwire.Seq) { b.told = max(b.told, head) }, func(pactwire.Stream) {
		if b.filling {
			t.Fatalf("asked to fill while that is under way")
		}
		b.filling = true
	})
	return b
}

func (b *bench) head() pactwire.Seq { return pactwire.Seq(len(b.log)) }

func (b *bench) commit() pactwire.Entry {
	e := pactwire.Entry{Stream: stream, Seq: b.head() + 1}
	b.log = append(b.log, e)
	return e
}

// fill reads once what is asked for.
func (b *bench) fill(limit int) {
	if !b.filling {
		return
	}
	r, ok := b.next(stream, limit)
	if !ok {
		b.filling = false
		return
	}
	_, b.filling = b.filled(r, b.log[r.After:min(int(r.After)+r.Limit, len(b.log))])
}

func TestNothingIsPublishedWhileItsPactIsRead(t *testing.T) {
	b := newBench(t)
	b.offer(b.commit())
	b.hold(stream)
	b.offer(b.commit())
	b.see(stream, b.head(), false)
	b.fill(10)
	if fmt.Sprint(b.published) != "[1]" {
		t.Fatalf("published %v", b.published)
	}
	b.release(stream)
	b.fill(10)
	if fmt.Sprint(b.published) != "[1 2]" {
		t.Fatalf("published %v", b.published)
	}
}

func TestReadersOfAStreamThatWasNotKnownAreNotSentToTheLogWhileItsPactIsRead(t *testing.T) {
	b := newBench(t)
	b.commit()
	b.hold(stream)
	b.see(stream, 1, false)
	if b.told != 0 {
		t.Fatal("they were")
	}
	b.release(stream)
	if b.told != 1 {
		t.Fatal("they are not told afterwards")
	}
}

func TestAMissingEntryIsWaitedForOnceWithPatience(t *testing.T) {
	b := newBench(t)
	b.offer(b.commit())
	b.commit()
	if suspected, lacking := b.see(stream, 2, true); !suspected || lacking || b.filling {
		t.Fatal("the log was read at once; a message may be on its way")
	}
	if _, lacking := b.see(stream, 2, true); !lacking || !b.filling {
		t.Fatal("the log was not read when no message came")
	}
}

func TestWhatRetentionHasRemovedIsPassedOver(t *testing.T) {
	b := newBench(t)
	b.offer(b.commit())
	b.see(stream, 5, false)
	r, ok := b.next(stream, 10)
	if !ok {
		t.Fatal("nothing to read")
	}
	if _, again := b.filled(r, nil); again || b.told != 5 {
		t.Errorf("again %v, told %d", again, b.told)
	}
	b.offer(pactwire.Entry{Stream: stream, Seq: 6})
	if fmt.Sprint(b.published) != "[1 6]" {
		t.Errorf("published %v", b.published)
	}
}

func TestStreamsWithoutReadersAreForgotten(t *testing.T) {
	b := newBench(t)
	for i := range 1000 {
		b.offer(pactwire.Entry{Stream: pactwire.InboxOf(pactwire.UserID(fmt.Sprint("u", i))), Seq: 1})
	}
	b.forget()
	b.see(stream, 0, false)
	b.forget()
	n := 0
	for i := range b.shards {
		n += len(b.shards[i].tracks)
	}
	if n != 1 {
		t.Errorf("%d streams are remembered, want the one with readers", n)
	}
}
