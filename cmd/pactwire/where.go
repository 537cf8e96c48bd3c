package main

import (
	"net"
	"net/url"
	"slices"

	"github.com/pactwire/pactwire/internal/config"
)

// locate finds the server: the one that the flags name, else where the settings say that one listens. Operators have a listener
// of their own when there is http.admin_addr.
func (f *clientFlags) locate(g *globals, operator bool) error {
	if f.Server != "" {
		return checkServer(f.Server)
	}
	loaded, err := g.load()
	if err != nil {
		return err
	}
	key, addr := "http.addr", loaded.HTTP.Addr
	if operator && loaded.HTTP.AdminAddr != "" {
		key, addr = "http.admin_addr", loaded.HTTP.AdminAddr
	}
	f.Server, err = serverAt(key, addr)
	return err
}

// serverAt is the base URL of a server that listens on the address of a setting.
func serverAt(key, addr string) (string, error) {
	if !dialable(addr) {
		return "", usagef("%s %q is no address to ask: name the server with --server", key, addr)
	}
	return "http://" + reachable(addr), nil
}

// checkServer refuses what cannot be the base URL of a server.
func checkServer(s string) error {
	if u, err := url.Parse(s); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return usagef("--server %s is no URL such as http://127.0.0.1:8080", s)
	}
	return nil
}

// brokerAt is the broker's address by the settings: of the server that is named, else of this machine. What needs no certificate
// comes first.
func brokerAt(m config.MQTT, server string) (string, error) {
	listeners := []struct{ scheme, addr string }{{"tcp", m.TCP}, {"ws", m.WS}, {"ssl", m.TLS}, {"wss", m.WSS}}
	i := slices.IndexFunc(listeners, func(l struct{ scheme, addr string }) bool { return dialable(l.addr) })
	if i < 0 {
		return "", usagef("no address of mqtt.* says where the broker listens: name it with --mqtt")
	}
	addr := reachable(listeners[i].addr)
	if u, err := url.Parse(server); err == nil && u.Hostname() != "" {
		_, port, _ := net.SplitHostPort(addr)
		addr = net.JoinHostPort(u.Hostname(), port)
	}
	return listeners[i].scheme + "://" + addr, nil
}

// dialable reports whether an address of the settings is on and says its port.
func dialable(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && port != "0"
}

// reachable is where a listener of an address can be found from here.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
