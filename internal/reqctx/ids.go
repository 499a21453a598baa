package reqctx

import (
	"encoding/hex"
	"io"
	"sync"
)

// idBytes is the length of a request id before it is written in hexadecimal:
// 128 random bits, so that nobody guesses one and no two are alike.
const idBytes = 16

// IDs makes request ids. It reads randomness for many at once, and is safe for
// concurrent use.
type IDs struct {
	// Rand is where they come from. It is required.
	Rand io.Reader

	mu   sync.Mutex
	buf  [64 * idBytes]byte
	left int
}

// Next returns a new id. It fails only when the source of randomness does.
func (s *IDs) Next() (string, error) {
	var id [2 * idBytes]byte
	s.mu.Lock()
	if s.left == 0 {
		if _, err := io.ReadFull(s.Rand, s.buf[:]); err != nil {
			s.mu.Unlock()
			return "", err
		}
		s.left = len(s.buf)
	}
	hex.Encode(id[:], s.buf[s.left-idBytes:s.left])
	s.left -= idBytes
	s.mu.Unlock()
	return string(id[:]), nil
}

// ClientRequestID returns the id that the client gave, the values of
// X-Request-Id, when it is one: up to 64 letters, digits and hyphens.
func ClientRequestID(values []string) string {
	if len(values) != 1 || len(values[0]) > 64 {
		return ""
	}
	for i := range len(values[0]) {
		switch c := values[0][i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
		default:
			return ""
		}
	}
	return values[0]
}
