package testkit

import (
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
)

// Ports for test servers lie below the range from which Linux and macOS give
// ports to outgoing connections, so that no connection takes one between its
// choice and its use.
const (
	firstPort = 12000
	portCount = 20000
)

// nextPort counts the ports that this process has tried; processes begin at
// different places.
var nextPort atomic.Uint32

// reserved holds a port for as long as the process lives: the UDP port of the
// same number is the sign to the tests of other packages, which run beside this
// one, that the TCP port is taken also while its server is being restarted.
var reserved sync.Map

// FreeAddr returns an address on loopback that nobody listens on and that no
// other call gets, in this process or in another, before this process ends.
func FreeAddr() (string, error) {
	start := uint32(os.Getpid()) * 131 //nolint:gosec // only spreads processes
	for range portCount {
		port := firstPort + (start+nextPort.Add(1))%portCount
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
		sign, err := net.ListenPacket("udp", addr) //nolint:noctx // returns at once
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", addr) //nolint:noctx // closed at once
		if err != nil {
			_ = sign.Close()
			continue
		}
		reserved.Store(addr, sign)
		return addr, l.Close()
	}
	return "", errors.New("no port is free")
}
