package limit

import (
	"net/netip"
	"sync"
)

// MaxStreams is how many requests over HTTP/2 one client may have open at once, over
// all its connections: each takes some 20 KiB until its answer has gone, however short
// that is, and a client that takes no answers (RFC 9113 section 5.2) keeps them open
// until the server gives up writing. MaxAllStreams is how many all clients may.
const (
	MaxStreams    = 1024
	MaxAllStreams = 8 * MaxStreams
)

// Places bounds what clients hold for as long as they like, such as connections: each
// client, a subscriber of IPv6 as a whole, and all together. When all places are taken,
// who comes gets one of the address, or site of IPv6, that holds the most, as long as it
// then still holds no fewer: however many places a few take, they keep nobody out. It is
// safe for concurrent use.
type Places struct {
	each, all int
	exempt    []netip.Prefix

	mu      sync.Mutex
	held    int
	refused uint64
	clients map[string]int   // by Key
	sites   map[string]*site // but for the exempt
	// ranks are the sites that hold so many places, and most is the highest rank that
	// has one: who comes while all are taken costs the same however many there are.
	ranks [][]*site
	most  int
}

// site is what holds places.
type site struct {
	held []*Place
	at   int // among those of its rank
}

// NewPlaces returns so many places for all, and for each client but those in the
// exempted networks, such as proxies, which come for many: they are held to the bound
// of all alone, as is who has no address of the network, and keep what they have.
func NewPlaces(each, all int, exempt []netip.Prefix) *Places {
	return &Places{each: each, all: all, exempt: exempt, clients: map[string]int{}, sites: map[string]*site{}}
}

// Place is one that is taken.
type Place struct {
	places       *Places
	client, site string
	at           int // among what its site holds; -1 where it was given back

	mu  sync.Mutex
	end func() // nil once it is left
}

// Enter takes a place for the peer at an address and port, which it leaves in the end.
// It reports false when there is none. Another that needs the place more calls end,
// once, and not after Leave.
func (p *Places) Enter(remote string, end func()) (*Place, bool) {
	comes := &Place{places: p, end: end}
	comes.client, comes.site = p.names(remote)
	p.mu.Lock()
	goes, ok := p.room(comes)
	if goes != nil {
		p.remove(goes)
	}
	if ok {
		p.add(comes)
	}
	if goes != nil || !ok {
		p.refused++
	}
	p.mu.Unlock()
	if goes != nil {
		goes.pushOut()
	}
	return comes, ok
}

// Held returns how many places are taken.
func (p *Places) Held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// Refused returns how many came or had a place for whom there was none, so far.
func (p *Places) Refused() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

// Leave gives the place back.
func (p *Place) Leave() {
	p.places.mu.Lock()
	p.places.remove(p)
	p.places.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = nil
}

// pushOut ends what has the place.
func (p *Place) pushOut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end != nil {
		p.end()
	}
}

// room reports whether there is a place, and which one has to be given back for it.
func (p *Places) room(comes *Place) (goes *Place, ok bool) {
	if comes.client != "" && p.clients[comes.client] >= p.each {
		return nil, false
	}
	if p.held < p.all {
		return nil, true
	}
	own := 0
	if known := p.sites[comes.site]; known != nil {
		own = len(known.held)
	}
	if p.most <= own+1 {
		return nil, false
	}
	held := p.ranks[p.most][0].held
	return held[len(held)-1], true
}

func (p *Places) add(comes *Place) {
	p.held++
	if comes.client == "" {
		return
	}
	p.clients[comes.client]++
	s := p.sites[comes.site]
	if s == nil {
		s = &site{}
		p.sites[comes.site] = s
	}
	comes.at = len(s.held)
	s.held = append(s.held, comes)
	p.rank(s, len(s.held)-1)
}

func (p *Places) remove(goes *Place) {
	if goes.at < 0 {
		return
	}
	at := goes.at
	goes.at = -1
	p.held--
	if goes.client == "" {
		return
	}
	if p.clients[goes.client]--; p.clients[goes.client] == 0 {
		delete(p.clients, goes.client)
	}
	s := p.sites[goes.site]
	s.held = without(s.held, at)
	if at < len(s.held) {
		s.held[at].at = at
	}
	p.rank(s, len(s.held)+1)
	if len(s.held) == 0 {
		delete(p.sites, goes.site)
	}
}

// rank moves a site, which held one place more or less before, to the rank that it has
// now. Who holds none has none.
func (p *Places) rank(s *site, before int) {
	if before > 0 {
		p.ranks[before] = without(p.ranks[before], s.at)
		if s.at < len(p.ranks[before]) {
			p.ranks[before][s.at].at = s.at
		}
	}
	if now := len(s.held); now > 0 {
		for len(p.ranks) <= now {
			p.ranks = append(p.ranks, nil)
		}
		s.at = len(p.ranks[now])
		p.ranks[now] = append(p.ranks[now], s)
		p.most = max(p.most, now)
	}
	for p.most > 0 && len(p.ranks[p.most]) == 0 { // one rank at most
		p.most--
	}
}

// without returns the list without the i-th, in whose place the last one is.
func without[T any](list []*T, i int) []*T {
	last := len(list) - 1
	list[i], list[last] = list[last], nil
	return list[:last]
}

// names returns what a peer is counted under, and its site, which of IPv4 is itself;
// empty for one that is not.
func (p *Places) names(remote string) (client, site string) {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return "", ""
	}
	addr := at.Addr().Unmap().WithZone("")
	for _, network := range p.exempt {
		if network.Contains(addr) {
			return "", ""
		}
	}
	if addr.Is4() {
		return Key(addr), Key(addr)
	}
	return Key(addr), siteKey(addr)
}
