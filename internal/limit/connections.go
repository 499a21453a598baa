package limit

import (
	"net"
	"net/netip"
	"sync"
)

// MaxConnections is how many connections one client may have open at once: enough
// for a thousand people behind one address, and a small part of what a server can
// hold.
const MaxConnections = 4096

// Connections bounds the connections of one client, a subscriber of IPv6 as a
// whole, over all listeners that it guards. It is safe for concurrent use.
type Connections struct {
	most   int
	exempt []netip.Prefix

	mu   sync.Mutex
	open map[string]int // by Key
}

// NewConnections returns a bound of so many connections for each client but those
// in the exempted networks, such as proxies, which connect for many.
func NewConnections(most int, exempt []netip.Prefix) *Connections {
	return &Connections{most: most, exempt: exempt, open: map[string]int{}}
}

// Guard returns the listener without the connections beyond the bound, which are
// closed at once.
func (c *Connections) Guard(l net.Listener) net.Listener {
	return &guarded{Listener: l, bound: c}
}

type guarded struct {
	net.Listener

	bound *Connections
}

// Accept returns the next connection within the bound.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		key, ok := g.bound.enter(conn.RemoteAddr().String())
		switch {
		case !ok:
			_ = conn.Close() // nothing was sent
		case key == "":
			return conn, nil
		default:
			return &counted{Conn: conn, leave: sync.OnceFunc(func() { g.bound.leave(key) })}, nil
		}
	}
}

// enter counts a connection of a client, or a stream; the key is empty where none is
// counted.
func (c *Connections) enter(remote string) (key string, ok bool) {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return "", true // no client of the network
	}
	addr := at.Addr().Unmap().WithZone("")
	for _, network := range c.exempt {
		if network.Contains(addr) {
			return "", true
		}
	}
	key = Key(addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[key] >= c.most {
		return "", false
	}
	c.open[key]++
	return key, true
}

func (c *Connections) leave(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[key]--; c.open[key] == 0 {
		delete(c.open, key)
	}
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn

	leave func()
}

// Close gives the connection's place back.
func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}

// NetConn returns the connection beneath, as that of tls.Conn does.
func (c *counted) NetConn() net.Conn { return c.Conn }
