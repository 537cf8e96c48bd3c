// Package broker is the MQTT broker: its listeners, its connections, and the library that speaks the protocol, assembled.
//
// A [Server] accepts connections over TCP, TLS, WebSocket and secure WebSocket, and gives each of them to the library as a
// [Conn]. A Conn lets the library see whole, checked packets only (see package frame), takes the acknowledgements of
// members' sessions out of the stream and hands them to their [Peer], and never blocks a writer: what the kernel does not
// take at once waits in a buffer that is bounded in bytes.
//
// From the bottom up a connection is: the kernel's socket; a sock, which makes writing non-blocking and bounds how long
// a silent stranger may stay; TLS, where asked for; WebSocket, where asked for; the Conn.
//
// What it promises: no input ends the process or stops a listener; a connection that sends nothing, or half of something,
// ends in bounded time; a connection that takes nothing costs bounded memory and nobody else's time; when Drain returns,
// nothing of the server is left running.
//
// What it never does: decide who may connect or what may be said. That is for the hooks it is given.
//
// Each connection has one goroutine of ours, which reads and runs the library's connection loop, and one of the library's,
// which writes what other goroutines queue. A third exists only while bytes wait for the kernel. Locks are taken in the
// order Conn.mu, sock.mu, ledger.mu, and none is held while a hook runs.
package broker
