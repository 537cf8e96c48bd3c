// Package bench drives load against a running server and measures what comes out: pairs of people who check in at an
// open-loop rate, idle connections, reconnect storms, people who come and go all at once, a mixed evening, and fan-out on lab topics.
//
// Latency is measured from when a check-in was meant to be sent, not from when the generator got round to it, so that
// a server that stalls cannot hide it by slowing the generator down. How late the generator itself was is reported too.
// Nothing here knows the server's insides: it speaks MQTT and HTTP, and reads /proc of a process that it is told of.
package bench
