package identity

import "net/netip"

// Tenant is a party whose users, clients, keys, models and data are its own.
type Tenant struct {
	// Name is canonical and unique in the installation.
	Name string
	// Addresses are the networks that its credentials may be used from; none is
	// every address.
	Addresses []netip.Prefix
	// Limit is that of all its credentials together.
	Limit Limit
	// Disabled tenants are refused every request.
	Disabled bool
}

// Admits reports whether the tenant's credentials may be used from the address.
func (t *Tenant) Admits(addr netip.Addr) bool { return InNetworks(addr, t.Addresses) }

// InNetworks reports whether the address is in one of the networks, or whether
// there are none. An IPv4 address is the same in its IPv6 form.
func InNetworks(addr netip.Addr, networks []netip.Prefix) bool {
	if len(networks) == 0 {
		return true
	}
	addr = addr.Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}
