package relay

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	sent, received *prometheus.CounterVec
	dropped        prometheus.Counter
	found, filled  prometheus.Counter
	lag, yields    prometheus.Histogram
}

// newMetrics makes the figures; without a registerer nobody sees them.
func newMetrics(reg prometheus.Registerer, r *Relay) *metrics {
	m := &metrics{
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pactwire_relay_sent_total",
			Help: "Hints sent to other nodes, by what they are about."}, []string{"kind"}),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pactwire_relay_received_total",
			Help: "Hints that other nodes sent, by what they are about."}, []string{"kind"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "pactwire_relay_dropped_total",
			Help: "Hints that were not sent, because Redis was away or too many waited. Other nodes find what they were about in the store."}),
		found: prometheus.NewCounter(prometheus.CounterOpts{Name: "pactwire_relay_found_total",
			Help: "Streams in which a look into the store found entries that no hint had told of."}),
		filled: prometheus.NewCounter(prometheus.CounterOpts{Name: "pactwire_relay_filled_total",
			Help: "Entries of other nodes that were read from the store, since they came in no hint or out of order."}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "pactwire_relay_lag_seconds",
			Help: "Time from sending hints to taking them in, by the clocks of both nodes.", Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8)}),
		yields: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "pactwire_relay_yield_seconds",
			Help: "Time that another node took to let a session go.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 6)}),
	}
	if reg != nil {
		reg.MustRegister(m.sent, m.received, m.dropped, m.found, m.filled, m.lag, m.yields,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pactwire_relay_queue",
				Help: "Hints that wait to be sent to other nodes."}, func() float64 { return float64(r.out.len()) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pactwire_nodes",
				Help: "Nodes that are known to be alive, this one included. 0 while Redis does not answer."}, r.living))
	}
	return m
}

func (r *Relay) living() float64 {
	if r.bus == nil || r.cut() {
		return 0
	}
	n := 0
	for _, node := range *r.nodes.Load() {
		if !node.Lapsed {
			n++
		}
	}
	return float64(n)
}
