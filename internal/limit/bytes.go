package limit

import "sync/atomic"

// Bytes is memory that requests in flight share, in bytes. It is safe for
// concurrent use.
type Bytes struct {
	total int64
	free  atomic.Int64
}

// NewBytes returns so many free bytes.
func NewBytes(n int64) *Bytes {
	b := &Bytes{total: n}
	b.free.Store(n)
	return b
}

// Take claims n bytes, and reports false when so many are not free.
func (b *Bytes) Take(n int64) bool {
	for {
		free := b.free.Load()
		if free < n {
			return false
		}
		if b.free.CompareAndSwap(free, free-n) {
			return true
		}
	}
}

// Give returns n bytes that were claimed.
func (b *Bytes) Give(n int64) { b.free.Add(n) }

// Total returns how many bytes there are to share.
func (b *Bytes) Total() int64 { return b.total }

// Free returns how many bytes are left.
func (b *Bytes) Free() int64 { return b.free.Load() }
