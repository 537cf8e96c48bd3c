package broker

import (
	"context"
	"log/slog"
)

// quietLog carries the library's log. What the library warns of is caused by clients, once a packet if they like, so it is
// for debugging; and it logs whole packets, which hold people's words and tokens, so those are left out.
type quietLog struct{ slog.Handler }

func (q quietLog) Enabled(ctx context.Context, l slog.Level) bool {
	return q.Handler.Enabled(ctx, quieter(l))
}

func (q quietLog) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, quieter(r.Level), r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if !isPacket(a) {
			out.AddAttrs(a)
		}
		return true
	})
	return q.Handler.Handle(ctx, out)
}

func (q quietLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	kept := make([]slog.Attr, 0, len(attrs))
	for _, a := range attrs {
		if !isPacket(a) {
			kept = append(kept, a)
		}
	}
	return quietLog{q.Handler.WithAttrs(kept)}
}

func (q quietLog) WithGroup(name string) slog.Handler { return quietLog{q.Handler.WithGroup(name)} }

func isPacket(a slog.Attr) bool { return a.Key == "pk" || a.Key == "packet" }

func quieter(l slog.Level) slog.Level {
	if l < slog.LevelError {
		return slog.LevelDebug
	}
	return l
}
