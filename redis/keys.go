package redis

import "github.com/pactwire/pactwire"

// Every key is made here. What is in braces decides the slot on Redis Cluster.

// nodesKey holds the nodes: a sorted set of addresses by the end of their lease.
const nodesKey = "pactwire:nodes"

// inboxKey is a node's inbox: a stream of messages.
func inboxKey(addr string) string { return "pactwire:inbox:{" + addr + "}" }

// peopleKey is a set of the users of whose presence a node has said something.
func peopleKey(addr string) string { return "pactwire:people:{" + addr + "}" }

// routeKey is a set of the addresses of the nodes that a user is connected to. "" stands for the operators: ids are never
// empty.
func routeKey(u pactwire.UserID) string { return "pactwire:route:{" + string(u) + "}" }

// versionsKey is a hash: of each group of users, the version of their routes.
const versionsKey = "pactwire:routes"

// presenceKey is a hash: what each node says of a person, and what they say together.
func presenceKey(u pactwire.UserID) string { return "pactwire:presence:{" + string(u) + "}" }

// rateKey is the time at which all nodes have earned back what they took of a limit for one person, device or address.
func rateKey(limit, of string) string { return "pactwire:rate:" + limit + ":{" + of + "}" }
