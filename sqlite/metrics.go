package sqlite

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the store's figures.
type metrics struct {
	seconds  prometheus.Histogram
	commands prometheus.Histogram
	failures prometheus.Counter
	reruns   prometheus.Counter
	queue    prometheus.GaugeFunc
}

func newMetrics(reg prometheus.Registerer, queued func() float64) (*metrics, error) {
	m := &metrics{
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pactwire_store_commit_seconds", Help: "Time of one group commit, from BEGIN to the end of COMMIT.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
		}),
		commands: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pactwire_store_commit_functions", Help: "Functions that shared one group commit.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pactwire_store_failures_total", Help: "Group commits that the database refused.",
		}),
		reruns: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pactwire_store_reruns_total", Help: "Group commits that were run again because a function in them failed.",
		}),
		queue: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pactwire_store_queued_functions", Help: "Functions that wait for a group commit.",
		}, queued),
	}
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.seconds, m.commands, m.failures, m.reruns, m.queue} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}
