package limit_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"onnxgate/internal/limit"
)

// holding is what somebody has, until it is taken away.
type holding struct {
	place *limit.Place
	ended int
}

// fill has a client take places until it gets none, or so many, and returns them.
func fill(p *limit.Places, addr string, most int) (all []*holding) {
	for len(all) < most {
		h := &holding{}
		var ok bool
		if h.place, ok = p.Enter("["+addr+"]:1024", func() { h.ended++ }); !ok {
			break
		}
		all = append(all, h)
	}
	return all
}

// kept counts those that were not taken away.
func kept(all []*holding) (n int) {
	for _, h := range all {
		if h.ended == 0 {
			n++
		}
	}
	return n
}

func TestAFewThatTakeAllPlacesKeepNobodyOut(t *testing.T) {
	p := limit.NewPlaces(100, 800, nil)
	var first [][]*holding
	for i := range 8 {
		first = append(first, fill(p, fmt.Sprintf("::ffff:192.0.2.%d", i), 100))
	}
	next := fill(p, "2001:db8::1", 1000)
	if got := kept(next); got != len(next) || got < 87 || got > 89 {
		t.Errorf("who comes ninth gets %d places and keeps %d, want a ninth of 800", len(next), got)
	}
	if held, refused, want := p.Held(), p.Refused(), uint64(len(next)+1); held != 800 || refused != want {
		t.Errorf("%d are held, and %d refused, want 800 and %d: those pushed out, and the last of who came", held, refused, want)
	}
	for i, all := range first {
		if got := kept(all); got < 87 || got > 90 {
			t.Errorf("client %d keeps %d places, want a ninth of 800", i, got)
		}
	}
	for _, h := range first[0] {
		h.place.Leave() // also those that were taken away
	}
	if got := len(fill(p, "::ffff:198.51.100.1", 1000)); got < 88 || got > 100 {
		t.Errorf("%d places are free after a client left", got)
	}
}

func TestASiteOfIPv6IsOneOfThoseThatShare(t *testing.T) {
	p := limit.NewPlaces(10, 800, nil)
	for i := range 800 {
		fill(p, fmt.Sprintf("2001:db8:0:%x::1", i), 1)
	}
	if got := fill(p, "2001:db8:1::1", 20); len(got) != 10 || kept(got) != 10 {
		t.Errorf("a client beside a site that has all gets %d places and keeps %d, want 10", len(got), kept(got))
	}
	if got := fill(p, "2001:db8:0:ffff::1", 20); len(got) != 0 {
		t.Errorf("another client of the site gets %d places more", len(got))
	}
}

func TestPlacesOfAllBoundWhoIsExempt(t *testing.T) {
	p := limit.NewPlaces(2, 100, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	all := fill(p, "::ffff:10.0.0.1", 1000)
	if len(all) != 100 {
		t.Fatalf("a proxy gets %d places, want 100", len(all))
	}
	if got := fill(p, "::ffff:192.0.2.1", 1); len(got) != 0 || kept(all) != 100 {
		t.Errorf("who comes gets %d places, and the proxy keeps %d, want none and 100", len(got), kept(all))
	}
	all[0].place.Leave()
	if got := fill(p, "2001:db8::1", 10); len(got) != 1 {
		t.Errorf("a client gets %d places, want the one that is free", len(got))
	}
}

func TestWhatHasLeftIsNotEnded(t *testing.T) {
	p := limit.NewPlaces(10, 3, nil)
	all := fill(p, "::ffff:192.0.2.1", 3)
	if len(all) != 3 {
		t.Fatalf("%d places, want 3", len(all))
	}
	for _, h := range all {
		h.place.Leave()
		h.place.Leave()
	}
	next := append(fill(p, "2001:db8::1", 3), fill(p, "2001:db8:1::1", 1)...)
	if len(next) != 4 || kept(next) != 3 || kept(all) != 3 {
		t.Errorf("%d more have a place, %d keep it, and %d had ended", len(next), kept(next), 3-kept(all))
	}
}

// Whoever comes while all places are taken gets that of a site that holds the most, or
// none where it would then hold as many: in any order of coming and going.
func TestWhoHoldsTheMostMakesRoom(t *testing.T) {
	const all, sites = 40, 12
	p := limit.NewPlaces(all, all, nil)
	random := rand.New(rand.NewPCG(1, 2))
	held := map[string][]*holding{}
	count, pushed := 0, 0
	for range 20_000 {
		site := fmt.Sprintf("10.0.0.%d", random.IntN(sites)*random.IntN(2))
		if mine := held[site]; len(mine) > 0 && random.IntN(5) < 2 {
			i := random.IntN(len(mine))
			mine[i].place.Leave()
			held[site] = slices.Delete(mine, i, i+1)
			count--
			continue
		}
		most, own := 0, len(held[site])
		for _, mine := range held {
			most = max(most, len(mine))
		}
		h := &holding{}
		var ok bool
		h.place, ok = p.Enter(site+":1", func() { h.ended++ })
		if want := count < all || most > own+1; ok != want {
			t.Fatalf("%s, which holds %d of %d, where another holds %d: %v", site, own, count, most, ok)
		}
		if !ok {
			continue
		}
		held[site] = append(held[site], h)
		if count++; count <= all {
			continue
		}
		count--
		pushed++
		for name, mine := range held {
			if i := slices.IndexFunc(mine, func(h *holding) bool { return h.ended > 0 }); i >= 0 {
				if len(mine) != most {
					t.Fatalf("%s made room, which held %d, where another held %d", name, len(mine), most)
				}
				held[name] = slices.Delete(mine, i, i+1)
			}
		}
		if p.Held() != all {
			t.Fatalf("%d places are held", p.Held())
		}
	}
	if pushed < 1000 {
		t.Errorf("%d made room", pushed)
	}
}

// BenchmarkEnterFullPlaces is what it costs to refuse who comes while as many others
// hold a place each as there are places.
func BenchmarkEnterFullPlaces(b *testing.B) {
	for _, all := range []int{1 << 10, 1 << 15} {
		b.Run(fmt.Sprint(all), func(b *testing.B) {
			p := limit.NewPlaces(all, all, nil)
			for i := range all {
				p.Enter(fmt.Sprintf("10.0.%d.%d:1", i>>8, i&255), func() {})
			}
			for b.Loop() {
				if _, ok := p.Enter("192.0.2.1:1", func() {}); ok {
					b.Fatal("there is a place")
				}
			}
		})
	}
}
