//go:build !linux

package httpapi

import "net"

// hangup returns nil: the system has no way to look that reads nothing.
func hangup(net.Conn) func() bool { return nil }
