package testkit

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
)

// HabitsSecret is shared by the servers and habits-services of a Cluster.
const HabitsSecret = "whsec_cGFjdHdpcmUtdGVzdGtpdC1oYWJpdHMtc2VjcmV0"

// ClusterOptions say what a Cluster is made of.
type ClusterOptions struct {
	Nodes    int
	SQLite   bool              // one node with a database of its own: no PostgreSQL and no Redis
	NoRedis  bool              // nodes that share PostgreSQL alone
	Habits   bool              // a habits-service as a process of its own
	Direct   bool              // no proxies between the parts: for measuring
	Settings map[string]string // of each node
	MQTT     string            // where the load balancer listens for MQTT, any free port by default
	HTTP     string            // and for HTTP
}

// Cluster is several nodes that are one service, with all they need. Each link between two parts goes through a Proxy of
// its own, where it can be cut and slowed.
type Cluster struct {
	Postgres *PostgresServer // nil with SQLite
	Redis    *RedisServer    // nil without
	Habits   *Server         // nil with the embedded one
	Nodes    []*Node
	MQTT     *Balancer // in front of all nodes
	HTTP     *Balancer
}

// Node is one of a Cluster. Its own addresses are those of the process; clients come through Front.
type Node struct {
	*Server
	Front                         string // where MQTT clients come
	ToPostgres, ToRedis, ToHabits *Proxy // nil where there is nothing at the other end
	Clients                       *Proxy
}

// StartCluster starts one and waits until each node is ready.
func StartCluster(t testing.TB, o ClusterOptions) *Cluster {
	t.Helper()
	c := &Cluster{}
	if !o.SQLite {
		c.Postgres = Postgres(t)
		if !o.NoRedis {
			c.Redis = Redis(t)
		}
	}
	var https, mqtts []Backend
	nodes := make([]string, o.Nodes) // HTTP addresses
	for i := range nodes {
		nodes[i] = FreeAddr(t)
		https = append(https, Backend{Addr: nodes[i], HTTP: nodes[i]})
	}
	c.HTTP = NewBalancer(t, o.HTTP, https...)
	if o.Habits {
		c.Habits = StartHabits(t, map[string]string{
			"habits.secret": HabitsSecret, "habits.events_url": "http://" + c.HTTP.Addr + "/v1/events", "log.level": "warn",
		})
	}
	for i, addr := range nodes {
		n := c.newNode(t, i, addr, o)
		c.Nodes = append(c.Nodes, n)
		mqtts = append(mqtts, Backend{Addr: n.Front, HTTP: addr})
	}
	for _, n := range c.Nodes { // together, on an empty database
		n.Launch()
	}
	for _, n := range c.Nodes {
		n.WaitReady()
	}
	c.MQTT = NewBalancer(t, o.MQTT, mqtts...)
	return c
}

func (c *Cluster) newNode(t testing.TB, i int, addr string, o ClusterOptions) *Node {
	t.Helper()
	n := &Node{}
	env := map[string]string{"node.id": fmt.Sprintf("n%d", i+1), "http.addr": addr, "log.level": "warn"}
	link := func(p **Proxy, target string) string {
		if o.Direct {
			return target
		}
		*p = NewProxy(t, target)
		return (*p).Addr
	}
	if c.Postgres != nil {
		env["store.url"] = Via(t, c.Postgres.URL(), link(&n.ToPostgres, c.Postgres.Addr))
	}
	if c.Redis != nil {
		env["redis.url"] = Via(t, c.Redis.URL(), link(&n.ToRedis, c.Redis.Addr))
	}
	if c.Habits != nil {
		env["habits.mode"], env["habits.secret"] = "http", HabitsSecret
		env["habits.url"] = "http://" + link(&n.ToHabits, c.Habits.HTTP)
	}
	maps.Copy(env, o.Settings)
	n.Server = newServer(t, "serve", env)
	n.TCP, n.WS, n.HTTP = n.set("mqtt.tcp"), n.set("mqtt.ws"), addr
	n.Front = link(&n.Clients, n.TCP)
	return n
}

// Call makes a request of whichever node the load balancer chooses, on a connection of its own.
func (c *Cluster) Call(ctx context.Context, user pactwire.UserID, method, path string, in any) (int, []byte, error) {
	client := &http.Client{Timeout: callLimit, Transport: &http.Transport{DisableKeepAlives: true}}
	return call(ctx, client, c.HTTP.Addr, tokenOf(user), method, path, in)
}

const callLimit = 10 * time.Second

// Heal undoes whatever was done to the links between the parts.
func (c *Cluster) Heal() {
	for _, n := range c.Nodes {
		for _, p := range []*Proxy{n.ToPostgres, n.ToRedis, n.ToHabits, n.Clients} {
			if p != nil {
				p.Heal()
			}
		}
	}
}
