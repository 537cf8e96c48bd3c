// Package parity_test holds the server against the one that it takes the place of: what its clients could do can be done, and
// every way in which it is known to fail them is a test here, named after the failure, through real connections to a real server.
package parity_test
