package hooks

import (
	"fmt"
	"sync/atomic"

	"github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// Metrics is the hook that counts connections with a session, and what was refused with a CONNACK or SUBACK; Commands counts what
// becomes of publishes through it.
type Metrics struct {
	mqtt.HookBase
	counts   *commandCounts
	connects *prometheus.CounterVec
	filters  *prometheus.CounterVec
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
	},
		connects: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pactwire_connects_refused_total",
			Help: "CONNECTs that were refused, by the code of the CONNACK."}, []string{"code"}),
		filters: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pactwire_filters_refused_total",
			Help: "Filters of SUBSCRIBEs that were refused, by the code in the SUBACK."}, []string{"code"}),
	}
	if reg != nil {
		reg.MustRegister(m.counts.ok, m.counts.refusal, m.connects, m.filters, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pactwire_connections_established", Help: "Connections whose CONNECT was accepted and that stand now."},
			func() float64 { return float64(m.sessions.Load()) }))
	}
	return m
}

// ID implements mqtt.Hook.
func (*Metrics) ID() string { return "metrics" }

// Provides implements mqtt.Hook.
func (*Metrics) Provides(b byte) bool {
	return b == mqtt.OnSessionEstablished || b == mqtt.OnDisconnect || b == mqtt.OnPacketSent
}

// OnPacketSent implements mqtt.Hook: all refusals of CONNECT and SUBSCRIBE come by here, the library's own too.
func (m *Metrics) OnPacketSent(_ *mqtt.Client, pk packets.Packet, _ []byte) {
	switch pk.FixedHeader.Type {
	case packets.Connack:
		if pk.ReasonCode != 0 {
			m.connects.WithLabelValues(fmt.Sprintf("0x%02X", pk.ReasonCode)).Inc()
		}
	case packets.Suback:
		for _, code := range pk.ReasonCodes {
			if code >= packets.ErrUnspecifiedError.Code {
				m.filters.WithLabelValues(fmt.Sprintf("0x%02X", code)).Inc()
			}
		}
	}
}

// OnSessionEstablished implements mqtt.Hook.
func (m *Metrics) OnSessionEstablished(*mqtt.Client, packets.Packet) { m.sessions.Add(1) }

// OnDisconnect implements mqtt.Hook.
func (m *Metrics) OnDisconnect(*mqtt.Client, error, bool) { m.sessions.Add(-1) }
