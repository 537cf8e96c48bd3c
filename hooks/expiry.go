package hooks

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/pactwire/pactwire"
)

// alarm is what is to happen next because a token ends. One timer stands at a time.
type alarm struct {
	mu    sync.Mutex
	timer *time.Timer
	round int // of the token that it belongs to; a new token begins a new one
	over  bool
}

// renew begins a new round, in which nothing of the ones before happens any more.
func (a *alarm) renew() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
	}
	a.round++
	return a.round
}

// set lets f happen at a time, if the round is still the same then.
func (a *alarm) set(round int, at time.Time, f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over || a.round != round {
		return
	}
	a.timer = time.AfterFunc(time.Until(at), func() {
		if a.holds(round) {
			f()
		}
	})
}

func (a *alarm) holds(round int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.over && a.round == round
}

// end lets nothing happen any more.
func (a *alarm) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	if a.timer != nil {
		a.timer.Stop()
	}
}

// warnBefore is how long before the end of a token its bearer is told.
const warnBefore = 60 * time.Second

// watchExpiry tells the connection a minute before the token ends, and ends the connection when it does.
func (a *Auth) watchExpiry(p *peer, ends time.Time) {
	round := p.alarm.renew()
	if ends.IsZero() {
		return
	}
	warn := func() {
		data, _ := json.Marshal(pactwire.TokenExpiring{ExpiresAt: pactwire.Time(ends)})
		if p.session != nil {
			p.session.Tell(pactwire.Event{Type: pactwire.EventTokenExpiring, Data: data})
		}
		p.alarm.set(round, ends, func() { p.conn.Disconnect(packets.ErrNotAuthorized.Code) })
	}
	if time.Until(ends) > warnBefore {
		p.alarm.set(round, ends.Add(-warnBefore), warn)
	} else {
		warn()
	}
}

// authMethod is the only MQTT 5 authentication method there is: its data is a token.
const authMethod = "jwt"

// OnAuthPacket implements mqtt.Hook: a connection that was opened with the method jwt may show a new token of the same
// person, with the same roles, and then stands as long as that one.
func (a *Auth) OnAuthPacket(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	p := peerOf(cl)
	if p == nil || p.method == "" || pk.Properties.AuthenticationMethod != p.method || pk.ReasonCode != packets.CodeReAuthenticate.Code {
		return pk, a.noRefresh(p, packets.ErrProtocolViolation)
	}
	ctx, cancel := context.WithTimeout(context.Background(), a.cfg.ConnectTimeout)
	defer cancel()
	id, err := aside(func() (pactwire.Identity, error) {
		return a.verifier.Verify(ctx, string(p.identity.UserID), string(pk.Properties.AuthenticationData))
	})
	switch {
	case err != nil && pactwire.AsError(err).Retryable():
		return pk, a.noRefresh(p, packets.ErrServerBusy)
	case err != nil:
		return pk, a.noRefresh(p, packets.ErrNotAuthorized)
	case !same(id, p.identity):
		return pk, a.noRefresh(p, packets.ErrNotAuthorized)
	}
	id.Token = ""
	p.bearer.Store(&id)
	if a.cfg.Stands(id) != nil { // revoked before EndRevoked could find it here
		return pk, a.noRefresh(p, packets.ErrNotAuthorized)
	}
	a.watchExpiry(p, id.ExpiresAt)
	ack := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Auth}, ReasonCode: packets.CodeSuccess.Code}
	ack.Properties.AuthenticationMethod = p.method
	return pk, cl.WritePacket(ack)
}

// same reports whether a new token speaks for the same person as the one before, in the same part. A device has no token.
func same(fresh, was pactwire.Identity) bool {
	return was.Device == "" && fresh.UserID == was.UserID && fresh.Roles == was.Roles && fresh.Brand == was.Brand
}

// noRefresh ends a connection whose new token is none.
func (a *Auth) noRefresh(p *peer, code packets.Code) error {
	if p != nil {
		p.conn.Disconnect(code.Code)
	}
	return code
}
