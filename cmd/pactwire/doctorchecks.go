package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/habits"
	"github.com/pactwire/pactwire/internal/config"
	"github.com/pactwire/pactwire/sqlite"
)

// What is worth a warning.
const (
	slowSync     = 20 * time.Millisecond // each commit waits for one
	certSoon     = 14 * 24 * time.Hour
	clockApart   = 3 * time.Second // tokens allow 5 s
	fewFiles     = 4096
	syncsToTry   = 16
	syncPageSize = 4096
)

// server asks whether a server is running here already, and if so, what it says of itself.
func (d *doctor) server(ctx context.Context) {
	if d.cfg.HTTP.Addr == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	resp, err := get(ctx, "http://"+reachable(d.cfg.HTTP.Addr)+"/readyz")
	if err != nil {
		return
	}
	defer resp.Body.Close()
	var said struct {
		Status string `json:"status"`
		Causes []struct {
			Name  string `json:"name"`
			Error string `json:"error"`
		} `json:"causes"`
	}
	if json.NewDecoder(resp.Body).Decode(&said) != nil || said.Status == "" {
		return // something else has the port: see ports
	}
	d.running = true
	if len(said.Causes) == 0 {
		d.ok("server", "one is running on %s, and well", d.cfg.HTTP.Addr)
	}
	for _, c := range said.Causes {
		g := failure
		if resp.StatusCode == http.StatusOK {
			g = warning
		}
		d.say("server", g, "its log says more", "the one running on %s says %s: %s", d.cfg.HTTP.Addr, c.Name, c.Error)
	}
}

func get(ctx context.Context, address string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(req)
}

// ports tries to listen where the server would.
func (d *doctor) ports() {
	m := d.cfg.MQTT
	for _, l := range []struct{ key, addr string }{
		{"mqtt.tcp", m.TCP}, {"mqtt.tls", m.TLS}, {"mqtt.ws", m.WS}, {"mqtt.wss", m.WSS},
		{"http.addr", d.cfg.HTTP.Addr}, {"http.admin_addr", d.cfg.HTTP.AdminAddr},
	} {
		if l.addr == "" {
			continue
		}
		ln, err := net.Listen("tcp", l.addr)
		switch {
		case err == nil:
			_ = ln.Close() // it was free, and is again
			if d.running && l.key != "http.addr" {
				d.say("ports", warning, "start it anew if these are new settings", "%s %s is free: the running server does not listen there", l.key, l.addr)
				continue
			}
			d.ok("ports", "%s %s is free", l.key, l.addr)
		case d.running:
			d.ok("ports", "%s %s is in use, as it should be while the server runs", l.key, l.addr)
		default:
			d.say("ports", failure, "stop the program that has it, or set "+l.key+" to another address", "%s %s cannot be used: %v", l.key, l.addr, cause(err))
		}
	}
}

// cause is the innermost error, which says it shortest.
func cause(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}

// certificate reads what the TLS listeners will show.
func (d *doctor) certificate() {
	m := d.cfg.MQTT
	if m.TLS == "" && m.WSS == "" {
		return
	}
	const do = "set mqtt.cert_file and mqtt.key_file to a certificate with its chain, and its key"
	pair, err := tls.LoadX509KeyPair(m.CertFile, m.KeyFile)
	if err != nil {
		d.say("tls", failure, do, "%v", err)
		return
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	left := time.Duration(0)
	if err == nil {
		left = time.Until(leaf.NotAfter)
	}
	switch {
	case err != nil:
		d.say("tls", failure, do, "%s: %v", m.CertFile, err)
	case left <= 0:
		d.say("tls", failure, "renew it; it is read again by itself", "%s ended on %s", m.CertFile, leaf.NotAfter.Format(time.DateOnly))
	case left < certSoon:
		d.say("tls", warning, "renew it; it is read again by itself", "%s ends on %s", m.CertFile, leaf.NotAfter.Format(time.DateOnly))
	default:
		d.ok("tls", "%s holds until %s", m.CertFile, leaf.NotAfter.Format(time.DateOnly))
	}
}

// files asks how many connections the system lets one process have.
func (d *doctor) files() {
	n, ok := openFiles()
	switch {
	case !ok:
	case n < fewFiles:
		d.say("files", warning, "raise it (ulimit -n, LimitNOFILE=)", "a process may have %d files open here, and needs one for each connection", n)
	default:
		d.ok("files", "a process may have %d open", n)
	}
}

// store looks at the database and the disk under it.
func (d *doctor) store(ctx context.Context) {
	path := d.cfg.SQLitePath()
	if path == "" {
		d.postgres(ctx)
		return
	}
	const do = "let this user write there, or set data_dir or store.url to another place"
	dir := filepath.Dir(path)
	made, err := makeDir(dir)
	if err != nil {
		d.say("store", failure, do, "the folder %s cannot be made: %v", dir, cause(err))
		return
	}
	defer made.remove()
	took, err := syncTime(dir)
	switch {
	case err != nil:
		d.say("store", failure, writable(err, do), "%s cannot be written: %v", dir, cause(err))
		return
	case took > slowSync:
		d.say("store", warning, "use a faster disk for data_dir: every ack waits for the disk", "a sync to %s takes %s", dir, took.Round(10*time.Microsecond))
	default:
		d.ok("store", "%s can be written, a sync takes %s", dir, took.Round(10*time.Microsecond))
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		d.ok("store", "%s is not there yet and will be made", path)
		return
	}
	in, err := sqlite.Inspect(path)
	switch {
	case err != nil:
		d.say("store", failure, "put a backup in its place, or set store.url to another file", "%s cannot be read: %v", path, err)
	case in.Schema > in.Known:
		d.say("store", failure, "run that version, or restore an older backup", "%s was written by a newer pactwire (schema %d, this one knows up to %d)", path, in.Schema, in.Known)
	case in.InUse && !d.running:
		d.say("store", failure, "stop it, or set data_dir or store.url to another place", "%s is in use by another process (pid %s)", path, in.Holder)
	default:
		d.ok("store", "%s can be read, schema %d of %d", path, in.Schema, in.Known)
	}
}

// madeDirs are the folders that had to be made to try whether that can be done.
type madeDirs []string

func makeDir(dir string) (made madeDirs, err error) {
	for p := dir; ; p = filepath.Dir(p) {
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) || p == filepath.Dir(p) {
			break
		}
		made = append(made, p)
	}
	return made, os.MkdirAll(dir, 0o700)
}

