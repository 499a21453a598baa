package limit_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/limit"
)

// arrivals is a listener that has the connections of some clients, and then ends.
type arrivals struct {
	net.Listener

	from []net.Addr
	all  []*arrival
}

func (l *arrivals) Accept() (net.Conn, error) {
	if len(l.from) == 0 {
		return nil, net.ErrClosed
	}
	c := &arrival{from: l.from[0]}
	l.from, l.all = l.from[1:], append(l.all, c)
	return c, nil
}

type arrival struct {
	net.Conn

	from   net.Addr
	closed int
}

func (c *arrival) RemoteAddr() net.Addr { return c.from }
func (c *arrival) Close() error         { c.closed++; return nil }

// clients are connections from the addresses, each at a port of its own.
func clients(addrs ...string) *arrivals {
	l := &arrivals{}
	for i, a := range addrs {
		l.from = append(l.from, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(a), uint16(1024+i))))
	}
	return l
}

// accepted returns the connections that the bound lets through.
func accepted(t *testing.T, p *limit.Places, l *arrivals) (addrs []string, open []io.Closer) {
	t.Helper()
	guarded := p.Guard(l)
	for {
		conn, err := guarded.Accept()
		if errors.Is(err, net.ErrClosed) {
			return addrs, open
		}
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, netip.MustParseAddrPort(conn.RemoteAddr().String()).Addr().String())
		open = append(open, conn)
	}
}

func TestAClientHasAShareOfTheConnectionsOverAllListeners(t *testing.T) {
	bound := limit.NewPlaces(2, 100, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	first, second := clients("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "::ffff:192.0.2.1"), clients(
		"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1", "10.1.1.1", "10.1.1.1", "::ffff:10.1.1.1")
	got, open := accepted(t, bound, first)
	if diff := cmp.Diff([]string{"192.0.2.1", "192.0.2.1", "192.0.2.2"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, _ = accepted(t, bound, second)
	if diff := cmp.Diff([]string{"192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "10.1.1.1", "10.1.1.1", "10.1.1.1"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := first.all[2].closed; n != 1 {
		t.Errorf("the connection beyond the bound was closed %d times", n)
	}
	for range 2 { // the second time gives nothing back
		_ = open[0].Close()
	}
	if got, _ := accepted(t, bound, clients("192.0.2.1", "192.0.2.1")); len(got) != 1 {
		t.Errorf("%d connections are let through for the one that was closed", len(got))
	}
}

func TestConnectionsAreCountedExactlyWhenManyComeAndGo(t *testing.T) {
	bound := limit.NewPlaces(100, 1000, nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				_, open := accepted(t, bound, clients("192.0.2.1", "192.0.2.1", "192.0.2.1"))
				for _, c := range open {
					_ = c.Close()
				}
			}
		})
	}
	all.Wait()
	many := make([]string, 150)
	for i := range many {
		many[i] = "192.0.2.1"
	}
	if got, _ := accepted(t, bound, clients(many...)); len(got) != 100 {
		t.Errorf("%d connections are let through, want 100", len(got))
	}
}
