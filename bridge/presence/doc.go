// Package presence keeps who is there, in this process: per person the connections that stand, the best of what they
// say (active, away, offline), when a sign of life was last seen, and a version that strictly increases.
//
// A connection counts from Arrive, which its owner calls at the first SUBSCRIBE, or when a session with filters
// resumes, so that a one-shot publisher flips nobody online. Leave says that it ended, no matter how: DISCONNECT, drop and
// will are the same. What it said last then lingers for the grace time; offline is announced after that, once, unless
// another connection stands. A connection that said offline itself does not linger. One that returns under the same
// client id takes the place of what lingered of it, so that a quick reconnect or a takeover announces nothing.
//
// Only connections of human devices count. Things have no presence.
//
// The Tracker announces through one function, called from one goroutine outside of every lock: in order for each
// person, conflated to the newest when the function is slower than the changes. What must outlive the process goes to
// the Store, at most once a second: at the start those who were online when the process before ended get the grace
// time to return. A stop announces nobody; whoever is back within the grace time of the next start never was away in
// anybody's eyes.
//
// Lock order: there is one lock, and neither the Store nor the announcing function is called under it.
package presence
