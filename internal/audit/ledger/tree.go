package ledger

import (
	"crypto/sha256"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// maxLevel is above that of the root of any tree that can be stored.
const maxLevel = 62

// frontier is a Merkle tree (RFC 6962 section 2.1) of which only the roots of the
// largest full subtrees are kept, one for each bit of its size. Its zero value is
// the empty tree.
type frontier struct {
	size  int64
	roots [maxLevel]tlog.Hash
}

// push adds the root of a full subtree of 1<<level leaves; the size must be a
// multiple of that.
func (f *frontier) push(level int, root tlog.Hash) {
	at := level
	for ; f.size>>at&1 == 1; at++ {
		root = tlog.NodeHash(f.roots[at], root)
	}
	f.roots[at] = root
	f.size += 1 << level
}

// ending returns the root of the full subtree of 1<<level leaves that the next leaf
// ends.
func (f *frontier) ending(level int, leaf tlog.Hash) tlog.Hash {
	for at := range level {
		leaf = tlog.NodeHash(f.roots[at], leaf)
	}
	return leaf
}

// root returns the hash of the whole tree.
func (f *frontier) root() tlog.Hash {
	if f.size == 0 {
		return sha256.Sum256(nil)
	}
	level := bits.TrailingZeros64(uint64(f.size)) //nolint:gosec // G115: a size is not negative
	hash := f.roots[level]
	for level++; f.size>>level > 0; level++ {
		if f.size>>level&1 == 1 {
			hash = tlog.NodeHash(f.roots[level], hash)
		}
	}
	return hash
}

// full returns the root of as many leaves as a power of two.
func full(leaves []tlog.Hash) tlog.Hash {
	var f frontier
	for _, leaf := range leaves {
		f.push(0, leaf)
	}
	return f.root()
}

// leafHash is that of RFC 6962 section 2.1. The line has a byte before it that is
// the leaf's prefix, 0, so that nothing is copied.
func leafHash(prefixed []byte) tlog.Hash { return sha256.Sum256(prefixed) }
