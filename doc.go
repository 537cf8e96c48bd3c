// Package pactwire holds the words of the domain: pacts and their members, check-ins and streaks, the activities and
// events that tell of them, the commands that cause them, presence, and the errors that refuse.
//
// It imports the standard library alone and does no I/O. Every other package of the project speaks in these types; the
// wire formats (JSON, camelCase, RFC 3339 UTC with milliseconds) are theirs, so that each is written down once.
package pactwire
