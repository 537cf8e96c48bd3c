// Package relay makes several nodes over one store one service. What a node has committed it hands to the relay, which tells
// the nodes that the readers are connected to, and no others. What comes from other nodes goes to this node's connections.
//
// A message between nodes is a hint: it may be lost, come late, twice or out of order. The log is the truth. Each stream
// passes a sequencer, local and remote entries alike: the next entry is published, a former one dropped, and after a gap the
// log is read. Now and then, and often while Redis or another node's way to it is broken, the relay looks at the heads of the
// streams that have readers here, and reads what no hint told of. So nothing is missed, only later.
//
// A pact that another node has changed is read before anything more of its stream is published here: who has left receives
// no more, and who has joined receives the entry that says so.
//
// Nothing that the committing goroutine calls blocks. The queue to other nodes is bounded; what finds no room is left out, and
// the other nodes are told that something was, so that they look.
//
// Lock order: a sequencer's shard, then the hub. All other locks here are leaves.
package relay
