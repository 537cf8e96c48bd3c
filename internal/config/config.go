package config

import (
	"net/netip"
	"path/filepath"
	"strings"
	"time"
)

// Config is every setting. The tags are the keys of config.yaml, which documents each.
type Config struct {
	Node     Node     `koanf:"node"`
	DataDir  string   `koanf:"data_dir"`
	Demo     bool     `koanf:"demo"`
	MQTT     MQTT     `koanf:"mqtt"`
	HTTP     HTTP     `koanf:"http"`
	Auth     Auth     `koanf:"auth"`
	Store    Store    `koanf:"store"`
	Redis    Redis    `koanf:"redis"`
	Habits   Habits   `koanf:"habits"`
	Push     Push     `koanf:"push"`
	Presence Presence `koanf:"presence"`
	Limits   Limits   `koanf:"limits"`
	Lab      Lab      `koanf:"lab"`
	Log      Log      `koanf:"log"`
}

// Node names this process among others.
type Node struct {
	ID string `koanf:"id"`
}

// MQTT are the broker's listeners. An empty address is a listener that is off.
type MQTT struct {
	TCP            string         `koanf:"tcp"`
	TLS            string         `koanf:"tls"`
	WS             string         `koanf:"ws"`
	WSS            string         `koanf:"wss"`
	CertFile       string         `koanf:"cert_file"`
	KeyFile        string         `koanf:"key_file"`
	Origins        []string       `koanf:"origins"`
	TrustedProxies []netip.Prefix `koanf:"trusted_proxies"`
	AutoJoin       bool           `koanf:"auto_join"`
}

// HTTP are the listeners of the REST API.
type HTTP struct {
	Addr      string `koanf:"addr"`
	AdminAddr string `koanf:"admin_addr"`
}

// Auth says whose tokens are believed.
type Auth struct {
	JWT JWT `koanf:"jwt"`
}

// JWT is either a shared secret or the issuer's key set.
type JWT struct {
	Secret   Secret `koanf:"secret"`
	JWKSURL  string `koanf:"jwks_url"`
	Issuer   string `koanf:"issuer"`
	Audience string `koanf:"audience"`
	Brand    string `koanf:"brand"`
}

// Store is where everything durable lives.
type Store struct {
	URL       URL           `koanf:"url"`
	Retention time.Duration `koanf:"retention"`
	Poll      time.Duration `koanf:"poll"`
}

// Redis joins several nodes. Empty: one node.
type Redis struct {
	URL URL `koanf:"url"`
}

// Habits says who decides what a check-in means.
type Habits struct {
	Mode            string        `koanf:"mode"`
	URL             string        `koanf:"url"`
	Secret          Secret        `koanf:"secret"`
	Addr            string        `koanf:"addr"`
	EventsURL       string        `koanf:"events_url"`
	Timeout         time.Duration `koanf:"timeout"`
	MembershipTTL   time.Duration `koanf:"membership_ttl"`
	MembershipStale time.Duration `koanf:"membership_stale"`
	GiveUp          time.Duration `koanf:"give_up"`
}

// Modes of Habits.
const (
	HabitsEmbedded = "embedded"
	HabitsHTTP     = "http"
)

// Push says how people are told who are not looking. A channel without its first key is off; with all of them off nothing
// is recorded.
type Push struct {
	Delay    time.Duration `koanf:"delay"`
	DailyCap int           `koanf:"daily_cap"`
	Webhook  PushWebhook   `koanf:"webhook"`
	FCM      PushFCM       `koanf:"fcm"`
	APNs     PushAPNs      `koanf:"apns"`
	WebPush  PushWebPush   `koanf:"webpush"`
}

// PushWebhook is another server that takes pushes.
type PushWebhook struct {
	URL    URL    `koanf:"url"`
	Secret Secret `koanf:"secret"`
}

// PushFCM is Firebase Cloud Messaging.
type PushFCM struct {
	CredentialsFile string `koanf:"credentials_file"`
	URL             string `koanf:"url"`
}

