package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
)

// counters are the metrics of this package.
type counters struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newCounters(reg prometheus.Registerer) *counters {
	c := &counters{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pactwire_http_requests_total", Help: "Requests answered, by route and status.",
		}, []string{"method", "route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pactwire_http_request_seconds", Help: "Time to answer a request, by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"route"}),
	}
	if reg != nil {
		reg.MustRegister(c.requests, c.seconds)
	}
	return c
}

// serve finds out who is asking, and turns the route's error into an answer.
func (a *API) serve(r route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var id pactwire.Identity
		if !r.open {
			var err error
			if id, err = a.identify(req); err != nil {
				a.refuse(w, req, unauthorized(err))
				return
			}
		}
		if err := r.handle(w, req, id); err != nil {
			a.refuse(w, req, err)
		}
	})
}

// identify verifies the bearer token.
func (a *API) identify(r *http.Request) (pactwire.Identity, error) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return pactwire.Identity{}, pactwire.Errorf(pactwire.Denied, "a token is needed; send the header Authorization: Bearer TOKEN")
	}
	return a.ports.Verifier.Verify(r.Context(), strings.TrimSpace(token))
}

// observe counts and logs requests to a route, and answers for one that panics.
func (a *API) observe(pattern string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &recorder{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(p) // net/http's own way to end a connection
				}
				a.log.Error("http request panicked", "route", pattern, "panic", p, "stack", string(debug.Stack()))
				if rec.status == 0 {
					writeError(rec, http.StatusInternalServerError, pactwire.AsError(nil))
				}
			}
			a.record(pattern, r, rec, time.Since(began))
		}()
		next.ServeHTTP(rec, r)
	})
}

// record writes down what became of a request: never its path, query, body or token.
func (a *API) record(pattern string, r *http.Request, rec *recorder, took time.Duration) {
	status := rec.status
	if status == 0 {
		status = http.StatusOK
	}
	method := r.Method
	switch method {
	case "GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS":
	default:
		method = "other" // a closed set, whatever a client invents
	}
	a.count.requests.WithLabelValues(method, pattern, strconv.Itoa(status)).Inc()
	a.count.seconds.WithLabelValues(pattern).Observe(took.Seconds())
	level := levelOf(status)
	if pattern == "/readyz" {
		level = slog.LevelDebug // balancers ask all the time; what it says is logged when it changes
	}
	a.log.LogAttrs(context.WithoutCancel(r.Context()), level, "http request", attrs(method, pattern, status, rec.bytes, took)...)
}

// recorder remembers the status and length of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// onlyLocal lets this machine in and nobody else. What a proxy on this machine passes on did not come from it, so a
// request that says it was forwarded is refused too.
func onlyLocal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		addr, perr := netip.ParseAddr(host)
		if err != nil || perr != nil || !addr.Unmap().IsLoopback() || forwarded(r.Header) {
			writeError(w, http.StatusForbidden, pactwire.Errorf(pactwire.Denied, "only from this machine, or on http.admin_addr"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func forwarded(h http.Header) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if h.Get(name) != "" {
			return true
		}
	}
	return false
}

// onlyOperators refuses everybody else.
func onlyOperators(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error {
		if !id.Is(pactwire.RoleOperator) {
			return pactwire.Errorf(pactwire.Denied, "only operators may do this")
		}
		return next(w, r, id)
	}
}

// plain lets a handler of the standard library answer.
func plain(h http.HandlerFunc) handler {
	return func(w http.ResponseWriter, r *http.Request, _ pactwire.Identity) error {
		h(w, r)
		return nil
	}
}
