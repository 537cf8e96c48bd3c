// Package chaos_test runs whole services under steady load, breaks their parts and links by a seeded schedule, and proves
// promises 1 to 6 from what clients said, were told, and received.
//
//	go test -race ./test/chaos -args -seeds 20 -faults 12
package chaos_test
