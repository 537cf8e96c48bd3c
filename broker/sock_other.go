//go:build !unix

package broker

import (
	"net"
	"syscall"
)

// Elsewhere every write goes by the spill.
const canWriteRaw = false

func writeRaw(syscall.RawConn, []byte) (int, error) { return 0, net.ErrClosed }
func discardRaw(syscall.RawConn)                    {}
func unreadRaw(syscall.RawConn) bool                { return false }