// PushAPNs is the Apple Push Notification service.
type PushAPNs struct {
	KeyFile string `koanf:"key_file"`
	KeyID   string `koanf:"key_id"`
	TeamID  string `koanf:"team_id"`
	Topic   string `koanf:"topic"`
	URL     string `koanf:"url"`
}

// PushWebPush is for browsers.
type PushWebPush struct {
	PrivateKey   Secret `koanf:"private_key"`
	PublicKey    string `koanf:"public_key"`
	Subject      string `koanf:"subject"`
	AllowPrivate bool   `koanf:"allow_private"`
}

// Presence are the times after which silence means absence.
type Presence struct {
	Grace time.Duration `koanf:"grace"`
	Lease time.Duration `koanf:"lease"`
}

// Limits bound what one client may cost.
type Limits struct {
	PacketSize         Size          `koanf:"packet_size"`
	ConnectTimeout     time.Duration `koanf:"connect_timeout"`
	TopicBytes         int           `koanf:"topic_bytes"`
	TopicLevels        int           `koanf:"topic_levels"`
	Subscriptions      int           `koanf:"subscriptions"`
	ConnectionsPerUser int           `koanf:"connections_per_user"`
	KeepaliveMin       time.Duration `koanf:"keepalive_min"`
	KeepaliveMax       time.Duration `koanf:"keepalive_max"`
	SessionExpiry      time.Duration `koanf:"session_expiry"`
	OutboundBytes      Size          `koanf:"outbound_bytes"`
	CommandsPerSecond  float64       `koanf:"commands_per_second"`
	CommandsBurst      int           `koanf:"commands_burst"`
	ConnectsPerSecond  float64       `koanf:"connects_per_second"`
	ConnectsBurst      int           `koanf:"connects_burst"`
}

// Lab opens plain MQTT outside the product's topics to bearers of the role lab.
type Lab struct {
	Enabled bool `koanf:"enabled"`
}

// Log is how the process speaks of itself.
type Log struct {
	Level  string `koanf:"level"`
	Format string `koanf:"format"`
}

// Default are the settings of a server that nobody configured: one node, on this machine alone.
func Default() Config {
	return Config{
		DataDir: "data",
		MQTT:    MQTT{TCP: "127.0.0.1:1883", WS: "127.0.0.1:8083"},
		HTTP:    HTTP{Addr: "127.0.0.1:8080"},
		Store:   Store{Retention: 9600 * time.Hour, Poll: 500 * time.Millisecond},
		Habits: Habits{
			Mode: HabitsEmbedded, Addr: "127.0.0.1:8090", Timeout: 5 * time.Second,
			MembershipTTL: time.Minute, MembershipStale: time.Hour, GiveUp: 24 * time.Hour,
		},
		Push:     Push{Delay: 10 * time.Second, DailyCap: 20},
		Presence: Presence{Grace: 10 * time.Second, Lease: 30 * time.Second},
		Limits: Limits{
			PacketSize: 64 << 10, ConnectTimeout: 5 * time.Second, TopicBytes: 256, TopicLevels: 8, Subscriptions: 64,
			ConnectionsPerUser: 16, KeepaliveMin: 15 * time.Second, KeepaliveMax: 1200 * time.Second,
			SessionExpiry: 168 * time.Hour, OutboundBytes: 256 << 10, CommandsPerSecond: 10, CommandsBurst: 30,
			ConnectsPerSecond: 50, ConnectsBurst: 100,
		},
		Log: Log{Level: "info", Format: "auto"},
	}
}

// SQLitePath is the database file, or "" when store.url names another kind of store.
func (c Config) SQLitePath() string {
	if c.Store.URL == "" {
		return filepath.Join(c.DataDir, "pactwire.db")
	}
	path, ok := strings.CutPrefix(string(c.Store.URL), "sqlite:")
	if !ok {
		return ""
	}
	return strings.TrimPrefix(path, "//")
}

// AuthConfigured reports whether somebody decided whose tokens are believed.
func (c Config) AuthConfigured() bool { return c.Auth.JWT.Secret != "" || c.Auth.JWT.JWKSURL != "" }
