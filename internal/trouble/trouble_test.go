package trouble

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestATroubleIsSaidOnce: when it begins, once a minute while it lasts, and when it is over; of one that comes and goes all the time
// not each time.
func TestATroubleIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&b, nil))
		var l Log
		said := func() string {
			defer b.Reset()
			var words []string
			for line := range strings.Lines(b.String()) {
				_, msg, _ := strings.Cut(line, "msg=")
				words = append(words, strings.TrimSpace(msg))
			}
			return strings.Join(words, "; ")
		}
		const begun, over = `"no rows" error=away`, `"over: no rows"`
		for i, step := range []struct {
			after time.Duration
			fails bool
			want  string
		}{
			{0, false, ""},
			{0, true, begun},
			{time.Second, true, ""},
			{time.Second, false, over},
			{time.Second, false, ""},
			{time.Second, true, ""}, // so soon again
			{time.Second, false, ""},
			{time.Second, true, ""},
			{10 * time.Second, true, begun},
			{59 * time.Second, true, ""},
			{time.Second, true, begun},
			{time.Second, false, over},
			{time.Hour, true, begun},
		} {
			<-time.After(step.after)
			var err error
			if step.fails {
				err = errors.New("away")
			}
			l.Change(logger, "no rows", err)
			if got := said(); got != step.want {
				t.Errorf("step %d: %s, want %s", i, got, step.want)
			}
		}
		l.Change(logger, "no other rows", errors.New("away"))
		if got := said(); got != `"no other rows" error=away` {
			t.Errorf("another trouble: %s", got)
		}
	})
}
