package push

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	sent, retried, gone, unsent *prometheus.CounterVec
	dead                        *prometheus.CounterVec
	cancelled, held, overflow   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	one := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		sent:      vec("pactwire_push_sent_total", "Pushes that the other side took, by channel.", "channel"),
		retried:   vec("pactwire_push_retried_total", "Attempts that failed and are made again, by channel.", "channel"),
		dead:      vec("pactwire_push_dead_total", "Pushes that were given up: refused for good, or never taken for a day.", "channel", "why"),
		gone:      vec("pactwire_push_tokens_gone_total", "Tokens that were dead and are forgotten, by channel.", "channel"),
		unsent:    vec("pactwire_push_unsent_total", "Things that no push was made of, by reason.", "reason"),
		cancelled: one("pactwire_push_seen_total", "Things that were seen before a push was taken."),
		held:      one("pactwire_push_held_total", "Things that wait for the end of quiet hours."),
		overflow:  one("pactwire_push_seen_dropped_total", "Acknowledgements that found no room and may cause a push too many."),
	}
	if reg != nil {
		reg.MustRegister(m.sent, m.retried, m.dead, m.gone, m.unsent, m.cancelled, m.held, m.overflow)
	}
	return m
}
