// Package security_test attacks a real server from outside: every promise about who may say, see and learn what, and
// every trap of the library underneath, has a test named after it.
package security_test
