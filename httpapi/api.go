package httpapi

import (
	"log/slog"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pactwire/pactwire"
)

// Config are the listeners.
type Config struct {
	Addr      string // http.addr; "" = off
	AdminAddr string // http.admin_addr; "" = off, and then metrics are on Addr for this machine alone
	Key       string // the config key of Addr, for errors; "" = http.addr
}

// API answers requests.
type API struct {
	ports Ports
	log   *slog.Logger
	count *counters
}

func newAPI(p Ports, log *slog.Logger, reg prometheus.Registerer) *API {
	return &API{ports: p, log: log, count: newCounters(reg)}
}

// route is one operation. Its pattern is a path of the OpenAPI document.
type route struct {
	method, pattern string
	open            bool // no token needed
	handle          handler
}

// handler answers a request. What it returns as an error becomes the answer.
type handler func(w http.ResponseWriter, r *http.Request, id pactwire.Identity) error

// routes are the operations of the ports that are there.
func (a *API) routes() []route {
	p := a.ports
	var rs []route
	add := func(there bool, some ...route) {
		if there {
			rs = append(rs, some...)
		}
	}
	add(p.Profile != nil,
		route{"GET", "/v1/me", false, a.getMe},
		route{"PATCH", "/v1/me", false, a.patchMe})
	add(p.Goals != nil,
		route{"GET", "/v1/goals", false, a.listGoals},
		route{"POST", "/v1/goals", false, a.createGoal})
	add(p.Pacts != nil,
		route{"GET", "/v1/pacts", false, a.listPacts},
		route{"POST", "/v1/pacts", false, a.createPact},
		route{"GET", "/v1/pacts/{id}", false, a.getPact})
	add(p.Invitations != nil,
		route{"POST", "/v1/pacts/{id}/invite", false, a.invite},
		route{"POST", "/v1/pacts/claim", false, a.claim})
	add(p.Membership != nil,
		route{"POST", "/v1/pacts/{id}/accept", false, a.act(pactwire.ActAccept)},
		route{"POST", "/v1/pacts/{id}/decline", false, a.act(pactwire.ActDecline)},
		route{"POST", "/v1/pacts/{id}/leave", false, a.act(pactwire.ActLeave)},
		route{"POST", "/v1/pacts/{id}/abandon", false, a.act(pactwire.ActAbandon)},
		route{"POST", "/v1/pacts/{id}/complete", false, a.act(pactwire.ActComplete)},
		route{"POST", "/v1/pacts/{id}/remove", false, a.remove})
	add(p.Streaks != nil, route{"GET", "/v1/streaks", false, a.listStreaks})
	add(p.Checkins != nil, route{"DELETE", "/v1/checkins/{id}", false, a.deleteCheckin})
	add(p.Commands != nil, route{"POST", "/v1/pacts/{id}/checkins", false, a.checkin})
	add(p.History != nil, route{"GET", "/v1/pacts/{id}/activities", false, a.listActivities})
	add(p.Inbox != nil, route{"GET", "/v1/inbox", false, a.listInbox})
	add(p.Events != nil, route{"POST", "/v1/events", true, a.receiveEvent})
	add(p.Why != nil, route{"GET", "/v1/why", false, a.why})
	add(true,
		route{"GET", "/openapi.json", true, openAPI},
		route{"GET", "/livez", true, live},
		route{"GET", "/readyz", true, a.ready})
	return rs
}

// handler is everything on http.addr.
func (a *API) handler(localMetrics bool) http.Handler {
	mux := http.NewServeMux()
	a.mount(mux, a.routes())
	if localMetrics && a.ports.Metrics != nil {
		mux.Handle("GET /metrics", a.observe("/metrics", onlyLocal(a.metrics())))
	}
	a.fallback(mux, a.ports.Fallback)
	return mux
}

// admin is everything on http.admin_addr: metrics for whoever reaches it, profiles for operators.
func (a *API) admin() http.Handler {
	mux := http.NewServeMux()
	var rs []route
	for _, r := range a.routes() {
		if r.pattern == "/livez" || r.pattern == "/readyz" || r.pattern == "/v1/why" {
			rs = append(rs, r)
		}
	}
	for pattern, h := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/profile": pprof.Profile, "/debug/pprof/trace": pprof.Trace,
		"/debug/pprof/symbol": pprof.Symbol,
	} {
		rs = append(rs, route{"GET", pattern, false, onlyOperators(h)})
	}
	a.mount(mux, rs)
	if a.ports.Metrics != nil {
		mux.Handle("GET /metrics", a.metrics())
	}
	a.fallback(mux, nil)
	return mux
}

// methods are those that a path without them refuses by name.
var methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// mount registers the routes, and for each path a refusal of every other method.
func (a *API) mount(mux *http.ServeMux, rs []route) {
	allow := map[string][]string{}
	for _, r := range rs {
		mux.Handle(r.method+" "+r.pattern, a.observe(r.pattern, a.serve(r)))
		allow[r.pattern] = append(allow[r.pattern], r.method)
	}
	for pattern, taken := range allow {
		refusal := a.observe(pattern, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", strings.Join(taken, ", "))
			writeError(w, http.StatusMethodNotAllowed, pactwire.Errorf(pactwire.Invalid, "this path takes %s", strings.Join(taken, " or ")))
		}))
		for _, m := range methods {
			if !slices.Contains(taken, m) {
				mux.Handle(m+" "+pattern, refusal)
			}
		}
	}
}

func (a *API) fallback(mux *http.ServeMux, h http.Handler) {
	if h == nil {
		h = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			writeError(w, http.StatusNotFound, pactwire.Errorf(pactwire.NotFound, "there is nothing at this path; see /openapi.json"))
		})
	}
	mux.Handle("/", a.observe("other", h))
}

func (a *API) metrics() http.Handler {
	return promhttp.HandlerFor(a.ports.Metrics, promhttp.HandlerOpts{})
}
