// Package slow_test has a subscriber that stops reading while its partner goes on: promise 7.
package slow_test
