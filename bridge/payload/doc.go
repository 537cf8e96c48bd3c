// Package payload reads what clients send: the bytes of a PUBLISH, or the body of the same request over HTTP, become
// commands that are valid in themselves. What it lets through keeps every limit of the contract; whether the sender may
// do it is decided elsewhere.
//
// JSON is read by default, CBOR with the same keys where the content type says application/cbor, and for check-ins a bare
// word, so that a button can say done. Unknown fields are ignored. Every refusal is an Invalid *pactwire.Error that names
// the field and tells a person what to do.
package payload
