// Package house holds the tests that keep the rules of the whole source tree: which package may import which, and what
// no file may contain.
package house
