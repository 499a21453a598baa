package httpapi

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// proxies are the networks whose word about a client's address is believed.
type proxies []netip.Prefix

func (p proxies) contain(addr netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// clientAddr returns the address that the request came from: the peer of the
// connection, or, when that is a trusted proxy, the nearest address in
// X-Forwarded-For that is none; Forwarded (RFC 7239) counts where there is no
// X-Forwarded-For. When both are there, the proxy wrote the one and let the
// client's own pass in the other, and it is X-Forwarded-For that proxies write.
// What cannot be read leaves the peer: whoever wrote it is not to choose under
// which address he is counted.
func (p proxies) clientAddr(r *http.Request) netip.Addr {
	peer := peerOf(r)
	if len(p) == 0 || !p.contain(peer) {
		return peer
	}
	if lines, has := r.Header["X-Forwarded-For"]; has {
		return p.nearest(peer, lines, bareNode)
	}
	if lines, has := r.Header["Forwarded"]; has {
		return p.nearest(peer, lines, forwardedNode)
	}
	return peer
}

// nearest walks the hops from the right to the first that is not trusted.
func (p proxies) nearest(peer netip.Addr, lines []string, node func(string) string) netip.Addr {
	client := peer
	for _, line := range slices.Backward(lines) {
		for rest, more := line, true; more; {
			var hop string
			rest, hop, more = lastHop(rest)
			addr, ok := parseNode(node(hop))
			if !ok {
				return peer
			}
			if client = addr; !p.contain(addr) {
				return client
			}
		}
	}
	return client
}

// lastHop cuts the last element off a comma-separated list.
func lastHop(list string) (rest, hop string, more bool) {
	i := strings.LastIndexByte(list, ',')
	if i < 0 {
		return "", strings.TrimSpace(list), false
	}
	return list[:i], strings.TrimSpace(list[i+1:]), true
}

func bareNode(hop string) string { return hop }

// forwardedNode returns the node of the for parameter of one forwarded-element
// (RFC 7239 section 4), empty when there is none or more than one.
func forwardedNode(hop string) string {
	node, seen := "", false
	for pair := range strings.SplitSeq(hop, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if !strings.EqualFold(name, "for") {
			continue
		}
		if seen {
			return ""
		}
		node, seen = value, true
		if n := len(node); n >= 2 && node[0] == '"' && node[n-1] == '"' {
			node = node[1 : n-1]
		}
	}
	return node
}

// parseNode reads an address with or without a port; an IPv6 address with a
// port stands in brackets.
func parseNode(s string) (netip.Addr, bool) {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			s = inner
		}
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		port, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = port.Addr()
	}
	return addr.Unmap().WithZone(""), true
}

type connectionKey struct{}

// connection is what is found out once for all requests of a connection.
type connection struct {
	peer  netip.Addr
	trust atomic.Pointer[trusted] // nil while no certificate was found good
}

// trusted says until when the certificates of a connection were found good.
type trusted struct {
	generation uint64
	until      time.Time
}

// rememberConnection keeps what is known about a connection with it.
func rememberConnection(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, &connection{peer: peerAddr(conn.RemoteAddr().String())})
}

// connectionOf returns the connection that the request came over, nil when it
// did not come through a server of NewServer.
func connectionOf(r *http.Request) *connection {
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	return c
}

// peerOf returns the address of the connection that the request came over.
func peerOf(r *http.Request) netip.Addr {
	if c := connectionOf(r); c != nil {
		return c.peer
	}
	return peerAddr(r.RemoteAddr)
}

// peerAddr returns the address of the other end of the connection, invalid when
// it has none (a Unix socket).
func peerAddr(remote string) netip.Addr {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}
