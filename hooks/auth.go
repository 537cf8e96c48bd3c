package hooks

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// Verifier turns what a CONNECT carries into an identity. Errors: Denied, or Unavailable when it cannot be known now.
type Verifier interface {
	Verify(ctx context.Context, username, password string) (pactwire.Identity, error)
}

// Sessions opens the session of a member or operator; whoever held the client id before is gone when it returns.
// Errors: TooMany for a connection too many, Unavailable.
type Sessions interface {
	Open(ctx context.Context, c pactwire.Connecting, conn Conn) (s Session, present bool, err error)
}

// AuthConfig holds the limits that CONNECT is measured by.
type AuthConfig struct {
	Lab            bool          // lab.enabled
	AutoJoin       bool          // mqtt.auto_join
	KeepaliveMin   time.Duration // limits.keepalive_min
	KeepaliveMax   time.Duration // limits.keepalive_max
	SessionExpiry  time.Duration // limits.session_expiry
	ConnectTimeout time.Duration // limits.connect_timeout
	Topics         topics.Limits // limits.topic_bytes and limits.topic_levels
	Parse          Parse         // of wills
	// Stands refuses an identity whose credentials were revoked since it was verified; nil = none ever is. It does not block.
	Stands func(pactwire.Identity) error
}

// Auth is the hook that answers CONNECT. It is the only one that authenticates: the library would let any hook's yes
// outvote another's no.
type Auth struct {
	mqtt.HookBase
	cfg      AuthConfig
	verifier Verifier
	sessions Sessions
	labs     *turnstile
	log      *slog.Logger
}

// NewAuth makes the hook.
func NewAuth(cfg AuthConfig, v Verifier, s Sessions, log *slog.Logger) *Auth {
	if cfg.Stands == nil {
		cfg.Stands = func(pactwire.Identity) error { return nil }
	}
	return &Auth{cfg: cfg, verifier: v, sessions: s, log: log, labs: newTurnstile()}
}

// ID implements mqtt.Hook.
func (*Auth) ID() string { return "auth" }

// Provides implements mqtt.Hook.
func (*Auth) Provides(b byte) bool {
	switch b {
	case mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnPacketEncode, mqtt.OnSessionEstablished, mqtt.OnDisconnect,
		mqtt.OnAuthPacket:
		return true
	}
	return false
}

// OnConnectAuthenticate implements mqtt.Hook: who passed OnConnect is authenticated.
func (*Auth) OnConnectAuthenticate(cl *mqtt.Client, _ packets.Packet) bool { return peerOf(cl) != nil }

// refusal is a CONNACK that says no: the reason for MQTT 5 and the return code for 3.1.1.
type refusal struct {
	code   packets.Code
	v3     byte
	reason string
}

func (r *refusal) Error() string { return r.reason }

var (
	badCredentials = packets.ErrBadUsernameOrPassword
	notAuthorized  = packets.ErrNotAuthorized
)

// OnConnect implements mqtt.Hook. An error ends the connection; the CONNACK was sent by then.
func (a *Auth) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	conn, ok := cl.Net.Conn.(Conn)
	if !ok {
		return packets.ErrServerUnavailable
	}
	ctx, cancel := context.WithTimeout(context.Background(), a.cfg.ConnectTimeout)
	defer cancel()
	p, no := aside(func() (*peer, *refusal) { return a.admit(ctx, cl, conn, pk) })
	if no != nil {
		a.log.Debug("connect refused", "remote", conn.RemoteAddrPort(), "code", no.code.Code, "reason", no.reason)
		writeRefusal(cl, no)
		return no.code
	}
	conn.Attach(p)
	// Now EndRevoked finds the connection. What was revoked while it was let in is seen here.
	if err := a.cfg.Stands(p.identity); err != nil {
		p.alarm.end()
		writeRefusal(cl, &refusal{badCredentials, 5, pactwire.AsError(err).Message})
		return badCredentials
	}
	return nil
}

