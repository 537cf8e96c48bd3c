// Package hooks is where the MQTT library asks Pactwire: one file a hook. Auth decides who connects, ACL what may be
// subscribed to, Commands what a publish means, Sessions and Presence follow a connection's life, Metrics counts. Each is
// thin: it translates between packets and the words of the domain, and leaves the deciding to who it was given.
//
// Members and operators are served by our own sessions and delivery: nothing of theirs enters the library's topic trie,
// queues or inflight map. Filters that they subscribe to are replaced by one that nobody may have, and the codes of the
// SUBACK are put in when it is encoded. Role lab alone has the library's plain MQTT; only its
// messages go out by fanout, which the library's queues would slow and lose.
//
// Hooks run on the goroutine of the connection that caused them, or on the library's housekeeping goroutine. None may
// panic, and none blocks on anything but that connection's own business.
package hooks
