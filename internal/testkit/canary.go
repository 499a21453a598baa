package testkit

import (
	"net"
	"sync/atomic"
	"testing"
)

// Canary counts the connections that somebody opens to it.
type Canary struct {
	// Port is where it listens, on every address of the machine.
	Port string

	count atomic.Int64
}

// NewCanary listens until the test ends.
func NewCanary(t *testing.T) *Canary {
	t.Helper()
	l, err := net.Listen("tcp", ":0") //nolint:gosec,noctx // every address is meant; returns at once
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := &Canary{Port: port}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.count.Add(1)
			_ = conn.Close()
		}
	}()
	return c
}

// Addr is where it can be reached on loopback.
func (c *Canary) Addr() string { return net.JoinHostPort("127.0.0.1", c.Port) }

// Connections is how many were opened.
func (c *Canary) Connections() int64 { return c.count.Load() }

// Untouched fails if anybody has connected, and shows that it would have been seen.
func (c *Canary) Untouched(t *testing.T) {
	t.Helper()
	if n := c.Connections(); n != 0 {
		t.Errorf("%d connections were opened to where nobody should", n)
	}
	conn, err := net.Dial("tcp", c.Addr()) //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	Eventually(t, "a connection is counted", func() bool { return c.Connections() > 0 })
}