// EndRevoked ends a connection whose credentials were revoked. It is called for every connection when something was, on
// any goroutine, and does not block.
func (a *Auth) EndRevoked(c Conn) {
	if p, _ := c.Attachment().(*peer); p != nil && a.cfg.Stands(*p.bearer.Load()) != nil {
		c.Disconnect(notAuthorized.Code)
	}
}

// aside runs f on a goroutine of its own and waits for it. What runs deep there (tokens, the store) would grow the stack of
// the connection's own goroutine, which stays large for as long as the connection lives.
func aside[A, B any](f func() (A, B)) (a A, b B) {
	done := make(chan any, 1)
	go func() {
		defer func() { done <- recover() }()
		a, b = f()
	}()
	if caught := <-done; caught != nil {
		panic(caught) // for the connection's own guard
	}
	return a, b
}

func (a *Auth) admit(ctx context.Context, cl *mqtt.Client, conn Conn, pk packets.Packet) (*peer, *refusal) {
	id, err := a.verifier.Verify(ctx, string(pk.Connect.Username), string(pk.Connect.Password))
	if err != nil {
		e := pactwire.AsError(err)
		if e.Retryable() {
			return nil, &refusal{packets.ErrServerUnavailable, 3, e.Message}
		}
		return nil, &refusal{badCredentials, 5, e.Message}
	}
	id.Token = "" // requests alone are passed on with it
	p := &peer{identity: id, version: cl.Properties.ProtocolVersion, conn: conn, kind: pactwire.KindPhone, topics: &a.cfg.Topics,
		maxPacket: int(pk.Properties.MaximumPacketSize),
		clientID:  strings.Clone(cl.ID), method: strings.Clone(pk.Properties.AuthenticationMethod), lab: a.cfg.Lab && id.Is(pactwire.RoleLab)}
	p.bearer.Store(&p.identity)
	autoJoin := a.cfg.AutoJoin
	for _, up := range pk.Properties.User {
		switch up.Key {
		case "device":
			p.kind = pactwire.ParseDeviceKind(up.Val)
		case "auto-join":
			autoJoin = up.Val == "true"
		}
	}
	if no := a.checkWill(p, cl, pk); no != nil {
		return nil, no
	}
	receiveMax := cl.Properties.Props.ReceiveMaximum
	if pk.Properties.ReceiveMaximum > 0 {
		receiveMax = pk.Properties.ReceiveMaximum
	}
	// The library deadlocks in its own count of the client's Receive Maximum; our windows honour it instead.
	cl.Properties.Props.ReceiveMaximum = 0
	cl.State.Inflight.ResetSendQuota(0)
	p.expiry = a.expiry(p, cl)
	a.setKeepalive(p, cl)
	dropConnect(cl)
	// The library's own aliases are used up by messages that are never sent; see aliases.
	if most := cl.Properties.Props.TopicAliasMaximum; p.lab && most > 0 {
		p.aliases = &aliases{most: int(most), known: make(map[string]uint16)}
		cl.Properties.Props.TopicAliasMaximum = 0
	}
	if p.lab {
		cl.Properties.Will = ownWill(cl.Properties.Will)
		if receiveMax > 0 && receiveMax < math.MaxUint16 {
			p.conn.SetWindow(receiveMax)
		}
		return p, a.admitLab(ctx, cl, p)
	}
	// Wills of members are words about presence, not messages: see Presence.
	cl.Properties.Will = mqtt.Will{}
	// Sessions are ours. The library sees each connection as a client of its own, so it has nothing to take over.
	cl.ID = string(id.UserID) + "\x00" + p.clientID + "\x00" + strconv.FormatUint(conn.ID(), 36)
	cl.Properties.Clean = true
	session, present, err := a.sessions.Open(ctx, pactwire.Connecting{
		Identity: id, ClientID: sessionName(p), Clean: pk.Connect.Clean, Expiry: p.expiry, Version: p.version,
		ReceiveMaximum: receiveMax, MaximumPacketSize: pk.Properties.MaximumPacketSize,
		NoReasons: pk.Properties.RequestProblemInfoFlag && pk.Properties.RequestProblemInfo == 0,
		AutoJoin:  autoJoin && !id.Is(pactwire.RoleOperator), Kind: p.kind,
	}, conn)
	if err != nil {
		switch e := pactwire.AsError(err); e.Code {
		case pactwire.TooMany:
			return nil, &refusal{packets.ErrQuotaExceeded, 3, e.Message}
		case pactwire.Unavailable:
			return nil, &refusal{packets.ErrServerUnavailable, 3, e.Message}
		case pactwire.Denied:
			return nil, &refusal{notAuthorized, 5, e.Message}
		default:
			a.log.Error("open session", "user", id.UserID, "error", err)
			return nil, &refusal{packets.ErrServerUnavailable, 3, "the session could not be opened; try again"}
		}
	}
	p.session, p.present = session, present
	p.joins = autoJoin && !p.isDevice() && !id.Is(pactwire.RoleOperator)
	p.slots = make(chan struct{}, maxUnanswered)
	return p, nil
}

