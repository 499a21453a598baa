package limit

import "sync"

// Holder is who memory is claimed for. Strangers have no tenant, and their address
// for a principal.
type Holder struct{ Principal, Tenant string }

// Bytes is memory that requests in flight share, in bytes, of which no principal
// and no tenant takes more than half: however many keys a tenant has, the other half
// is there for the others. It is safe for concurrent use.
type Bytes struct {
	total     int64
	oneTenant func() bool

	mu      sync.Mutex // guards what follows
	free    int64
	held    map[Holder]int64
	tenants map[string]int64
}

// NewBytes returns so many free bytes. While oneTenant says that there is but one
// tenant to serve, its principals share all of them; nil never says so.
func NewBytes(n int64, oneTenant func() bool) *Bytes {
	if oneTenant == nil {
		oneTenant = func() bool { return false }
	}
	return &Bytes{total: n, oneTenant: oneTenant, free: n, held: map[Holder]int64{}, tenants: map[string]int64{}}
}

// Take claims n bytes for a holder, and reports false when so many are not free,
// or are more than its share or its tenant's.
func (b *Bytes) Take(h Holder, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.free < n || b.held[h]+n > b.Share() {
		return false
	}
	if h.Tenant != "" && b.tenants[h.Tenant]+n > b.Share() && !b.oneTenant() {
		return false
	}
	b.add(h, n)
	return true
}

// Give returns n bytes that were claimed for the holder.
func (b *Bytes) Give(h Holder, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(h, -n)
}

func (b *Bytes) add(h Holder, n int64) {
	b.free -= n
	if b.held[h] += n; b.held[h] <= 0 {
		delete(b.held, h)
	}
	if b.tenants[h.Tenant] += n; b.tenants[h.Tenant] <= 0 {
		delete(b.tenants, h.Tenant)
	}
}

// Total returns how many bytes there are to share.
func (b *Bytes) Total() int64 { return b.total }

// Share returns how many one holder may have.
func (b *Bytes) Share() int64 { return b.total / 2 }

// Free returns how many bytes are left.
func (b *Bytes) Free() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.free
}
