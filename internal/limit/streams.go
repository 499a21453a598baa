package limit

import (
	"net/netip"
	"sync/atomic"
)

// MaxStreams is how many requests over HTTP/2 one client may have open at once, over
// all its connections: each takes some 20 KiB until its answer has gone, however short
// that is, and a client that takes no answers (RFC 9113 section 5.2) keeps them open
// until the server gives up writing. MaxAllStreams is how many all clients may.
const (
	MaxStreams    = 1024
	MaxAllStreams = 8 * MaxStreams
)

// Streams bounds the requests over HTTP/2 that are open. It is safe for concurrent use.
type Streams struct {
	clients *Connections
	all     atomic.Int64
}

// NewStreams returns a bound for each client but those in the exempted networks, and
// for all together.
func NewStreams(exempt []netip.Prefix) *Streams {
	return &Streams{clients: NewConnections(MaxStreams, exempt)}
}

// Enter counts a request of the peer at an address and port, for which the caller
// leaves once its answer has gone. It reports whether it is within the bounds; if not,
// it is not counted.
func (s *Streams) Enter(remote string) (key string, ok bool) {
	if s.all.Add(1) <= MaxAllStreams {
		if key, ok = s.clients.enter(remote); ok {
			return key, true
		}
	}
	s.all.Add(-1)
	return "", false
}

// Leave gives back the place of a request that entered with the key.
func (s *Streams) Leave(key string) {
	s.all.Add(-1)
	if key != "" {
		s.clients.leave(key)
	}
}
