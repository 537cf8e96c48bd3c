package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"github.com/pactwire/pactwire/habits"
	"github.com/pactwire/pactwire/httpapi"
	"github.com/pactwire/pactwire/internal/config"

	"github.com/prometheus/client_golang/prometheus"
)

// drainTime bounds a clean stop.
const drainTime = 15 * time.Second

// serveCmd runs a node.
type serveCmd struct {
	Demo bool `help:"Two people, one pact and a little history, on this machine alone."`
}

// Run implements the command.
func (c *serveCmd) Run(g *globals) error {
	if c.Demo {
		g.Set = append([]string{"demo=true"}, g.Set...)
	}
	loaded, err := g.load()
	if err != nil {
		return err
	}
	cfg := loaded.Config
	log := newLogger(cfg.Log)
	tuneMemory()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	n, err := newNode(ctx, cfg, log)
	if err != nil {
		return err
	}
	go giveBack(ctx)
	defer n.shutdown(stop)
	if err := n.Start(ctx); err != nil {
		return err
	}
	if cfg.Demo {
		if err := n.demo(ctx, os.Stdout); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
	}
	log.Info("ready", "http", cfg.HTTP.Addr, "version", version)
	<-ctx.Done()
	return nil
}

// shutdown stops the node cleanly; a second signal ends the process at once.
func (n *node) shutdown(release func()) {
	release()
	n.log.Info("stopping")
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	n.Stop(ctx)
}

// newLogger writes for a person on a terminal, and JSON elsewhere.
func newLogger(cfg config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Level)) // checked when the configuration was loaded
	format := cfg.Format
	if format == "auto" {
		format = "json"
		if term.IsTerminal(int(os.Stderr.Fd())) {
			format = "text"
		}
	}
	if format == "text" {
		return slog.New(tint.NewTextHandler(os.Stderr, &tint.Options{Level: level, TimeFormat: time.TimeOnly}))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

// habitsServiceCmd runs the habits-service as a process of its own.
type habitsServiceCmd struct{}

// Run implements the command.
func (*habitsServiceCmd) Run(g *globals) error {
	loaded, err := g.load()
	if err != nil {
		return err
	}
	cfg := loaded.Config
	log := newLogger(cfg.Log)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	verifier, err := newVerifier(cfg, nil, log)
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	store, err := openStore(ctx, cfg, log, reg)
	if err != nil {
		return err
	}
	defer func() {
		if err := store.Close(); err != nil {
			log.Error("close the store", "error", err)
		}
	}()
	host, err := habits.NewHost(store.host(), habits.HostConfig{
		Secret: string(cfg.Habits.Secret), EventsURL: cfg.Habits.EventsURL, NoCache: store.shared(),
	}, log, reg)
	if err != nil {
		return err
	}
	verifier.Start(ctx)
	defer verifier.Stop()
	if err := host.Start(ctx); err != nil {
		return err
	}
	service, claims := host.Service(), rate{newLimits(cfg.Limits).commands}
	api := httpapi.New(httpapi.Config{Addr: cfg.Habits.Addr, Key: "habits.addr"}, httpapi.Ports{
		Verifier: verifier, Profile: service, Goals: service, Pacts: service, Invitations: invitations{service, claims},
		Membership: service, Streaks: service, Checkins: service, Metrics: reg, Fallback: host.Handler(),
		Ready: func() []httpapi.Cause {
			if err := store.Ready(context.WithoutCancel(ctx)); err != nil {
				return []httpapi.Cause{{Name: "store", Error: err.Error()}}
			}
			return nil
		},
	}, log, reg)
	if err := api.Start(ctx); err != nil {
		return err
	}
	if cfg.Habits.Secret == "" {
		log.Warn("habits.secret is not set: people are served, and no node of pactwire serve is; set the same one for both")
	}
	log.Info("ready", "http", cfg.Habits.Addr, "pid", strconv.Itoa(os.Getpid()), "version", version)
	<-ctx.Done()
	stop()
	end, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := api.Stop(end); err != nil {
		log.Warn("stop http", "error", err)
	}
	return host.Stop(end)
}
