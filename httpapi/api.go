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
	"github.com/pactwire/pactwire/internal/trouble"
	"github.com/pactwire/pactwire/topics"
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

	trouble trouble.Log // of readiness
}

func newAPI(p Ports, log *slog.Logger, reg prometheus.Registerer) *API {
	return &API{ports: p, log: log, count: newCounters(reg)}
}

// route is one operation. Its pattern is a path of the OpenAPI document.
type route struct {
	method, pattern string
	open            bool // no token needed
	operators       bool // for operators alone; stands on http.admin_addr instead, when there is one
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
		route{method: "GET", pattern: "/v1/me", handle: a.getMe},
		route{method: "PATCH", pattern: "/v1/me", handle: a.patchMe})
	add(p.Goals != nil,
		route{method: "GET", pattern: "/v1/goals", handle: a.listGoals},
		route{method: "POST", pattern: "/v1/goals", handle: a.createGoal})
	add(p.Pacts != nil,
		route{method: "GET", pattern: "/v1/pacts", handle: a.listPacts},
		route{method: "POST", pattern: "/v1/pacts", handle: a.createPact},
		route{method: "GET", pattern: "/v1/pacts/{id}", handle: a.getPact})
	add(p.Invitations != nil,
		route{method: "POST", pattern: "/v1/pacts/{id}/invite", handle: a.invite},
		route{method: "POST", pattern: "/v1/pacts/claim", handle: a.claim})
	add(p.Membership != nil,
		route{method: "POST", pattern: "/v1/pacts/{id}/accept", handle: a.act(pactwire.ActAccept)},
		route{method: "POST", pattern: "/v1/pacts/{id}/decline", handle: a.act(pactwire.ActDecline)},
		route{method: "POST", pattern: "/v1/pacts/{id}/leave", handle: a.act(pactwire.ActLeave)},
		route{method: "POST", pattern: "/v1/pacts/{id}/abandon", handle: a.act(pactwire.ActAbandon)},
		route{method: "POST", pattern: "/v1/pacts/{id}/complete", handle: a.act(pactwire.ActComplete)},
		route{method: "POST", pattern: "/v1/pacts/{id}/remove", handle: a.remove})
	add(p.Streaks != nil, route{method: "GET", pattern: "/v1/streaks", handle: a.listStreaks})
	add(p.Checkins != nil, route{method: "DELETE", pattern: "/v1/checkins/{id}", handle: a.deleteCheckin})
	add(p.Commands != nil,
		route{method: "POST", pattern: "/v1/pacts/{id}/checkins", handle: a.command(toPact(topics.CheckinsKind))},
		route{method: "POST", pattern: "/v1/pacts/{id}/celebrations", handle: a.command(toPact(topics.CelebrationsKind))},
		route{method: "POST", pattern: "/v1/pacts/{id}/encouragements", handle: a.command(toPact(topics.EncouragementKind))},
		route{method: "POST", pattern: "/v1/pacts/{id}/reactions", handle: a.command(toPact(topics.ReactionsKind))},
		route{method: "POST", pattern: "/v1/pacts/{id}/messages", handle: a.command(toPact(topics.MessagesKind))},
		route{method: "POST", pattern: "/v1/users/{id}/messages", handle: a.command(toPerson(topics.UserMessagesKind))},
		route{method: "POST", pattern: "/v1/users/{id}/connections", handle: a.command(toPerson(topics.ConnectionsKind))},
		route{method: "PATCH", pattern: "/v1/notifications", handle: a.command(toSelf(topics.NotificationsKind))})
	add(p.People != nil,
		route{method: "GET", pattern: "/v1/notifications", handle: a.listNotifications},
		route{method: "GET", pattern: "/v1/connections", handle: a.listConnections})
	add(p.History != nil, route{method: "GET", pattern: "/v1/pacts/{id}/activities", handle: a.listActivities})
	add(p.Inbox != nil, route{method: "GET", pattern: "/v1/inbox", handle: a.listInbox})
	add(p.Events != nil, route{method: "POST", pattern: "/v1/events", open: true, handle: a.receiveEvent})
	add(p.PushTokens != nil, a.pushTokenRoutes()...)
	add(p.Pushes != nil, a.pushRoutes()...)
	add(p.Why != nil, route{method: "GET", pattern: "/v1/why", handle: a.why})
	add(p.Devices != nil,
		route{method: "GET", pattern: "/v1/devices", handle: a.listDevices},
		route{method: "POST", pattern: "/v1/devices", handle: a.addDevice},
		route{method: "DELETE", pattern: "/v1/devices/{id}", handle: a.removeDevice})
	add(p.Revocations != nil,
		route{method: "POST", pattern: "/v1/logout", handle: a.logout},
		route{method: "GET", pattern: "/v1/revocations", operators: true, handle: a.listRevocations},
		route{method: "POST", pattern: "/v1/revocations", operators: true, handle: a.revoke})
	add(true,
		route{method: "GET", pattern: "/openapi.json", open: true, handle: openAPI},
		route{method: "GET", pattern: "/livez", open: true, handle: live},
		route{method: "GET", pattern: "/readyz", open: true, handle: a.ready})
	return rs
}

