package hooks

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/ratelimit"
	"github.com/pactwire/pactwire/topics"
)

// Acceptor takes commands in. Accept returns a refusal at once or promises to call ack exactly once, after the commit
// (nil) or when it could not be made (Unavailable); ack does not wait for anything.
type Acceptor interface {
	Accept(ctx context.Context, cmds []pactwire.Command, ack func(error)) error
	// Refuse tells the sender of a refused command why.
	Refuse(cmd pactwire.Command, err error)
	// Heard tells the sender of a command that needs no commit that it was done, where they asked to be told.
	Heard(cmd pactwire.Command)
}

// Parse reads the payload of a command topic; one packet may hold a batch.
type Parse func(t topics.Topic, contentType string, payload []byte) ([]pactwire.Command, error)

// Commands is the hook that turns publishes into commands. Nothing that a member publishes is ever delivered by the
// library: the hook answers every publish with "no ack, not delivered", and the acknowledgement is written once the
// command is committed.
type Commands struct {
	mqtt.HookBase
	accept   Acceptor
	parse    Parse
	presence Presence
	limit    *ratelimit.Limiter[string]
	counts   *commandCounts
	fanout   fanout
	log      *slog.Logger
}

// NewCommands makes the hook. limit is of what Purse names; nil = no limit.
func NewCommands(a Acceptor, parse Parse, presence Presence, limit *ratelimit.Limiter[string], m *Metrics, log *slog.Logger) *Commands {
	return &Commands{accept: a, parse: parse, presence: presence, limit: limit, counts: m.counts, log: log}
}

// Use says which server the messages of role lab go out by. Call it before the server starts.
func (c *Commands) Use(s *mqtt.Server) { c.fanout = fanout{server: s, log: c.log} }

// ID implements mqtt.Hook.
func (*Commands) ID() string { return "commands" }

// Provides implements mqtt.Hook.
func (*Commands) Provides(b byte) bool { return b == mqtt.OnPublish }

// swallow is the only answer to the library that neither delivers nor acknowledges. Any other error would deliver the
// message, acknowledge it, or end the process.
var swallow = packets.ErrRejectPacket

// OnPublish implements mqtt.Hook.
func (c *Commands) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	p := peerOf(cl)
	if cl.Net.Inline {
		return pk, nil
	}
	if p == nil {
		return pk, swallow
	}
	if p.lab {
		return pk, c.publishLab(cl, p, &pk)
	}
	c.publish(p, &pk)
	return pk, swallow
}

// publish takes what a member publishes. As all below it takes a pointer: the library hands its large packets on by value, and has used
// half of the 32 KiB that a reader's stack has grown to by now; what needs more doubles that, for each connection.
func (c *Commands) publish(p *peer, pk *packets.Packet) {
	if wait, _ := c.limit.Take(Purse(p.identity), ratelimit.Forever); wait > 0 && !p.conn.Pause(wait) {
		return // it ended meanwhile, and the client has no ack
	}
	if pk.FixedHeader.Qos == 2 && p.session.Received(pk.PacketID) {
		p.session.Ack(pk.PacketID, 2, 0, "") // it was taken in before; only the answer was lost
		return
	}
	t, err := p.topics.Parse(pk.TopicName)
	if err != nil {
		c.refuse(p, pk, c.unread(p, &t, pk), err)
		return
	}
	c.command(p, &t, pk)
}

func denied(topic string) error {
	return pactwire.Errorf(pactwire.Denied, "you may not publish to %s", spelt(topic))
}

// unread is what the answer to a publish needs that is refused for its topic: where it goes, and what the sender calls it.
func (c *Commands) unread(p *peer, t *topics.Topic, pk *packets.Packet) *pactwire.Command {
	cmd := new(pactwire.Command)
	if cmds, _ := c.parse(*t, pk.Properties.ContentType, pk.Payload); len(cmds) == 1 {
		cmd.Kind, cmd.ID = cmds[0].Kind, cmds[0].ID
	}
	cmd.Answer, _ = answerTo(p, pk) // to the inbox, if it may not go where it is wanted
	return cmd
}

