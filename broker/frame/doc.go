// Package frame checks MQTT packets before a decoder sees them.
//
// A [Checker] stands in front of the broker library's decoder, which accepts much that MQTT forbids and can be made to
// panic. The checker looks at the bytes that have arrived, finds one whole packet at their front and says whether it is
// well formed, in one pass and without allocating. It never allocates by an announced length: how much is buffered, and
// for how long, is its caller's business.
//
// What it promises: a packet that it lets through follows MQTT 3.1, 3.1.1 or 5 for a packet from a client to a server,
// stands in its place (CONNECT first and only once), is within the [Limits], and decodes without an error.
//
// What it never does: judge who may do what. A topic that is well formed and not to be used here passes, so that it can be
// refused as a command or with a SUBACK code instead of costing the connection; one that is too long or too deep, too.
package frame
