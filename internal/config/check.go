package config

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pactwire/pactwire"
)

// Bounds of what can be configured.
const (
	MinSecret        = 32 // bytes of an HS256 secret
	minWebhookSecret = 24 // bytes of a decoded whsec_ secret
	maxPacket        = 268_435_455
)

// check returns a sentence for each setting that cannot work and where it was set, but for those that could not be read.
func (c Config) check(unread map[string]bool, origin map[string]string) []string {
	k := &checker{unread: unread, origin: origin}
	k.node(c)
	k.addresses(c)
	k.tokens(c)
	k.stores(c)
	k.habits(c.Habits)
	k.push(c.Push)
	k.presence(c.Presence)
	k.limits(c.Limits)
	k.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	k.oneOf("log.format", c.Log.Format, "auto", "text", "json")
	return k.mistakes
}

type checker struct {
	unread   map[string]bool
	origin   map[string]string
	mistakes []string
}

func (k *checker) say(key, format string, args ...any) {
	if k.unread[key] {
		return
	}
	mistake := key + ": " + fmt.Sprintf(format, args...)
	if where := k.origin[key]; where != "" && where != byDefault {
		mistake = where + ": " + mistake
	}
	k.mistakes = append(k.mistakes, mistake)
}

func (k *checker) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		k.say(key, "%q is none of %s", value, strings.Join(allowed, ", "))
	}
}

func (k *checker) node(c Config) {
	if c.Node.ID != "" && !pactwire.ValidID(c.Node.ID) {
		k.say("node.id", "%q is no id; use 1 to 64 letters, digits, - and _", c.Node.ID)
	}
	if c.DataDir == "" {
		k.say("data_dir", "needs a directory")
	}
}

func (k *checker) addresses(c Config) {
	listeners := []struct{ key, addr string }{
		{"mqtt.tcp", c.MQTT.TCP}, {"mqtt.tls", c.MQTT.TLS}, {"mqtt.ws", c.MQTT.WS}, {"mqtt.wss", c.MQTT.WSS},
		{"http.addr", c.HTTP.Addr}, {"http.admin_addr", c.HTTP.AdminAddr}, {"habits.addr", c.Habits.Addr},
	}
	taken := map[string]string{}
	for _, l := range listeners {
		if l.addr == "" {
			continue
		}
		host, port, err := net.SplitHostPort(l.addr)
		if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil {
			k.say(l.key, "%q is no address; write host:port, such as 127.0.0.1:1883", l.addr)
			continue
		} else if first, twice := taken[l.addr]; twice && n != 0 {
			k.say(l.key, "%s is already the address of %s", l.addr, first)
		}
		taken[l.addr] = l.key
		if !c.AuthConfigured() && !loopback(host) {
			k.say(l.key, "%s can be reached from other machines, and nobody said whose tokens to believe; "+
				"set auth.jwt.secret or auth.jwt.jwks_url, or listen on 127.0.0.1", l.addr)
		}
	}
	if (c.MQTT.TLS != "" || c.MQTT.WSS != "") && (c.MQTT.CertFile == "" || c.MQTT.KeyFile == "") {
		k.say("mqtt.cert_file", "mqtt.tls and mqtt.wss need mqtt.cert_file and mqtt.key_file")
	}
	for _, o := range c.MQTT.Origins {
		if u, err := url.Parse(o); o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Path != "") {
			k.say("mqtt.origins", "%q is no origin; write https://example.org, or * for any", o)
		}
	}
}

// loopback reports whether an address of that host can be reached from this machine alone.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

func (k *checker) tokens(c Config) {
	j := c.Auth.JWT
	if j.Secret != "" && j.JWKSURL != "" {
		k.say("auth.jwt", "secret and jwks_url are both set; tokens are either signed with a shared secret or by an issuer")
	}
	if j.Secret != "" && len(j.Secret) < MinSecret {
		k.say("auth.jwt.secret", "has %d bytes; HS256 needs at least %d (try: openssl rand -base64 48)", len(j.Secret), MinSecret)
	}
	if j.JWKSURL != "" {
		k.httpURL("auth.jwt.jwks_url", j.JWKSURL)
	}
}

func (k *checker) httpURL(key, s string) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		k.say(key, "%q is no http or https address", s)
	}
}

func (k *checker) stores(c Config) {
	if u := string(c.Store.URL); u != "" {
		scheme, rest, _ := strings.Cut(u, ":")
		if !slices.Contains([]string{"sqlite", "postgres", "postgresql"}, scheme) || strings.Trim(rest, "/") == "" {
			k.say("store.url", "%s is neither sqlite:path nor postgres://…", c.Store.URL)
		}
	}
	u := string(c.Redis.URL)
	known := slices.ContainsFunc([]string{"redis://", "rediss://", "unix://"}, func(p string) bool { return strings.HasPrefix(u, p) })
	switch {
	case u == "":
	case !known:
		k.say("redis.url", "%s is no redis:// address", c.Redis.URL)
	case c.SQLitePath() != "":
		k.say("redis.url", "Redis joins several nodes, and SQLite is a file of one: set store.url to postgres://…, or leave redis.url empty")
	}
	if u, err := url.Parse(u); known && err == nil && u.Scheme != "unix" {
		if number := strings.Trim(u.Path, "/"); number != "" {
			if _, err := strconv.ParseUint(number, 10, 31); err != nil {
				k.say("redis.url", "at the end of %s stands no number of a database, such as /0", c.Redis.URL)
			}
		}
	}
	k.atLeast("store.retention", c.Store.Retention, time.Hour)
	k.atLeast("store.poll", c.Store.Poll, 10*time.Millisecond)
}

