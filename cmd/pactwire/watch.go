package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"charm.land/lipgloss/v2"
	mqtt "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/term"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/auth"
)

// watchCmd shows a person's feeds as they happen.
type watchCmd struct {
	caller
	MQTT     string `help:"Address of the broker: host:port, or a ws:// URL." default:"127.0.0.1:1883"`
	Pact     string `help:"Only this pact."`
	ClientID string `help:"MQTT client id; with one of your own, what happens while you are away is shown on return."`
	History  int    `help:"How many earlier activities to begin with." default:"5"`
}

// Run implements the command.
func (c *watchCmd) Run(g *globals) error {
	token, err := c.token(g)
	if err != nil {
		return err
	}
	me, err := auth.Peek(token)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	f := &feedPrinter{out: os.Stdout, raw: c.JSON, colours: term.IsTerminal(int(os.Stdout.Fd())), local: time.Local, me: me.UserID}
	if err := c.earlier(g, f); err != nil {
		return err
	}
	client := mqtt.NewClient(c.options(me, token, f))
	defer client.Disconnect(250)
	client.Connect() // keeps trying; what goes wrong is said by the handlers
	<-ctx.Done()
	return nil
}

// earlier prints the last activities of the pacts that are watched.
func (c *watchCmd) earlier(g *globals, f *feedPrinter) error {
	if c.History <= 0 {
		return nil
	}
	ask := c.caller
	ask.JSON = false
	pacts := []string{c.Pact}
	if c.Pact == "" {
		var list struct {
			Items []pactwire.Pact `json:"items"`
		}
		if err := ask.call(g, http.MethodGet, "/v1/pacts?status=active", nil, &list); err != nil {
			return err
		}
		pacts = pacts[:0]
		for _, p := range list.Items {
			pacts = append(pacts, string(p.ID))
		}
	}
	for _, p := range pacts {
		var page struct {
			Items []json.RawMessage `json:"items"`
		}
		if err := ask.call(g, http.MethodGet, pactPath(p, fmt.Sprintf("/activities?limit=%d", c.History)), nil, &page); err != nil {
			return err
		}
		for _, item := range page.Items {
			f.activity(item)
		}
	}
	return nil
}

func (c *watchCmd) options(me pactwire.Identity, token string, f *feedPrinter) *mqtt.ClientOptions {
	addr := c.MQTT
	if !strings.Contains(addr, "://") {
		addr = "tcp://" + addr
	}
	id := c.ClientID
	if id == "" {
		id = fmt.Sprintf("watch-%d", os.Getpid())
	}
	scope := "+"
	if c.Pact != "" {
		scope = c.Pact
	}
	filters := map[string]byte{"pacts/" + scope + "/activity": 1, "pacts/" + scope + "/presence/+": 0}
	return mqtt.NewClientOptions().AddBroker(addr).SetClientID(id).SetUsername(string(me.UserID)).SetPassword(token).
		SetCleanSession(c.ClientID == "").SetKeepAlive(30 * time.Second).SetConnectRetry(true).SetAutoReconnect(true).
		SetConnectRetryInterval(2 * time.Second).SetMaxReconnectInterval(15 * time.Second).SetOrderMatters(true).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { f.message(m.Topic(), m.Payload()) }).
		SetOnConnectHandler(func(client mqtt.Client) {
			f.note("connected")
			client.SubscribeMultiple(filters, func(_ mqtt.Client, m mqtt.Message) { f.message(m.Topic(), m.Payload()) })
		}).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { f.note("connection lost, trying again: " + err.Error()) })
}

// feedPrinter writes a feed for a person: a line each, coloured on a terminal; or the JSON as it came.
type feedPrinter struct {
	out     io.Writer
	raw     bool
	colours bool
	local   *time.Location
	me      pactwire.UserID

	mu   sync.Mutex
	seen map[pactwire.PactID]pactwire.Seq
	here map[pactwire.UserID]bool
}

