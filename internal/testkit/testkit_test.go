package testkit

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
)

func TestLines(t *testing.T) {
	var l Lines
	for _, s := range []string{"a", "b\nc", "d\r\n", "\n", "rest"} {
		if _, err := io.WriteString(&l, s); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.All(); len(got) != 3 || got[0] != "ab" || got[1] != "cd" || got[2] != "" {
		t.Errorf("lines %q", got)
	}
}

func activity(seq pactwire.Seq, command string) pactwire.Activity {
	return pactwire.Activity{ID: "a" + seq.String(), Seq: seq, CommandID: &command, Data: []byte("{}")}
}

func TestHistoryFindsWhatIsWrong(t *testing.T) {
	one, two, three := activity(1, "c1"), activity(2, "c2"), activity(3, "c3")
	log := []pactwire.Activity{one, two, three}
	acked := map[string]bool{"c1": true, "c2": true, "c3": true}
	changed := activity(2, "c2")
	changed.Data = []byte("[]")
	for name, c := range map[string]struct {
		h    History
		want int
	}{
		"all is well":        {History{Acked: acked, Log: log, Received: map[string][]pactwire.Activity{"s": {one, two, two, three}}}, 0},
		"a late start":       {History{Log: log, Received: map[string][]pactwire.Activity{"s": {two, three}}, From: map[string]pactwire.Seq{"s": 1}}, 0},
		"an ack without log": {History{Acked: map[string]bool{"c9": true}, Log: log}, 1},
		"logged twice":       {History{Log: []pactwire.Activity{one, activity(2, "c1")}}, 1},
		"a gap in the log":   {History{Log: []pactwire.Activity{one, three}}, 1},
		"one missed":         {History{Log: log, Received: map[string][]pactwire.Activity{"s": {one, three}}}, 1},
		"the end missed":     {History{Log: log, Received: map[string][]pactwire.Activity{"s": {one, two}}}, 1},
		"something else":     {History{Log: log, Received: map[string][]pactwire.Activity{"s": {one, changed, three}}}, 1},
		"past the head":      {History{Log: log, Received: map[string][]pactwire.Activity{"s": {one, two, three, activity(4, "c4")}}}, 1},
	} {
		if errs := c.h.Check(); len(errs) != c.want {
			t.Errorf("%s: %v, want %d errors", name, errs, c.want)
		}
	}
	if errs := Once("s", []pactwire.Activity{one, two, one}); len(errs) != 1 {
		t.Errorf("repeats: %v", errs)
	}
}

func TestProxy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go io.Copy(c, c) // an echo until the connection is cut
		}
	}()
	p := NewProxy(t, l.Addr().String())
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	echo := func(c net.Conn) error {
		if _, err := c.Write([]byte("ping")); err != nil {
			return err
		}
		if err := c.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
			return err
		}
		got := make([]byte, 4)
		if _, err := io.ReadFull(c, got); err != nil {
			return err
		}
		if !bytes.Equal(got, []byte("ping")) {
			t.Errorf("echo of %q", got)
		}
		return nil
	}
	c := dial()
	if err := echo(c); err != nil {
		t.Fatal(err)
	}
	p.Pause()
	held := make(chan error, 1)
	go func() { held <- echo(c) }()
	select {
	case err := <-held:
		t.Fatalf("a paused network passed bytes: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	p.Resume()
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	p.Down()
	if err := echo(c); err == nil {
		t.Error("a cut connection lives")
	}
	if err := echo(dial()); err == nil {
		t.Error("a network that is down took a connection")
	}
	p.Up()
	if err := echo(dial()); err != nil {
		t.Error(err)
	}
}