func (m madeDirs) remove() {
	for _, p := range m { // innermost first; what is not empty stays
		_ = os.Remove(p)
	}
}

// writable is what to do about a folder that cannot be written: to let somebody write there is none where there is no room.
func writable(err error, do string) string {
	if errors.Is(err, syscall.ENOSPC) {
		return "free some space there, or set data_dir or store.url to another place"
	}
	return do
}

// syncTime is the median time of writing a page and having it on disk.
func syncTime(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, "doctor-*")
	if err != nil {
		return 0, err
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	page := make([]byte, syncPageSize)
	took := make([]time.Duration, syncsToTry)
	for i := range took {
		began := time.Now()
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// habits asks a remote habits-service, with our secret.
func (d *doctor) habits(ctx context.Context) {
	h := d.cfg.Habits
	if h.Mode != config.HabitsHTTP {
		return
	}
	client, err := habits.NewClient(habits.ClientConfig{URL: h.URL, Secret: string(h.Secret), Timeout: doctorTime})
	if err != nil {
		d.say("habits", failure, "set habits.url", "%v", err)
		return
	}
	defer client.Close()
	_, err = client.PactsOf(ctx, []pactwire.UserID{"doctor"})
	switch {
	case err == nil:
		d.ok("habits", "the habits-service answers at %s", h.URL)
	case habits.Misconfigured(err):
		d.say("habits", failure, "habits.secret must be the same there and here, and habits.url its address", "the habits-service at %s does not accept us: %v", h.URL, err)
	default:
		d.say("habits", failure, "start it, or correct habits.url; until then check-ins stay pending", "the habits-service at %s: %v", h.URL, err)
	}
	if h.Secret == "" {
		d.say("habits", warning, "set habits.secret on both sides", "without habits.secret its events are refused, and changes made there are seen late")
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	began := time.Now()
	if resp, err := get(ctx, h.URL); err == nil {
		defer resp.Body.Close()
		d.apart("the habits-service", resp, began)
	}
}

// clock looks for a clock that cannot be right. Others' clocks are compared where they are asked anyway.
func (d *doctor) clock() {
	now := time.Now()
	if now.Year() < 2026 {
		d.say("clock", failure, "set the clock: no token would hold", "it is %s here", now.Format(time.RFC3339))
		return
	}
	if _, err := time.LoadLocation("Pacific/Auckland"); err != nil {
		d.say("clock", failure, "install tzdata", "time zones are unknown: %v", err)
		return
	}
	d.ok("clock", "it is %s here", now.UTC().Format(time.RFC3339))
}

// apart compares the clock of who answered with ours.
func (d *doctor) apart(who string, resp *http.Response, began time.Time) {
	theirs, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return
	}
	// The date is cut to the second: what that allows is no difference.
	d.clocks(who, theirs, theirs.Add(time.Second), began)
}

// clocks compares the clock of who answered a question that was asked at a time: it showed something from theirs to until.
func (d *doctor) clocks(who string, theirs, until, began time.Time) {
	var apart time.Duration
	if ahead := time.Until(theirs); ahead > 0 {
		apart = ahead
	} else if behind := until.Sub(began); behind < 0 {
		apart = behind
	}
	if apart.Abs() > clockApart {
		d.say("clock", warning, "set both by NTP: tokens and signed events allow few seconds", "the clock of %s is %s from ours", who, fmt.Sprint(apart.Round(time.Second)))
	}
}
