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
	clients map[string]int      // by Key
	sites   map[string][]*Place // what each holds, but for the exempt
}

// NewPlaces returns so many places for all, and for each client but those in the
// exempted networks, such as proxies, which come for many: they are held to the bound
// of all alone, as is who has no address of the network, and keep what they have.
func NewPlaces(each, all int, exempt []netip.Prefix) *Places {
	return &Places{each: each, all: all, exempt: exempt, clients: map[string]int{}, sites: map[string][]*Place{}}
}

// Place is one that is taken.
type Place struct {
	places       *Places
	client, site string
	at           int // among those of its site; -1 where it was given back

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
	most := len(p.sites[comes.site]) + 1
	for _, held := range p.sites {
		if len(held) > most {
			most, goes = len(held), held[len(held)-1]
		}
	}
	return goes, goes != nil
}

func (p *Places) add(comes *Place) {
	p.held++
	if comes.client == "" {
		return
	}
	p.clients[comes.client]++
	comes.at = len(p.sites[comes.site])
	p.sites[comes.site] = append(p.sites[comes.site], comes)
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
	held := p.sites[goes.site]
	last := len(held) - 1
	if at != last {
		held[at] = held[last]
		held[at].at = at
	}
	held[last] = nil
	if p.sites[goes.site] = held[:last]; last == 0 {
		delete(p.sites, goes.site)
	}
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