// message prints what came on a topic.
func (f *feedPrinter) message(topic string, payload []byte) {
	if strings.HasSuffix(topic, "/activity") {
		f.activity(payload)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.raw {
		fmt.Fprintf(f.out, "%s\n", payload)
		return
	}
	var p pactwire.Presence
	if json.Unmarshal(payload, &p) != nil || p.UserID == f.me {
		return
	}
	if f.here == nil {
		f.here = make(map[pactwire.UserID]bool)
	}
	if was, known := f.here[p.UserID]; known && was == p.IsOnline || !known && !p.IsOnline {
		f.here[p.UserID] = p.IsOnline
		return
	}
	f.here[p.UserID] = p.IsOnline
	word := "is here"
	if !p.IsOnline {
		word = "has gone"
	}
	f.line(time.Now(), "·", p.UserName, word, "", true)
}

// activity prints one entry of a feed, once.
func (f *feedPrinter) activity(payload []byte) {
	var a pactwire.Activity
	if err := json.Unmarshal(payload, &a); err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = make(map[pactwire.PactID]pactwire.Seq)
	}
	if a.Seq <= f.seen[a.PactID] {
		return
	}
	f.seen[a.PactID] = a.Seq
	if f.raw {
		fmt.Fprintf(f.out, "%s\n", payload)
		return
	}
	icon, words, more := describeActivity(&a)
	f.line(a.CreatedAt.Std(), icon, a.UserName, words, more, false)
}

// describeActivity says an activity in words; more is what the person themself wrote.
func describeActivity(a *pactwire.Activity) (icon, words, more string) {
	switch a.Type {
	case pactwire.CheckinCompleted, pactwire.CheckinPartial, pactwire.CheckinSkipped, pactwire.CheckinCorrected:
		var d pactwire.CheckinData
		_ = json.Unmarshal(a.Data, &d)
		icon, words = checkinWords(d.Status)
		words += d.HabitName
		if a.Type == pactwire.CheckinCorrected {
			words += " (corrected)"
		}
		if d.Status == pactwire.StatusCompleted && d.StreakUpdate != nil && d.StreakUpdate.After > 1 {
			words += fmt.Sprintf(", day %d", d.StreakUpdate.After)
		}
		return icon, words, d.Notes
	case pactwire.StreakMilestone:
		var d pactwire.MilestoneData
		_ = json.Unmarshal(a.Data, &d)
		words = fmt.Sprintf("has a streak of %d days: %s", d.StreakDays, d.HabitName)
		if d.IsNewRecord {
			words += ", a new record"
		}
		return "🔥", words, ""
	case pactwire.MessageSent:
		var d pactwire.MessageData
		_ = json.Unmarshal(a.Data, &d)
		return "💬", "says", d.Message
	case pactwire.PartnerJoined:
		return "👋", "joined the pact", ""
	case pactwire.PactStarted:
		return "🤝", "the pact has begun", ""
	case pactwire.MemberLeftPact:
		var d pactwire.MembershipData
		_ = json.Unmarshal(a.Data, &d)
		if d.MemberUserID != a.UserID {
			return "🚪", "removed " + d.MemberUserName + " from the pact", ""
		}
		return "🚪", "left the pact", ""
	}
	return "•", strings.ReplaceAll(string(a.Type), "_", " "), ""
}

func checkinWords(s pactwire.CheckinStatus) (icon, words string) {
	switch s {
	case pactwire.StatusPartial:
		return "🌓", "did some of it: "
	case pactwire.StatusSkipped:
		return "💤", "skipped: "
	case pactwire.StatusDeleted:
		return "❌", "took back: "
	}
	return "✅", "did it: "
}

// note tells of the connection, on a terminal alone: a pipe gets nothing but the feed.
func (f *feedPrinter) note(s string) {
	if f.raw || !f.colours {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	fmt.Fprintln(f.out, faint.Render("— "+s))
}

var (
	faint = lipgloss.NewStyle().Faint(true)
	bold  = lipgloss.NewStyle().Bold(true)
	quote = lipgloss.NewStyle().Italic(true).Foreground(lipgloss.Color("6"))
)

// line prints one line. Under f.mu.
func (f *feedPrinter) line(at time.Time, icon, who, words, more string, dim bool) {
	when := at.In(f.local).Format("02 Jan 15:04")
	if more != "" {
		more = "“" + strings.Join(strings.Fields(more), " ") + "”"
	}
	if !f.colours {
		fmt.Fprintln(f.out, strings.TrimSpace(strings.Join([]string{when, icon, who, words, more}, " ")))
		return
	}
	text := fmt.Sprintf("%s  %s %s %s", faint.Render(when), icon, bold.Render(who), words)
	if dim {
		text = faint.Render(fmt.Sprintf("%s  %s %s %s", when, icon, who, words))
	}
	if more != "" {
		text += " " + quote.Render(more)
	}
	fmt.Fprintln(f.out, text)
}