// dropConnect has the library's client keep no part of the CONNECT packet, which holds the token and what else its sender put
// there, up to the packet limit: any part of it would keep the whole for as long as the connection lives.
func dropConnect(cl *mqtt.Client) {
	cl.Properties.Username = nil
	props := &cl.Properties.Props
	props.User, props.AuthenticationMethod, props.AuthenticationData = nil, "", nil
}

// ownWill is a will that keeps nothing of the CONNECT packet but its own words.
func ownWill(w mqtt.Will) mqtt.Will {
	w.TopicName, w.Payload = strings.Clone(w.TopicName), bytes.Clone(w.Payload)
	w.User = slices.Clone(w.User)
	for i := range w.User {
		w.User[i] = packets.UserProperty{Key: strings.Clone(w.User[i].Key), Val: strings.Clone(w.User[i].Val)}
	}
	return w
}

// sessionName is the client id under which a session is kept. Client ids belong to a person, and those of each of their
// devices to that device: a button never takes the phone's session over, whatever it calls itself.
func sessionName(p *peer) string {
	const device, person = "device:", "person:"
	switch id := p.clientID; {
	case p.isDevice():
		return device + string(p.identity.Device) + ":" + id
	case strings.HasPrefix(id, device), strings.HasPrefix(id, person):
		return person + id
	default:
		return id
	}
}

// admitLab gives a lab connection to the library's own sessions. Client ids are still their user's, and connections with
// one id come in one at a time, each after the one before has gone: the library would let several live at once.
func (a *Auth) admitLab(ctx context.Context, cl *mqtt.Client, p *peer) *refusal {
	cl.ID = "lab\x00" + string(p.identity.UserID) + "\x00" + p.clientID
	id := cl.ID
	if err := a.labs.enter(ctx, id, p.conn); err != nil {
		return &refusal{packets.ErrServerUnavailable, 3, "the connection before this one has not ended yet; try again"}
	}
	p.conn.OnGone(func() { a.labs.leave(id, p.conn) })
	return nil
}

// checkWill lets a member's will be their own words about presence and nothing else, and a lab will a lab topic.
func (a *Auth) checkWill(p *peer, cl *mqtt.Client, pk packets.Packet) *refusal {
	if !pk.Connect.WillFlag {
		return nil
	}
	t, err := p.topics.Parse(pk.Connect.WillTopic)
	switch {
	case p.lab:
		if err != nil || topics.Publish(p.identity, true, t) != topics.Plain {
			return &refusal{notAuthorized, 5, "a will may name lab topics only"}
		}
		return nil
	case err != nil || t.Kind != topics.UserPresenceKind || t.User != p.identity.UserID || p.isDevice():
		if p.isDevice() {
			return &refusal{notAuthorized, 5, "a device has no will"}
		}
		return &refusal{notAuthorized, 5, "a will may name users/" + string(p.identity.UserID) + "/presence only"}
	}
	if _, err := a.cfg.Parse(t, pk.Connect.WillProperties.ContentType, cl.Properties.Will.Payload); err != nil {
		return &refusal{packets.ErrPayloadFormatInvalid, 5, "a will says " + `{"status":"active"|"away"|"offline"}`}
	}
	return nil
}

