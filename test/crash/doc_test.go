// Package crash_test kills a real server in the middle of check-ins and looks at what is left: promises 1 to 4.
//
//	go test ./test/crash -args -rounds 20 -seed 7
package crash_test