func (k *checker) atLeast(key string, d, least time.Duration) {
	if d < least {
		k.say(key, "%s is too short; at least %s", d, least)
	}
}

func (k *checker) habits(h Habits) {
	k.oneOf("habits.mode", h.Mode, HabitsEmbedded, HabitsHTTP)
	if h.Mode == HabitsHTTP && h.URL == "" {
		k.say("habits.url", "habits.mode http needs the address of the habits-service")
	}
	if h.URL != "" {
		k.httpURL("habits.url", h.URL)
	}
	if h.EventsURL != "" {
		k.httpURL("habits.events_url", h.EventsURL)
	}
	if h.Secret != "" && !validWebhookSecret(string(h.Secret)) {
		k.say("habits.secret", "needs whsec_ and the base64 of at least %d random bytes (try: echo whsec_$(openssl rand -base64 32))", minWebhookSecret)
	}
	k.atLeast("habits.timeout", h.Timeout, 10*time.Millisecond)
	k.atLeast("habits.membership_ttl", h.MembershipTTL, 0)
	k.atLeast("habits.membership_stale", h.MembershipStale, h.MembershipTTL)
	k.atLeast("habits.give_up", h.GiveUp, time.Second)
}

func validWebhookSecret(s string) bool {
	b64, ok := strings.CutPrefix(s, "whsec_")
	if !ok {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(b64)
	return err == nil && len(key) >= minWebhookSecret
}

func (k *checker) push(p Push) {
	k.atLeast("push.delay", p.Delay, 0)
	k.between("push.daily_cap", p.DailyCap, 1, 1000)
	if u := string(p.Webhook.URL); u != "" {
		k.httpURL("push.webhook.url", u)
		if !validWebhookSecret(string(p.Webhook.Secret)) {
			k.say("push.webhook.secret", "needs whsec_ and the base64 of at least %d random bytes (try: echo whsec_$(openssl rand -base64 32))", minWebhookSecret)
		}
	}
	for _, o := range []struct{ key, url string }{{"push.fcm.url", p.FCM.URL}, {"push.apns.url", p.APNs.URL}} {
		if o.url != "" {
			k.httpURL(o.key, o.url)
		}
	}
	if a := p.APNs; a.KeyFile != "" && (a.KeyID == "" || a.TeamID == "" || a.Topic == "") {
		k.say("push.apns.key_file", "needs push.apns.key_id, push.apns.team_id and push.apns.topic too")
	}
	if w := p.WebPush; w.PrivateKey != "" && (w.PublicKey == "" || w.Subject == "") {
		k.say("push.webpush.private_key", "needs push.webpush.public_key and push.webpush.subject too")
	}
}

func (k *checker) presence(p Presence) {
	k.atLeast("presence.grace", p.Grace, 0)
	k.atLeast("presence.lease", p.Lease, time.Second)
}

func (k *checker) limits(l Limits) {
	if l.PacketSize < 1<<10 || l.PacketSize > maxPacket {
		k.say("limits.packet_size", "%s is out of bounds; between 1KiB and 255MiB", l.PacketSize)
	}
	if l.OutboundBytes < l.PacketSize {
		k.say("limits.outbound_bytes", "%s does not hold one packet of limits.packet_size %s", l.OutboundBytes, l.PacketSize)
	}
	k.atLeast("limits.connect_timeout", l.ConnectTimeout, 10*time.Millisecond)
	k.between("limits.topic_bytes", l.TopicBytes, 16, 65535)
	k.between("limits.topic_levels", l.TopicLevels, 4, 128)
	k.between("limits.subscriptions", l.Subscriptions, 1, 1<<16)
	k.between("limits.connections_per_user", l.ConnectionsPerUser, 1, 1<<20)
	k.atLeast("limits.keepalive_min", l.KeepaliveMin, time.Second)
	k.atLeast("limits.keepalive_max", l.KeepaliveMax, l.KeepaliveMin)
	if l.KeepaliveMax > 65535*time.Second {
		k.say("limits.keepalive_max", "%s is too long; at most 65535s", l.KeepaliveMax)
	}
	k.atLeast("limits.session_expiry", l.SessionExpiry, 0)
	k.rate("limits.commands", l.CommandsPerSecond, l.CommandsBurst)
	k.rate("limits.connects", l.ConnectsPerSecond, l.ConnectsBurst)
}

func (k *checker) between(key string, n, low, high int) {
	if n < low || n > high {
		k.say(key, "%d is out of bounds; between %d and %d", n, low, high)
	}
}

// rate checks a token bucket; a rate of 0 is no limit, and then the burst does not matter.
func (k *checker) rate(key string, perSecond float64, burst int) {
	if perSecond != 0 && (perSecond < 1e-3 || perSecond > 1e9) {
		k.say(key+"_per_second", "%v is out of bounds; between 0.001 and 1e9, or 0, which means no limit", perSecond)
	}
	if burst < 0 || perSecond > 0 && burst < 1 || burst > 1e6 {
		k.say(key+"_burst", "%d is out of bounds; between 1 and 1000000", burst)
	}
}