// expiry is how long the session outlives the connection.
func (a *Auth) expiry(p *peer, cl *mqtt.Client) time.Duration {
	if !p.lab && p.identity.Is(pactwire.RoleOperator) {
		return 0 // nothing is kept for them
	}
	if !p.v5() {
		if cl.Properties.Clean {
			return 0
		}
		return a.cfg.SessionExpiry
	}
	return min(time.Duration(cl.Properties.Props.SessionExpiryInterval)*time.Second, a.cfg.SessionExpiry)
}

// labKeepalive is what the Eclipse Paho interoperability suite wants a longer keepalive to be answered with.
const labKeepalive = 60

// setKeepalive clamps the keepalive: MQTT 5 is told, 3.1.1 only meets more patience. Above 43,690 s the library's
// arithmetic would wrap.
func (a *Auth) setKeepalive(p *peer, cl *mqtt.Client) {
	asked := cl.State.Keepalive
	lowest, highest := seconds(a.cfg.KeepaliveMin), seconds(a.cfg.KeepaliveMax)
	if p.lab {
		lowest, highest = 1, labKeepalive
	}
	var want uint16
	switch {
	case asked == 0 && p.v5():
		want = highest
	case asked == 0:
		want = highest / 3 * 2 // the library waits half as long again
	case p.v5():
		want = min(max(asked, lowest), highest)
	default:
		want = min(max(asked, lowest), math.MaxUint16/3*2)
	}
	cl.State.Keepalive = want
	p.conn.SetKeepalive(time.Duration(want) * time.Second)
	cl.State.ServerKeepalive = p.v5() && want != asked
}

func seconds(d time.Duration) uint16 {
	return uint16(min(max(d/time.Second, 1), math.MaxUint16/3*2)) //nolint:gosec // clamped
}

// writeRefusal sends a CONNACK with the code of the client's version.
func writeRefusal(cl *mqtt.Client, no *refusal) {
	ack := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connack}, ReasonCode: no.code.Code}
	if cl.Properties.ProtocolVersion < 5 {
		ack.ReasonCode = no.v3
	} else {
		ack.Properties.ReasonString = no.reason
	}
	_ = cl.WritePacket(ack) // the connection ends either way
}

// OnPacketEncode implements mqtt.Hook: a CONNACK says what we offer and grant.
func (a *Auth) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	if pk.FixedHeader.Type == packets.Connack {
		a.encodeConnack(cl, &pk)
	}
	return pk
}

func (a *Auth) encodeConnack(cl *mqtt.Client, pk *packets.Packet) {
	p := peerOf(cl)
	if p == nil || pk.ReasonCode != 0 {
		if cl.Properties.ProtocolVersion < 5 && pk.ReasonCode > 5 {
			pk.ReasonCode = 2 // the library's own refusals of an identifier that 3.1.1 has no code for
		}
		return
	}
	if p.session != nil {
		pk.SessionPresent = p.present
	}
	if !p.v5() {
		return
	}
	props := &pk.Properties
	props.TopicAliasMaximum = 0
	props.AuthenticationMethod = p.method
	if !p.lab {
		props.SharedSubAvailable, props.SharedSubAvailableFlag = 0, true
	}
	if granted := uint32(p.expiry / time.Second); granted != cl.Properties.Props.SessionExpiryInterval {
		props.SessionExpiryInterval, props.SessionExpiryIntervalFlag = granted, true
	}
}

// OnSessionEstablished implements mqtt.Hook: CONNACK is written.
func (a *Auth) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	p := peerOf(cl)
	if p == nil {
		return
	}
	if p.session != nil {
		p.session.Start()
	}
	a.watchExpiry(p, p.identity.ExpiresAt) // once the session can speak, since it may warn at once
}

// OnDisconnect implements mqtt.Hook.
func (a *Auth) OnDisconnect(cl *mqtt.Client, _ error, _ bool) {
	if p := peerOf(cl); p != nil {
		p.alarm.end()
	}
}
