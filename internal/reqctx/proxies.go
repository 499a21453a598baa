package reqctx

import (
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the networks whose word about a client's address is believed.
type Proxies []netip.Prefix

func (p Proxies) contain(addr netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// ClientAddr returns the address that a request came from: the peer of the
// connection, or, when that is a trusted proxy, the nearest address in the values
// of X-Forwarded-For that is none; Forwarded (RFC 7239) counts where there is no
// X-Forwarded-For. When both are there, the proxy wrote the one and let the
// client's own pass in the other, and it is X-Forwarded-For that proxies write.
// What cannot be read leaves the peer: whoever wrote it is not to choose under
// which address he is counted.
func (p Proxies) ClientAddr(peer netip.Addr, forwardedFor, forwarded []string) netip.Addr {
	switch {
	case len(p) == 0 || !p.contain(peer):
		return peer
	case len(forwardedFor) > 0:
		return p.nearest(peer, forwardedFor, bareNode)
	case len(forwarded) > 0:
		return p.nearest(peer, forwarded, forwardedNode)
	}
	return peer
}

// nearest walks the hops from the right to the first that is not trusted.
func (p Proxies) nearest(peer netip.Addr, lines []string, node func(string) string) netip.Addr {
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

// PeerAddr returns the address of the other end of a connection, given as
// host:port; invalid when it has none (a Unix socket).
func PeerAddr(remote string) netip.Addr {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}
