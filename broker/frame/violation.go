package frame

import "fmt"

// Violation says what was wrong with a packet. The connection cannot go on after one.
type Violation struct {
	Reason  byte   // MQTT 5 reason code, for DISCONNECT or CONNACK
	Version byte   // protocol level of the CONNECT that is at fault; 0 when it is unknown or another packet is
	Detail  string // one of a closed set of phrases, fit for a metric label or a log
}

func (v *Violation) Error() string {
	return fmt.Sprintf("%s (reason 0x%02x)", v.Detail, v.Reason)
}

// The MQTT 5 reason codes that violations carry.
const (
	Malformed          byte = 0x81
	ProtocolError      byte = 0x82
	UnsupportedVersion byte = 0x84
	ClientIDInvalid    byte = 0x85
	BadAuthMethod      byte = 0x8C
	FilterInvalid      byte = 0x8F
	TopicInvalid       byte = 0x90
	TopicAliasInvalid  byte = 0x94
	PacketTooLarge     byte = 0x95
	QuotaExceeded      byte = 0x97
)

func violation(reason byte, detail string) *Violation {
	return &Violation{Reason: reason, Detail: detail}
}
func malformed(detail string) *Violation { return violation(Malformed, detail) }
func protocol(detail string) *Violation  { return violation(ProtocolError, detail) }
