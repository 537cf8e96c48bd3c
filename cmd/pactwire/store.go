package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire/bridge"
	"github.com/pactwire/pactwire/bridge/presence"
	"github.com/pactwire/pactwire/bridge/push"
	"github.com/pactwire/pactwire/broker/delivery"
	"github.com/pactwire/pactwire/devices"
	"github.com/pactwire/pactwire/habits"
	"github.com/pactwire/pactwire/internal/auth"
	"github.com/pactwire/pactwire/internal/config"
	"github.com/pactwire/pactwire/postgres"
	"github.com/pactwire/pactwire/sqlite"
)

// store is the one database of a process: everything that is durable.
type store interface {
	bridge.Store
	habits.Store
	habits.DueStore
	delivery.Log
	delivery.SessionStore
	delivery.Owners
	presence.Store
	bridge.Seen
	devices.Store
	auth.RevocationStore

	// pushes is the store as the pusher sees it.
	pushes() push.Store
	// host is the store as a habits-service of its own sees it.
	host() habits.HostStore
	// shared says that other processes may write to the database too.
	shared() bool
	// turns say whose journal this process works on; nil = everybody's.
	turns() bridge.Turns

	Ready(ctx context.Context) error
	Close() error
}

// commitWindow is the least time from one commit to the next on PostgreSQL, where a transaction costs more than a dozen commands in
// it. A command that comes alone does not wait. In company it is longer; see postgres.DB.Share.
const commitWindow = 9 * time.Millisecond

// openStore opens the database that store.url names.
func openStore(ctx context.Context, cfg config.Config, log *slog.Logger, reg prometheus.Registerer) (store, error) {
	if path := cfg.SQLitePath(); path != "" {
		db, err := sqlite.Open(ctx, sqlite.Config{Path: path}, log, reg)
		return sqliteStore{db}, err
	}
	id, err := config.NodeID(cfg)
	if err != nil {
		return nil, err
	}
	db, err := postgres.Open(ctx, postgres.Config{URL: string(cfg.Store.URL), Node: id, CommitWindow: commitWindow}, log, reg)
	return postgresStore{db}, err
}

// sqliteStore is a file of this process alone.
type sqliteStore struct{ *sqlite.DB }

func (s sqliteStore) Submit(ctx context.Context, fn func(bridge.Tx) error, done func(error)) error {
	return s.DB.Submit(ctx, func(tx *sqlite.Tx) error { return fn(tx) }, done)
}

func (s sqliteStore) shared() bool { return false }

func (s sqliteStore) turns() bridge.Turns { return nil }

func (s sqliteStore) pushes() push.Store { return sqlitePushes(s) }

type sqlitePushes struct{ *sqlite.DB }

func (s sqlitePushes) Push(ctx context.Context, fn func(push.Tx) error) error {
	return s.Update(ctx, func(tx *sqlite.Tx) error { return fn(tx) })
}

func (s sqliteStore) host() habits.HostStore { return sqliteHost(s) }

type sqliteHost struct{ *sqlite.DB }

func (s sqliteHost) Submit(ctx context.Context, fn func(habits.HostTx) error, done func(error)) error {
	return s.DB.Submit(ctx, func(tx *sqlite.Tx) error { return fn(tx) }, done)
}

// postgresStore is a database that several processes write.
type postgresStore struct{ *postgres.DB }

func (s postgresStore) Submit(ctx context.Context, fn func(bridge.Tx) error, done func(error)) error {
	return s.DB.Submit(ctx, func(tx *postgres.Tx) error { return fn(tx) }, done)
}

func (s postgresStore) shared() bool { return true }

func (s postgresStore) turns() bridge.Turns { return s.DB }

func (s postgresStore) pushes() push.Store { return postgresPushes(s) }

type postgresPushes struct{ *postgres.DB }

func (s postgresPushes) Push(ctx context.Context, fn func(push.Tx) error) error {
	return s.DB.Push(ctx, func(tx *postgres.PushTx) error { return fn(tx) })
}

func (s postgresStore) host() habits.HostStore { return postgresHost(s) }

type postgresHost struct{ *postgres.DB }

func (s postgresHost) Submit(ctx context.Context, fn func(habits.HostTx) error, done func(error)) error {
	return s.DB.Submit(ctx, func(tx *postgres.Tx) error { return fn(tx) }, done)
}
