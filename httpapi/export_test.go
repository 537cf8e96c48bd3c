package httpapi

import "log/slog"

// RoutesOf lists the operations that the ports give, as "METHOD path".
func RoutesOf(p Ports) []string {
	var out []string
	for _, r := range newAPI(p, slog.New(slog.DiscardHandler), nil).routes() {
		out = append(out, r.method+" "+r.pattern)
	}
	return out
}
