package redis

import (
	"errors"
	"math"
	"net"
)

// What a reply may be at most. Ours have two numbers and three for each window of a
// limit, or one message; and an error is a line.
const (
	// maxReply is how many bytes it takes, its lengths and line ends among them.
	maxReply = 64 << 10
	// maxValues is how many values its arrays have together.
	maxValues = 1024
	// maxDepth is how deep arrays lie in each other.
	maxDepth = 4
)

var (
	errMore = errors.New("it answered more than it was asked for")
	errForm = errors.New("it does not answer as Redis does")
)

// guard is a connection that ends with the first reply over the bounds. It stands
// under redigo, which believes every length that the server states, and takes the
// memory for it.
type guard struct {
	net.Conn
	replies replies
	err     error
}

func newGuard(c net.Conn) *guard { return &guard{Conn: c, replies: newReplies()} }

// Read reads what is within the bounds. What was read together with more than that is
// not given to anybody.
func (g *guard) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.Conn.Read(p)
	if g.err = g.replies.pass(p[:n]); g.err != nil {
		return 0, g.err
	}
	return n, err
}

// place is where in a value a stream is.
type place uint8

const (
	atKind   place = iota // before its first byte
	atText                // in a line of text
	atNumber              // in a line with a number
	atBody                // in a bulk string
	atEnd                 // in the line end behind that
)

// replies follows a stream of replies in RESP2
// (https://redis.io/docs/latest/develop/reference/protocol-spec/) and keeps none of it.
type replies struct {
	at   place
	kind byte // the first of the value
	cr   bool // the last one was a carriage return

	digits   int // of the number so far
	negative bool
	n        int64 // the number, and how much of a bulk string is to come

	missing [maxDepth]int64 // in each array that is open
	depth   int             // how many are

	room   int   // bytes that are left to the reply
	values int64 // and values
}

func newReplies() replies { return replies{room: maxReply, values: maxValues} }

// pass follows what has come. Errors: errMore and errForm, before the byte that makes
// a length too large is read by anybody.
func (r *replies) pass(p []byte) error {
	for len(p) > 0 {
		if r.at == atBody {
			n := min(r.n, int64(len(p)))
			r.body(n)
			p = p[n:]
			continue
		}
		if err := r.next(p[0]); err != nil {
			return err
		}
		p = p[1:]
	}
	return nil
}

// body goes on by so much of a bulk string. There is room, since that was seen to
// when it began.
func (r *replies) body(n int64) {
	r.n -= n
	r.room -= int(n)
	if r.n == 0 {
		r.at, r.cr = atEnd, false
	}
}

func (r *replies) next(b byte) error {
	if r.room--; r.room < 0 {
		return errMore
	}
	switch r.at {
	case atKind:
		return r.begin(b)
	case atText:
		return r.text(b)
	case atNumber:
		return r.number(b)
	case atBody, atEnd: // a body does not come byte by byte
	}
	return r.end(b)
}

func (r *replies) begin(b byte) error {
	r.kind, r.cr, r.digits, r.negative, r.n = b, false, 0, false, 0
	switch b {
	case '+', '-':
		r.at = atText
	case ':', '$', '*':
		r.at = atNumber
	default:
		return errForm
	}
	return nil
}

func (r *replies) text(b byte) error {
	if b != '\n' {
		r.cr = b == '\r'
		return nil
	}
	if !r.cr {
		return errForm
	}
	r.done()
	return nil
}

func (r *replies) end(b byte) error {
	switch {
	case !r.cr && b == '\r':
		r.cr = true
	case r.cr && b == '\n':
		r.done()
	default:
		return errForm
	}
	return nil
}

func (r *replies) number(b byte) error {
	switch {
	case r.cr && b == '\n' && r.digits > 0:
		return r.stated()
	case r.cr:
		return errForm
	case b == '\r':
		r.cr = true
	case b == '-' && r.digits == 0 && !r.negative:
		r.negative = true
	case b < '0' || b > '9':
		return errForm
	case r.n > (math.MaxInt64-9)/10:
		return errMore
	default:
		r.n = r.n*10 + int64(b-'0')
		r.digits++
	}
	return nil
}

// stated goes on behind a number: an integer, or the length of a bulk string or of an
// array, which is -1 for none.
func (r *replies) stated() error {
	if r.kind == ':' {
		r.done()
		return nil
	}
	if r.negative {
		if r.digits != 1 || r.n != 1 {
			return errForm
		}
		r.done()
		return nil
	}
	if r.kind == '$' {
		return r.openBulk()
	}
	return r.openArray()
}

func (r *replies) openBulk() error {
	if r.n > int64(r.room-len("\r\n")) {
		return errMore
	}
	r.at = atBody
	r.body(0) // where it is empty
	return nil
}

func (r *replies) openArray() error {
	if r.n == 0 {
		r.done()
		return nil
	}
	if r.depth == maxDepth || r.n > r.values {
		return errMore
	}
	r.values -= r.n
	r.missing[r.depth] = r.n
	r.depth++
	r.at = atKind
	return nil
}

// done ends a value, the arrays whose last one it is, and maybe the reply.
func (r *replies) done() {
	r.at = atKind
	for ; r.depth > 0; r.depth-- {
		open := &r.missing[r.depth-1]
		if *open--; *open > 0 {
			return
		}
	}
	r.room, r.values = maxReply, maxValues
}
