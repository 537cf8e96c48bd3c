package hooks

import (
	"sync/atomic"

	"github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// Metrics is the hook that counts connections with a session; Commands counts what becomes of publishes through it.
type Metrics struct {
	mqtt.HookBase
	counts   *commandCounts
	sessions atomic.Int64
}

// commandCounts counts what became of publishes.
type commandCounts struct {
	ok      *prometheus.CounterVec
	refusal *prometheus.CounterVec
}

var kindLabels = map[topics.Kind]string{
	topics.CheckinsKind: "checkin", topics.CelebrationsKind: "celebration", topics.EncouragementKind: "encouragement",
	topics.ReactionsKind: "reaction", topics.MessagesKind: "message", topics.HistoryKind: "history",
	topics.UserPresenceKind: "presence", topics.UserMessagesKind: "direct_message", topics.ConnectionsKind: "connection",
	topics.NotificationsKind: "notification", topics.DeviceCheckinKind: "device_checkin",
}

func (c *commandCounts) accepted(k topics.Kind) { c.ok.WithLabelValues(kindLabels[k]).Inc() }
func (c *commandCounts) refused(code pactwire.Code) {
	c.refusal.WithLabelValues(string(code)).Inc()
}

// NewMetrics makes the hook and registers its figures; reg may be nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{counts: &commandCounts{
		ok: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pactwire_commands_accepted_total",
			Help: "Publishes whose commands were committed and acknowledged, by kind."}, []string{"kind"}),
		refusal: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pactwire_commands_refused_total",
			Help: "Publishes that were refused, by error code."}, []string{"code"}),
	}}
	if reg != nil {
		reg.MustRegister(m.counts.ok, m.counts.refusal, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pactwire_connections_established", Help: "Connections whose CONNECT was accepted and that stand now."},
			func() float64 { return float64(m.sessions.Load()) }))
	}
	return m
}

// ID implements mqtt.Hook.
func (*Metrics) ID() string { return "metrics" }

// Provides implements mqtt.Hook.
func (*Metrics) Provides(b byte) bool {
	return b == mqtt.OnSessionEstablished || b == mqtt.OnDisconnect
}

// OnSessionEstablished implements mqtt.Hook.
func (m *Metrics) OnSessionEstablished(*mqtt.Client, packets.Packet) { m.sessions.Add(1) }

// OnDisconnect implements mqtt.Hook.
func (m *Metrics) OnDisconnect(*mqtt.Client, error, bool) { m.sessions.Add(-1) }
