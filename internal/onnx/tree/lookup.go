package tree

import (
	"hash/maphash"
	"slices"
)

// lookup numbers keys that its owner keeps: an open hash table of numbers. Its
// seed is random, so no file can make its keys collide.
type lookup struct {
	seed  maphash.Seed
	slots []lookupSlot // a power of two, at most half of them taken
	n     int
}

type lookupSlot struct {
	hash uint32
	id   uint32 // plus 1
}

const leastSlots = 64

func newLookup() lookup {
	return lookup{seed: maphash.MakeSeed(), slots: make([]lookupSlot, leastSlots)}
}

// number returns the number of a key, the next one for a key that is new.
// equal tells whether the owner's key of a number is the same.
func (l *lookup) number(key []byte, equal func(id uint32) bool) (id uint32, known bool) {
	hash := place(maphash.Bytes(l.seed, key))
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
	if 2*l.n > len(l.slots) {
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
	bytes []byte
	ends  []uint32
}

func newInterned() *interned { return &interned{lookup: newLookup()} }

// at returns the string of a number.
func (s *interned) at(id uint32) []byte {
	start := uint32(0)
	if id > 0 {
		start = s.ends[id-1]
	}
	return s.bytes[start:s.ends[id]]
}

// intern returns the number of a string.
func (s *interned) intern(key []byte) uint32 {
	id, known := s.number(key, func(id uint32) bool { return string(s.at(id)) == string(key) })
	if !known {
		if len(s.bytes)+len(key) > cap(s.bytes) {
			s.bytes = slices.Grow(s.bytes, len(s.bytes)+len(key)) // twice as much
		}
		s.bytes = append(s.bytes, key...)
		s.ends = append(s.ends, place(len(s.bytes)))
	}
	return id
}

func (s *interned) clear() {
	s.lookup.clear()
	s.bytes, s.ends = s.bytes[:0], s.ends[:0]
}
