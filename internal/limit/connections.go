package limit

import "net"

// MaxConnections is how many connections one client may have open at once: enough
// for a thousand people behind one address, and a small part of what a server can
// hold. MaxAllConnections is how many all clients may, where there are as many files
// and as much memory; ConnectionSize is what one takes that sends nothing, in bytes.
const (
	MaxConnections    = 4096
	MaxAllConnections = 8 * MaxConnections
	ConnectionSize    = 40 << 10
)

// The same for gRPC, whose clients share a connection among their calls. Its server
// holds what a client does not take of an answer as long as the connection lasts, and
// tells nobody: GRPCConnectionSize is what one takes with 128 such calls.
const (
	MaxGRPCConnections    = 512
	MaxAllGRPCConnections = 8 * MaxGRPCConnections
	GRPCConnectionSize    = 640 << 10
)

// Guard returns the listener without the connections that have no place, which are
// closed at once. Listeners may share places.
func (p *Places) Guard(l net.Listener) net.Listener {
	return &guarded{Listener: l, places: p}
}

type guarded struct {
	net.Listener

	places *Places
}

// Accept returns the next connection for which there is a place.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		place, ok := g.places.Enter(conn.RemoteAddr().String(), func() { _ = conn.Close() })
		if ok {
			return &counted{Conn: conn, place: place}, nil
		}
		_ = conn.Close() // nothing was sent
	}
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn

	place *Place
}

// Close gives the connection's place back.
func (c *counted) Close() error {
	c.place.Leave()
	return c.Conn.Close()
}

// NetConn returns the connection beneath, as that of tls.Conn does.
func (c *counted) NetConn() net.Conn { return c.Conn }
