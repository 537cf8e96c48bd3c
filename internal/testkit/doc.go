// Package testkit runs the real thing for tests: `pactwire serve` as a process on free ports with its own data, PostgreSQL
// and Redis likewise, foreign MQTT clients as subprocesses, a network that can be cut, and a checker of what the log must
// look like afterwards.
//
// It waits for conditions and never for time to pass. What it starts it stops, when the test that asked ends.
package testkit
