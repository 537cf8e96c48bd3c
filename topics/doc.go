// Package topics is the grammar of Pactwire's topics: it parses, builds and matches them, and says what a role may do with
// a filter. It is the one place where a topic is spelt.
//
// Everything here is a pure function of its arguments. Whether someone is a member of a pact is not known here: Subscribe
// names the pact that a filter is about and leaves the question to the caller.
package topics
