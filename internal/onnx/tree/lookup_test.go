package tree

import (
	"fmt"
	"strings"
	"testing"
)

func TestStringsKeepTheirNumbers(t *testing.T) {
	s := newInterned()
	for round := range 2 {
		for repeat := range 2 {
			for i := range uint32(3000) {
				key := strings.Repeat("x", int(i)%50) + fmt.Sprint(round, i)
				if id := s.intern([]byte(key)); id != i {
					t.Fatalf("round %d.%d: string %d has the number %d", round, repeat, i, id)
				}
				if got := string(s.at(i)); got != key {
					t.Fatalf("string %d is %q, want %q", i, got, key)
				}
			}
		}
		s.clear()
	}
	long := strings.Repeat("y", 3*chunkSize)
	if id := s.intern([]byte(long)); string(s.at(id)) != long || s.size != len(long) {
		t.Errorf("a string longer than a chunk is not kept")
	}
}

func TestKeysOfOneHashAreToldApart(t *testing.T) {
	l := newLookup()
	for repeat := range 2 {
		for i := range uint32(600) {
			id, known := l.number(7, func(id uint32) bool { return id == i })
			if id != i || known != (repeat == 1) {
				t.Fatalf("key %d: number %d, known %v", i, id, known)
			}
		}
	}
}
