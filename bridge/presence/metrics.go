package presence

import (
	"github.com/pactwire/pactwire"
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	changes    *prometheus.CounterVec
	saveErrors prometheus.Counter
	loadErrors prometheus.Counter
}

// newMetrics makes the figures; without a registerer nobody sees them.
func newMetrics(reg prometheus.Registerer, online func() int) *metrics {
	m := &metrics{
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pactwire_presence_changes_total", Help: "Presence changes announced, by the status they announced.",
		}, []string{"status"}),
		saveErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pactwire_presence_save_errors_total", Help: "Writes of presence to the store that failed; they are tried again.",
		}),
		loadErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pactwire_presence_load_errors_total", Help: "Reads of presence that failed before an announcement; it was made all the same.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.changes, m.saveErrors, m.loadErrors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pactwire_presence_online_people", Help: "People who are online at this node, those within their grace time included.",
		}, func() float64 { return float64(online()) }))
	}
	return m
}

func (m *metrics) changed(s pactwire.PresenceStatus) { m.changes.WithLabelValues(string(s)).Inc() }
