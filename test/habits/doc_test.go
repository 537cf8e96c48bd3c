// Package habits_test runs a server against a separate habits-service that is killed for a while under load: promise 8.
//
//	go test ./test/habits -args -outage 30s -rate 200
package habits_test