// command runs one publish of a member.
func (c *Commands) command(p *peer, t *topics.Topic, pk *packets.Packet) {
	switch topics.Publish(p.identity, false, *t) {
	case topics.Yes, topics.IfMember:
	default:
		c.refuse(p, pk, c.unread(p, t, pk), denied(pk.TopicName))
		return
	}
	draft := pactwire.Command{Sender: p.identity, Pact: t.Pact, Topic: pk.TopicName, ReceivedAt: time.Now()}
	if t.Kind == topics.DeviceCheckinKind {
		draft.Pact = p.identity.Pact
	}
	var misled error
	draft.Answer, misled = answerTo(p, pk)
	cmds, err := c.parse(*t, pk.Properties.ContentType, pk.Payload)
	if len(cmds) == 1 { // so that the sender knows what was refused
		draft.Kind, draft.ID = cmds[0].Kind, cmds[0].ID
	}
	if misled != nil {
		err = misled
	}
	if err != nil {
		c.refuse(p, pk, &draft, err)
		return
	}
	if t.Kind == topics.UserPresenceKind {
		p.spoke.Store(true)
		c.presence.Say(p.conn.ID(), p.clientID, p.identity.UserID, p.identity.UserName, p.kind, cmds[0].Presence)
		c.counts.accepted(t.Kind)
		p.session.Ack(pk.PacketID, pk.FixedHeader.Qos, 0, "")
		c.accept.Heard(draft)
		return
	}
	for i := range cmds {
		cmds[i].Sender, cmds[i].Pact, cmds[i].Topic = draft.Sender, draft.Pact, draft.Topic
		cmds[i].ReceivedAt, cmds[i].Answer = draft.ReceivedAt, draft.Answer
	}
	if pk.FixedHeader.Qos == 2 {
		if cmds[0].Inbound, err = inboundOf(p, pk.PacketID); err != nil {
			c.refuse(p, pk, &draft, err)
			return
		}
	}
	c.submit(p, t.Kind, pk, cmds)
}

// inboundTimeout bounds how long a reader waits for its session to be stored.
const inboundTimeout = 5 * time.Second

func inboundOf(p *peer, id uint16) (*pactwire.Inbound, error) {
	ctx, cancel := context.WithTimeout(context.Background(), inboundTimeout)
	defer cancel()
	return p.session.Inbound(ctx, id)
}

// submit hands commands over and writes the acknowledgement when they are committed. The reader pauses while too many
// are unanswered.
func (c *Commands) submit(p *peer, kind topics.Kind, pk *packets.Packet, cmds []pactwire.Command) {
	p.slots <- struct{}{}
	id, qos := pk.PacketID, pk.FixedHeader.Qos
	err := c.accept.Accept(context.Background(), cmds, func(err error) {
		<-p.slots
		if err != nil {
			c.settle(p, id, qos, err)
			return
		}
		c.counts.accepted(kind)
		p.session.Ack(id, qos, 0, "")
	})
	if err != nil {
		<-p.slots
		c.refuse(p, pk, &cmds[0], err)
	}
}

// refuse answers a publish that was refused before it was journalled: final refusals are acknowledged and explained,
// others never acknowledged.
func (c *Commands) refuse(p *peer, pk *packets.Packet, cmd *pactwire.Command, err error) {
	e := pactwire.AsError(err)
	if !e.Retryable() {
		cmd.Sender, cmd.Topic = p.identity, spelt(pk.TopicName)
		if p.isDevice() && cmd.Answer.Topic == "" {
			cmd.Answer.Topic = topics.DeviceReplies(p.identity.Device)
		}
		c.accept.Refuse(*cmd, e)
	} else if e.Code == pactwire.Internal {
		c.log.Error("command", "kind", cmd.Kind, "user", p.identity.UserID, "error", err)
	}
	c.settle(p, pk.PacketID, pk.FixedHeader.Qos, e)
}

