package oidc

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// never are addresses that no entry can open: they are not those of a host, or
// answer with the credentials of the machine.
var never = prefixes(
	"0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32",
	"::/128", "fe80::/10", "ff00::/8",
	"2001::/32", "2002::/16", // Teredo and 6to4, which hide an address of IPv4
	// Metadata services that are not link-local: Alibaba Cloud, Oracle Cloud, Azure,
	// Amazon EC2 and EKS, Google Cloud.
	"100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32",
	"fd00:ec2::254/128", "fd00:ec2::23/128", "fd20:ce::254/128",
)

// private are addresses that are not globally reachable (the special-purpose
// registries of RFC 6890), or that stand for one of IPv4. An entry opens them by
// naming their network.
var private = prefixes(
	"10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "3fff::/20",
)

// global is what IPv6 has for hosts of the internet (RFC 4291 section 2.4).
// Everything else is private.
var global = netip.MustParsePrefix("2000::/3")

// translated are addresses whose last 32 bits are one of IPv4, to which a
// translator connects (NAT64: RFC 6052 section 2.1, RFC 8215).
var translated = prefixes("64:ff9b::/96", "64:ff9b:1::/48")

func prefixes(all ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(all))
	for i, s := range all {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

func within(addr netip.Addr, networks []netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// addressError says that a connection was not opened because of its address.
type addressError struct {
	addr netip.Addr
	fix  string
}

func (e *addressError) Error() string {
	return fmt.Sprintf("the address %s is not connected to: %s", e.addr, e.fix)
}

// checkAddress refuses what an issuer's keys are not fetched from.
func checkAddress(addr netip.Addr, networks []netip.Prefix) error {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() || within(addr, never) {
		return &addressError{addr, "link-local, metadata, multicast and unspecified addresses never are"}
	}
	if reserved := within(addr, private) || addr.Is6() && !global.Contains(addr); reserved && !within(addr, networks) {
		return &addressError{addr, "it is private; list its network in the issuer's networks if it is meant"}
	}
	if within(addr, translated) {
		v6 := addr.As16()
		return checkAddress(netip.AddrFrom4([4]byte(v6[12:])), networks)
	}
	return nil
}

// control returns the net.Dialer.ControlContext that checks the address of every
// connection when it is opened: no name can mean another one after the check.
func control(networks []netip.Prefix) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, network, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return &net.AddrError{Err: "not an address of " + network, Addr: address}
		}
		return checkAddress(at.Addr(), networks)
	}
}
