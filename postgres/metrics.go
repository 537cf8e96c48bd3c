package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the store's figures. Those that package sqlite has too have the same names.
type metrics struct {
	seconds  prometheus.Histogram
	batch    prometheus.Histogram
	trips    prometheus.Histogram
	failures prometheus.Counter
	retries  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, queued func() float64, pool *pgxpool.Pool) (*metrics, error) {
	m := &metrics{
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pactwire_store_commit_seconds", Help: "Time of one group commit, from BEGIN to the end of COMMIT.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pactwire_store_commit_functions", Help: "Functions that shared one group commit.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		trips: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pactwire_store_commit_round_trips", Help: "Round trips to the database that one transaction took.",
			Buckets: []float64{1, 2, 3, 4, 6, 8, 12, 16, 32, 64},
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pactwire_store_failures_total", Help: "Group commits that the database refused.",
		}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pactwire_store_retries_total", Help: "Transactions that lost against another node's and were run again.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.seconds, m.batch, m.trips, m.failures, m.retries,
		gauge("pactwire_store_queued_functions", "Functions that wait for a group commit.", queued),
		gauge("pactwire_store_pool_connections", "Connections for reads.", func() float64 { return float64(pool.Stat().TotalConns()) }),
		gauge("pactwire_store_pool_busy", "Connections for reads that are in use.", func() float64 { return float64(pool.Stat().AcquiredConns()) }),
	} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}
