//go:build linux

package httpapi

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// hangup returns what reports whether the other end of a connection has closed it, or
// its half, as net/http means it; it reads nothing. Nil where the connection is not one
// of the system's.
func hangup(conn net.Conn) func() bool {
	for {
		layer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = layer.NetConn()
	}
	system, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	return func() bool {
		raw, err := system.SyscallConn()
		return err != nil || closed(raw)
	}
}

func closed(raw syscall.RawConn) bool {
	var gone bool
	err := raw.Control(func(fd uintptr) {
		fds := [...]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}} //nolint:gosec // G115: a descriptor is small
		n, err := unix.Poll(fds[:], 0)
		gone = err == nil && n > 0 && fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return err != nil || gone // closed at this end
}