// spelt is the topic as the client wrote it: the broker lets topics that the library would drop without a word reach us
// with one more $ in front.
func spelt(topic string) string {
	if strings.HasPrefix(topic, "$$") {
		return topic[1:]
	}
	return topic
}

// settle writes what the transport says of a refusal. The client of one that may work later keeps its copy: it is cut
// off without an acknowledgement and sends again when it is back.
func (c *Commands) settle(p *peer, id uint16, qos byte, err error) {
	e := pactwire.AsError(err)
	c.counts.refused(e.Code)
	if e.Retryable() {
		if qos == 2 {
			p.session.Forget(id)
		}
		p.conn.Disconnect(packets.ErrServerBusy.Code)
		return
	}
	if !p.v5() {
		p.session.Ack(id, qos, 0, "")
		return
	}
	if qos == 2 {
		p.session.Forget(id) // an error ends the QoS 2 exchange
	}
	p.session.Ack(id, qos, ReasonOf(e.Code), e.Message)
}

// ReasonOf is the PUBACK reason code of a final refusal.
func ReasonOf(code pactwire.Code) byte {
	switch code {
	case pactwire.Invalid:
		return packets.ErrPayloadFormatInvalid.Code
	case pactwire.Denied:
		return packets.ErrNotAuthorized.Code
	case pactwire.TooMany:
		return packets.ErrQuotaExceeded.Code
	}
	return packets.ErrUnspecifiedError.Code
}

// answerTo reads where the sender wants the answer. A device has one place for it, named or not.
func answerTo(p *peer, pk *packets.Packet) (pactwire.Answer, error) {
	name, own := pk.Properties.ResponseTopic, ""
	if p.isDevice() {
		own = topics.DeviceReplies(p.identity.Device)
	}
	if name == "" {
		name = own
	}
	if name == "" {
		return pactwire.Answer{MaxPacket: p.maxPacket}, nil
	}
	if t, err := p.topics.Parse(name); err != nil || !topics.ResponseTopic(p.identity, t) {
		if own != "" {
			return pactwire.Answer{Topic: own}, pactwire.FieldErrorf("responseTopic", "a device is answered on %s only", own)
		}
		return pactwire.Answer{}, pactwire.FieldErrorf("responseTopic",
			"answers can go to users/%s/replies/… or users/%s/inbox only", p.identity.UserID, p.identity.UserID)
	}
	return pactwire.Answer{Topic: name, Correlation: pk.Properties.CorrelationData, MaxPacket: p.maxPacket}, nil
}

// publishLab lets plain MQTT through and refuses the rest in each version's own way.
func (c *Commands) publishLab(cl *mqtt.Client, p *peer, pk *packets.Packet) error {
	t, err := p.topics.Parse(pk.TopicName)
	if err == nil && topics.Publish(p.identity, true, t) == topics.Plain {
		c.fanout.publish(*pk)
		return packets.CodeSuccessIgnore // the library acknowledges it
	}
	code := packets.ErrNotAuthorized
	if err != nil {
		code = packets.ErrTopicNameInvalid
	}
	ackLab(cl, *pk, code)
	return swallow
}

// ackLab acknowledges a refused publish of a lab client: with a code for MQTT 5, plainly for 3.1.1, which has none.
func ackLab(cl *mqtt.Client, pk packets.Packet, code packets.Code) {
	ack := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, PacketID: pk.PacketID, ReasonCode: code.Code}
	switch pk.FixedHeader.Qos {
	case 0:
		return
	case 2:
		ack.FixedHeader.Type = packets.Pubrec
	}
	if err := cl.WritePacket(ack); err != nil && !errors.Is(err, mqtt.ErrConnectionClosed) {
		cl.Stop(err)
	}
}

// Purse names the allowance of commands that a connection draws on: a person's, or a device's own, so that one gone wild
// slows nothing but itself. A colon stands in no user id.
func Purse(id pactwire.Identity) string {
	if id.Device != "" {
		return pactwire.DeviceUserPrefix + string(id.Device)
	}
	return string(id.UserID)
}
