// Package move_test takes a service with people and a history from one store to another.
package move_test
