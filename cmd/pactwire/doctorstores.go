package main

import (
	"context"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/pactwire/pactwire/postgres"
	"github.com/pactwire/pactwire/redis"
)

// postgres asks the database whether it lets us in and would keep what is written.
func (d *doctor) postgres(ctx context.Context) {
	address := string(d.cfg.Store.URL)
	at, ok := d.dial(ctx, "store", address, "5432", "start PostgreSQL, or set store.url")
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	began := time.Now()
	clock, err := postgres.Check(ctx, address)
	if err != nil {
		d.say("store", failure, "correct store.url, or that database", "PostgreSQL at %s cannot be used: %v", at, cause(err))
		return
	}
	d.ok("store", "PostgreSQL at %s lets us in", at)
	d.clocks("PostgreSQL", clock, clock, began)
}

// redis asks Redis whether it lets us in.
func (d *doctor) redis(ctx context.Context) {
	address := string(d.cfg.Redis.URL)
	if address == "" {
		return
	}
	at, ok := d.dial(ctx, "redis", address, "6379", "start Redis, or set redis.url")
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	began := time.Now()
	clock, err := redis.Check(ctx, address)
	if err != nil {
		d.say("redis", failure, "correct redis.url: the password, and the number of the database at its end", "Redis at %s cannot be used: %v", at, cause(err))
		return
	}
	d.ok("redis", "Redis at %s lets us in", at)
	d.clocks("Redis", clock, clock, began)
}

// dial tries whether somebody listens where a URL says, and returns where that is: at the first of several hosts that answers.
func (d *doctor) dial(ctx context.Context, check, address, port, do string) (at string, ok bool) {
	u, err := url.Parse(address)
	if err != nil {
		d.say(check, failure, do, "the address cannot be read")
		return "", false
	}
	network, addrs := "tcp", hosts(u, port)
	if folder := u.Query().Get("host"); strings.HasPrefix(folder, "/") {
		network, addrs = "unix", []string{filepath.Join(folder, ".s.PGSQL."+port)}
	} else if u.Scheme == "unix" {
		network, addrs = "unix", []string{u.Path}
	}
	dialer := net.Dialer{Timeout: doctorTime}
	for _, addr := range addrs {
		var c net.Conn
		if c, err = dialer.DialContext(ctx, network, addr); err == nil {
			_ = c.Close() // it was only asked whether it opens
			return addr, true
		}
	}
	d.say(check, failure, do, "nobody answers at %s: %v", strings.Join(addrs, ", "), cause(err))
	return "", false
}

// hosts are those of a URL: PostgreSQL's stand side by side, further ones of a Redis Cluster in its parameters.
func hosts(u *url.URL, port string) (addrs []string) {
	for _, host := range append(strings.Split(u.Host, ","), u.Query()["addr"]...) {
		if one := (&url.URL{Host: host}); one.Port() == "" {
			host = net.JoinHostPort(one.Hostname(), port)
		}
		addrs = append(addrs, host)
	}
	return addrs
}
