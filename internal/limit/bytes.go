package limit

import "sync"

// Bytes is memory that requests in flight share, in bytes, of which no holder
// takes more than half. It is safe for concurrent use.
type Bytes struct {
	total int64

	mu   sync.Mutex // guards what follows
	free int64
	held map[string]int64 // by holder
}

// NewBytes returns so many free bytes, of which one holder may have half.
func NewBytes(n int64) *Bytes { return &Bytes{total: n, free: n, held: map[string]int64{}} }

// Take claims n bytes for a holder, and reports false when so many are not free,
// or are more than its share.
func (b *Bytes) Take(holder string, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.free < n || b.held[holder]+n > b.Share() {
		return false
	}
	b.free -= n
	b.held[holder] += n
	return true
}

// Give returns n bytes that were claimed for the holder.
func (b *Bytes) Give(holder string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	if b.held[holder] -= n; b.held[holder] <= 0 {
		delete(b.held, holder)
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
