// Package httpapi is the REST API under /v1, its OpenAPI document, and health and metrics.
//
// It decides nothing about pacts: each group of routes speaks to one small interface (Ports), and a group without one is
// not there. So the same API serves the whole server and the habits-service alone. What it does decide: who is asking
// (bearer tokens), how large a request may be, and how refusals look. A pact that is not the caller's and a pact that
// does not exist get the same 404, byte for byte.
package httpapi