func (a *API) pushTokenRoutes() []route {
	return []route{
		{method: "GET", pattern: "/v1/push-tokens", handle: a.listPushTokens},
		{method: "POST", pattern: "/v1/push-tokens", handle: a.registerPushToken},
		{method: "DELETE", pattern: "/v1/push-tokens/{id}", handle: a.dropPushToken},
	}
}

func (a *API) pushRoutes() []route {
	return []route{
		{method: "GET", pattern: "/v1/pushes", operators: true, handle: a.listPushes},
		{method: "POST", pattern: "/v1/pushes/{id}/retry", operators: true, handle: a.retryPush},
	}
}

// handler is everything on http.addr. alone says that there is no http.admin_addr.
func (a *API) handler(alone bool) http.Handler {
	mux := http.NewServeMux()
	var here, there []route
	for _, r := range a.routes() {
		if r.operators && !alone {
			there = append(there, r)
		} else {
			here = append(here, r)
		}
	}
	a.mount(mux, here)
	a.absent(mux, there, "this is for operators, and on http.admin_addr")
	if a.ports.Commands != nil && a.ports.PushTokens == nil {
		a.absent(mux, a.pushTokenRoutes(), noChannel)
	}
	if a.ports.Commands != nil && a.ports.Pushes == nil {
		a.absent(mux, a.pushRoutes(), noChannel)
	}
	if !alone && a.ports.Metrics != nil {
		a.absent(mux, []route{{pattern: "/metrics"}}, "this is on http.admin_addr")
	}
	if alone && a.ports.Metrics != nil {
		mux.Handle("GET /metrics", a.observe("/metrics", onlyLocal(a.metrics())))
	}
	a.fallback(mux, a.ports.Fallback, "there is nothing at this path; see /openapi.json")
	if a.ports.Forwards {
		return onlyOnce(mux)
	}
	return mux
}

// onlyOnce refuses what a server like this one has forwarded: it would go round and round.
func onlyOnce(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(pactwire.ForwardedHeader) != "" {
			writeError(w, http.StatusLoopDetected, pactwire.Errorf(pactwire.Unavailable, "this server is no habits-service; correct habits.url"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

const noChannel = "this server pushes nothing: no channel of push.* is configured"

// absent answers for routes that are documented and not here, and says why.
func (a *API) absent(mux *http.ServeMux, rs []route, why string) {
	seen := map[string]bool{}
	for _, r := range rs {
		if !seen[r.pattern] {
			seen[r.pattern] = true
			mux.Handle(r.pattern, a.observe(r.pattern, nothing(why)))
		}
	}
}

func nothing(why string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusNotFound, pactwire.Errorf(pactwire.NotFound, "%s", why))
	})
}

// admin is everything on http.admin_addr: metrics for whoever reaches it, profiles for operators.
func (a *API) admin() http.Handler {
	mux := http.NewServeMux()
	var rs []route
	for _, r := range a.routes() {
		if r.operators || r.pattern == "/livez" || r.pattern == "/readyz" || r.pattern == "/v1/why" || r.pattern == "/openapi.json" {
			rs = append(rs, r)
		}
	}
	for pattern, h := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/profile": pprof.Profile, "/debug/pprof/trace": pprof.Trace,
		"/debug/pprof/symbol": pprof.Symbol,
	} {
		rs = append(rs, route{method: "GET", pattern: pattern, operators: true, handle: plain(h)})
	}
	a.mount(mux, rs)
	if a.ports.Metrics != nil {
		mux.Handle("GET /metrics", a.metrics())
	}
	if a.ports.Pushes == nil {
		a.absent(mux, a.pushRoutes(), noChannel)
	}
	a.fallback(mux, nil, "there is nothing at this path of http.admin_addr; the rest of /openapi.json is on http.addr")
	return mux
}

// methods are those that a path without them refuses by name.
var methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// mount registers the routes, and for each path a refusal of every other method.
func (a *API) mount(mux *http.ServeMux, rs []route) {
	allow := map[string][]string{}
	for _, r := range rs {
		if r.operators {
			r.handle = onlyOperators(r.handle)
		}
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

// fallback answers for all other paths: h does, or a refusal. Methods that no path was asked about come here too, since the pattern
// of a path for every method would be at odds with those that one method has; they are refused as OPTIONS is there.
func (a *API) fallback(mux *http.ServeMux, h http.Handler, why string) {
	if h == nil {
		h = nothing(why)
	}
	other := a.observe("other", h)
	mux.Handle("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(methods, r.Method) && r.Method != http.MethodHead {
			asked := r.Clone(r.Context())
			asked.Method = http.MethodOptions
			if refusal, pattern := mux.Handler(asked); pattern != "/" {
				refusal.ServeHTTP(w, r)
				return
			}
		}
		other.ServeHTTP(w, r)
	}))
}

func (a *API) metrics() http.Handler {
	return promhttp.HandlerFor(a.ports.Metrics, promhttp.HandlerOpts{})
}
