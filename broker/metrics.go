package broker

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Why a connection was refused before CONNECT passed.
const (
	refusedRate     = "rate"
	refusedTLS      = "tls"
	refusedProxy    = "proxy_header"
	refusedHTTP     = "http"
	refusedTimeout  = "connect_timeout"
	refusedFrame    = "frame"
	refusedDraining = "draining"
)

type metrics struct {
	open      *prometheus.GaugeVec   // by listener
	accepted  *prometheus.CounterVec // by listener
	refused   *prometheus.CounterVec // by reason
	frames    *prometheus.CounterVec // refused, by reason
	panics    prometheus.Counter
	spills    prometheus.Counter
	overflows prometheus.Counter
	stalls    prometheus.Counter
	dropped   prometheus.Counter
	accepts   prometheus.Counter // failures

	// On every packet's way, so plain atomics rather than the client library's counters.
	bytesIn, bytesOut atomic.Int64
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pactwire_mqtt_connections", Help: "Connections open now, CONNECT not yet done included."}, []string{"listener"}),
		accepted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pactwire_mqtt_connections_accepted_total", Help: "Connections accepted."}, []string{"listener"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pactwire_mqtt_connects_refused_total", Help: "Connections that ended before CONNECT passed."}, []string{"reason"}),
		frames: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pactwire_mqtt_frames_refused_total", Help: "Packets that broke the protocol, each the end of its connection."}, []string{"reason"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pactwire_mqtt_panics_total", Help: "Connections closed because serving them panicked."}),
		spills: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pactwire_mqtt_spills_total", Help: "Times a peer was slower than its traffic and bytes had to wait."}),
		overflows: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pactwire_mqtt_overflows_total", Help: "Connections closed because too many bytes waited."}),
		stalls: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pactwire_mqtt_stalls_total", Help: "Connections closed because the peer took nothing of what waited."}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pactwire_mqtt_messages_dropped_total", Help: "QoS 0 messages that did not fit."}),
		accepts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pactwire_mqtt_accept_errors_total", Help: "Times the operating system could not give a connection."}),
	}
	if reg != nil {
		reg.MustRegister(m.open, m.accepted, m.refused, m.frames, m.panics, m.spills, m.overflows, m.stalls, m.dropped, m.accepts,
			prometheus.NewCounterFunc(prometheus.CounterOpts{
				Name: "pactwire_mqtt_received_bytes_total", Help: "Bytes of MQTT received."},
				func() float64 { return float64(m.bytesIn.Load()) }),
			prometheus.NewCounterFunc(prometheus.CounterOpts{
				Name: "pactwire_mqtt_sent_bytes_total", Help: "Bytes of MQTT sent."},
				func() float64 { return float64(m.bytesOut.Load()) }))
	}
	return m
}
