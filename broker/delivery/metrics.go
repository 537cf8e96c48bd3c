package delivery

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	sent, replayed, behind, dropped, oversize prometheus.Counter
	ended                                     *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, h *Hub) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		sent:     counter("pactwire_messages_sent_total", "Messages handed to connections of members and operators."),
		replayed: counter("pactwire_messages_replayed_total", "Messages of those sent that were read from the log."),
		behind:   counter("pactwire_cursors_behind_total", "Times a live cursor fell behind and went on from the log."),
		dropped:  counter("pactwire_messages_dropped_total", "Live messages of QoS 0 or to operators that found no room."),
		oversize: counter("pactwire_messages_oversize_total", "Messages larger than the client's Maximum Packet Size."),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pactwire_connections_ended_total",
			Help: "Connections that delivery ended, by reason."}, []string{"reason"}),
	}
	if reg != nil {
		reg.MustRegister(m.sent, m.replayed, m.behind, m.dropped, m.oversize, m.ended, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pactwire_clients", Help: "Live sessions of members and operators on this node."},
			func() float64 { return float64(h.Clients()) }))
	}
	return m
}
