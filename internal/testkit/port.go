package testkit

import (
	"errors"
	"net"
	"os"
	"strconv"
	"sync/atomic"
)

// Ports for test servers lie below the range from which Linux and macOS give
// ports to outgoing connections, so that no connection takes one between its
// choice and its use.
const (
	firstPort = 12000
	portCount = 20000
)

// nextPort counts the ports that this process has tried. No two calls get the
// same; processes begin at different places.
var nextPort atomic.Uint32

// FreeAddr returns an address on loopback that nobody listens on and that no
// other call in this process got.
func FreeAddr() (string, error) {
	start := uint32(os.Getpid()) * 131 //nolint:gosec // only spreads processes
	for range portCount {
		port := firstPort + (start+nextPort.Add(1))%portCount
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))) //nolint:noctx // closed at once
		if err != nil {
			continue
		}
		return l.Addr().String(), l.Close()
	}
	return "", errors.New("no port is free")
}
