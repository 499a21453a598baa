package tree

import (
	"hash/maphash"
	"slices"
)

// lookup numbers keys that its owner keeps: an open hash table of numbers. Its
// hashes are random, so no file can make its keys collide.
type lookup struct {
	seed  maphash.Seed
	odd   uint64       // random
	slots []lookupSlot // a power of two, some of them empty
	n     int
}

type lookupSlot struct {
	hash uint32
	id   uint32 // plus 1
}

const leastSlots = 256

func newLookup() lookup {
	seed := maphash.MakeSeed()
	return lookup{seed: seed, odd: maphash.Bytes(seed, nil) | 1, slots: make([]lookupSlot, leastSlots)}
}

func (l *lookup) hashBytes(key []byte) uint32 { return place(maphash.Bytes(l.seed, key)) }

func (l *lookup) hashWord(key uint64) uint32 { return place(key * l.odd >> 32) }

// number returns the number of a key, the next one for a key that is new.
// equal tells whether the owner's key of a number is the same.
func (l *lookup) number(hash uint32, equal func(id uint32) bool) (id uint32, known bool) {
	mask := place(len(l.slots) - 1)
	i := hash & mask
	for ; l.slots[i].id != 0; i = (i + 1) & mask {
		if s := l.slots[i]; s.hash == hash && equal(s.id-1) {
			return s.id - 1, true
		}
	}
	id = place(l.n)
	l.n++
	l.slots[i] = lookupSlot{hash, id + 1}
	if l.n > len(l.slots)/4*3 {
		l.grow()
	}
	return id, false
}

func (l *lookup) grow() {
	old := l.slots
	l.slots = make([]lookupSlot, 2*len(old))
	mask := place(len(l.slots) - 1)
	for _, s := range old {
		if s.id == 0 {
			continue
		}
		i := s.hash & mask
		for l.slots[i].id != 0 {
			i = (i + 1) & mask
		}
		l.slots[i] = s
	}
}

// clear forgets all keys and keeps the memory.
func (l *lookup) clear() {
	clear(l.slots)
	l.n = 0
}

// interned numbers byte strings, and keeps them.
type interned struct {
	lookup
	chunks [][]byte
	spans  []location
	size   int // of all strings
}

// location is where a string is: in its chunk from first to last.
type location struct {
	chunk       uint32
	first, last uint32
}

const chunkSize = 1 << 15

func newInterned() *interned { return &interned{lookup: newLookup()} }

// at returns the string of a number.
func (s *interned) at(id uint32) []byte {
	p := s.spans[id]
	return s.chunks[p.chunk][p.first:p.last]
}

// intern returns the number of a string.
func (s *interned) intern(key []byte) uint32 {
	id, known := s.number(s.hashBytes(key), func(id uint32) bool { return string(s.at(id)) == string(key) })
	if known {
		return id
	}
	last := len(s.chunks) - 1
	if last < 0 || cap(s.chunks[last])-len(s.chunks[last]) < len(key) {
		s.chunks = append(s.chunks, make([]byte, 0, max(chunkSize, len(key))))
		last++
	}
	c := &s.chunks[last]
	first := len(*c)
	*c = append(*c, key...)
	s.spans = append(double(s.spans), location{place(last), place(first), place(len(*c))})
	s.size += len(key)
	return id
}

// clear forgets all strings.
func (s *interned) clear() {
	s.lookup.clear()
	s.chunks, s.spans, s.size = nil, s.spans[:0], 0
}

// double makes room for one more, twice as much where there is none: append
// grows large slices by less, and copies more.
func double[E any](s []E) []E {
	if len(s) < cap(s) {
		return s
	}
	return slices.Grow(s, max(len(s), 64))
}
