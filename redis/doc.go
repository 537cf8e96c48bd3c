// Package redis lets several nodes be one service: who lives, who is connected where, messages from node to node, the
// presence of people over all nodes, and what they and addresses took of their rates.
//
// Nothing here is the truth about what happened; that is in the database. All of it may be forgotten at any moment, and
// nodes say it again. Each key has a time to live and is spelt in keys.go; scripts touch one key each, so that they work
// on Redis Cluster too.
//
// A node has two clients. One is for short calls. The other is for the blocking read of the node's own inbox, which go-redis
// cannot interrupt, so that it blocks for no longer than a second; it has one connection, and a new one tells that Redis
// was away, however shortly.
package redis
