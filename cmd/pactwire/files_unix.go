//go:build unix

package main

import "golang.org/x/sys/unix"

// openFiles is how many files a process may have open.
func openFiles() (uint64, bool) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0, false
	}
	return uint64(limit.Max), true //nolint:unconvert // signed on some systems
}
