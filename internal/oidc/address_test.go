package oidc

import (
	"net/netip"
	"testing"
)

func TestWhichAddressesAreConnectedTo(t *testing.T) {
	const public, listed, never = "without being listed", "when it is listed", "never"
	for addr, want := range map[string]string{
		"8.8.8.8": public, "1.1.1.1": public, "2606:4700::1111": public, "2a00:1450:4001::1": public, "::ffff:8.8.8.8": public,
		"127.0.0.1": listed, "127.255.255.254": listed, "::1": listed, "::ffff:127.0.0.1": listed,
		"10.1.2.3": listed, "172.16.0.1": listed, "172.31.255.255": listed, "192.168.1.1": listed, "::ffff:192.168.1.1": listed,
		"100.64.0.1": listed, "192.0.2.1": listed, "198.18.0.1": listed, "198.51.100.1": listed, "203.0.113.1": listed, "240.0.0.1": listed,
		"fc00::1": listed, "fd12:3456::1": listed, "fec0::1": listed, "2001:db8::1": listed, "100::1": listed, "4000::1": listed,
		"::7f00:1": listed, "64:ff9b::808:808": listed,
		"0.0.0.0": never, "0.1.2.3": never, "::": never, "255.255.255.255": never, "224.0.0.1": never, "ff02::1": never,
		"169.254.169.254": never, "169.254.170.2": never, "::ffff:169.254.169.254": never, "fe80::1": never, "fe80::1%eth0": never,
		"100.100.100.200": never, "192.0.0.192": never, "168.63.129.16": never, "fd00:ec2::254": never, "fd20:ce::254": never,
		"64:ff9b::a9fe:a9fe": never, "64:ff9b:1::a9fe:a9fe": never, "64:ff9b::": never,
		"2002:a9fe:a9fe::1": never, "2001:0:a9fe:a9fe::1": never,
	} {
		t.Run(addr, func(t *testing.T) {
			at := netip.MustParseAddr(addr)
			everything := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
			got := never
			switch {
			case checkAddress(at, nil) == nil:
				got = public
			case checkAddress(at, everything) == nil:
				got = listed
			}
			if got != want {
				t.Errorf("connected to %s, want %s", got, want)
			}
		})
	}
}

func TestATranslatedAddressNeedsBothToBeAllowed(t *testing.T) {
	nat64 := netip.MustParsePrefix("64:ff9b::/96")
	inner := netip.MustParsePrefix("10.0.0.0/8")
	for addr, tc := range map[string]struct{ alone, both bool }{
		"64:ff9b::808:808":   {true, true},   // 8.8.8.8
		"64:ff9b::a01:203":   {false, true},  // 10.1.2.3
		"64:ff9b::7f00:1":    {false, false}, // 127.0.0.1
		"64:ff9b::a9fe:a9fe": {false, false}, // 169.254.169.254
	} {
		at := netip.MustParseAddr(addr)
		if got := checkAddress(at, []netip.Prefix{nat64}) == nil; got != tc.alone {
			t.Errorf("%s with %s: %t, want %t", addr, nat64, got, tc.alone)
		}
		if got := checkAddress(at, []netip.Prefix{nat64, inner}) == nil; got != tc.both {
			t.Errorf("%s with %s and %s: %t, want %t", addr, nat64, inner, got, tc.both)
		}
	}
}
