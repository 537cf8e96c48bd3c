//go:build unix

package broker

import (
	"errors"
	"io"
	"sync"
	"syscall"
)

const canWriteRaw = true

// attempt is one non-blocking write or read. It is pooled with its closures made, so that trying costs no allocation.
type attempt struct {
	p           []byte
	n           int
	err         error
	write, read func(fd uintptr)
}

var attempts = sync.Pool{New: func() any {
	a := new(attempt)
	a.write = func(fd uintptr) { a.try(int(fd), syscall.Write) }
	a.read = func(fd uintptr) { a.try(int(fd), syscall.Read) }
	return a
}}

func (a *attempt) try(fd int, call func(int, []byte) (int, error)) {
	for {
		n, err := call(fd, a.p)
		switch {
		case err == nil && n == 0 && len(a.p) > 0:
			err = io.EOF
		case err == nil:
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			n, err = 0, nil
		}
		a.n, a.err = max(n, 0), err
		return
	}
}

// writeRaw gives the kernel what it takes of p without waiting. It goes round the runtime's poller, whose locks and
// deadlines are for those who wait; the descriptor itself never blocks.
func writeRaw(raw syscall.RawConn, p []byte) (int, error) {
	a := attempts.Get().(*attempt)
	a.p = p
	err := raw.Control(a.write)
	n, werr := a.n, a.err
	a.p, a.n, a.err = nil, 0, nil
	attempts.Put(a)
	if err == nil {
		err = werr
	}
	return n, err
}

// discardRaw throws away what has been received, at most 64 KiB, without waiting.
func discardRaw(raw syscall.RawConn) {
	a := attempts.Get().(*attempt)
	buf := takeBuffer(4 << 10)
	for range 16 {
		a.p = buf
		if err := raw.Control(a.read); err != nil || a.err != nil || a.n == 0 {
			break
		}
	}
	giveBuffer(buf)
	a.p, a.n, a.err = nil, 0, nil
	attempts.Put(a)
}

// unreadRaw reports whether there is something to read: bytes, an end, or an error.
func unreadRaw(raw syscall.RawConn) (unread bool) {
	var b [1]byte
	err := raw.Control(func(fd uintptr) {
		for {
			_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			if errors.Is(err, syscall.EINTR) {
				continue
			}
			unread = !errors.Is(err, syscall.EAGAIN)
			return
		}
	})
	return err != nil || unread
}
