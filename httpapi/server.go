package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Server is the API on its listeners.
type Server struct {
	cfg     Config
	handler http.Handler
	admin   http.Handler
	log     *slog.Logger
	running []running
}

// running is one listener with its server; done is closed when it has ended.
type running struct {
	key    string
	addr   net.Addr
	server *http.Server
	done   chan struct{}
}

// New makes a server that listens after Start.
func New(cfg Config, p Ports, log *slog.Logger, reg prometheus.Registerer) *Server {
	if cfg.Key == "" {
		cfg.Key = "http.addr"
	}
	a := newAPI(p, log, reg)
	return &Server{cfg: cfg, handler: a.handler(cfg.AdminAddr == ""), admin: a.admin(), log: log}
}

// Handler answers what comes to http.addr.
func (s *Server) Handler() http.Handler { return s.handler }

// Start binds the listeners and serves them until Stop. A taken port is an error that names the config key.
func (s *Server) Start(ctx context.Context) error {
	for _, l := range []struct {
		key, addr string
		handler   http.Handler
	}{{s.cfg.Key, s.cfg.Addr, s.handler}, {"http.admin_addr", s.cfg.AdminAddr, s.admin}} {
		if l.addr == "" {
			continue
		}
		ln, err := new(net.ListenConfig).Listen(ctx, "tcp", l.addr)
		if err != nil {
			return errors.Join(bindError(l.key, l.addr, err), s.Stop(ctx))
		}
		r := running{key: l.key, addr: ln.Addr(), done: make(chan struct{}), server: &http.Server{
			Handler:           l.handler,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       15 * time.Second,
			WriteTimeout:      time.Minute,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    32 << 10,
			ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // what clients do wrong
		}}
		s.running = append(s.running, r)
		go func() {
			defer close(r.done)
			if err := r.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				s.log.Error("http listener ended", "listener", r.key, "error", err)
			}
		}()
	}
	return nil
}

func bindError(key, addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s: %s is already in use; stop the program that has it or set another address", key, addr)
	}
	return fmt.Errorf("%s: cannot listen on %s: %w", key, addr, err)
}

// Addr is where a listener of that config key listens, nil when it does not.
func (s *Server) Addr(key string) net.Addr {
	for _, r := range s.running {
		if r.key == key {
			return r.addr
		}
	}
	return nil
}

// Stop takes no more requests and waits for those under way, until ctx ends; then it cuts them.
func (s *Server) Stop(ctx context.Context) error {
	var errs []error
	for _, r := range s.running {
		if err := r.server.Shutdown(ctx); err != nil {
			errs = append(errs, r.server.Close())
		}
		<-r.done
	}
	s.running = nil
	return errors.Join(errs...)
}
