package redis

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	redigo "github.com/gomodule/redigo/redis"
)

// link is one connection that all calls share, without a goroutine of its own: who
// calls writes, with what others have to write by then, and who waits reads, for
// others too, until its own answer is there. So a call that is alone wakes nobody,
// and many at once share their writes and reads. When one call has waited too long,
// all of them end at once, and so does the link.
type link struct {
	conn     redigo.Conn
	now      func() time.Time
	patience time.Duration

	mu sync.Mutex
	// oldest is the first call without an answer, and newest the last one; unsent is
	// the first that is still to be written.
	oldest, unsent, newest *call
	writing, reading       bool // somebody is
	// watch looks after the oldest call while it is set.
	watch  *time.Timer
	set    bool
	err    error
	broken chan struct{} // closed once err is set
}

// call is one command and its answer.
type call struct {
	name  string
	args  []any
	began time.Time
	next  *call
	taken bool // out of the link, with its answer

	reply any
	err   error
	news  chan news // at most two: it is to read, and it is answered
}

// news is what one who waits is told.
type news uint8

const (
	answered news = iota
	yourTurn      // to read
)

// calls are used again: their channels are the greater part of them.
var calls = sync.Pool{New: func() any { return &call{news: make(chan news, 2)} }}

// newLink takes over the connection.
func newLink(conn redigo.Conn, patience time.Duration, now func() time.Time) *link {
	l := &link{conn: conn, patience: patience, now: now, broken: make(chan struct{})}
	l.watch = time.AfterFunc(time.Hour, l.lookAfter)
	l.watch.Stop()
	return l
}

// do sends a command and waits for its answer, which may be a redigo.Error. The
// arguments belong to the link afterwards.
func (l *link) do(name string, args []any) (any, error) {
	c, _ := calls.Get().(*call)
	c.name, c.args, c.began = name, args, l.now()
	if err := l.enqueue(c); err != nil {
		return nil, err
	}
	l.write()
	l.await(c)
	reply, err := c.reply, c.err
	*c = call{news: c.news}
	calls.Put(c)
	return reply, err
}

func (l *link) enqueue(c *call) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	if l.newest == nil {
		l.oldest = c
	} else {
		l.newest.next = c
	}
	l.newest = c
	if l.unsent == nil {
		l.unsent = c
	}
	if !l.set {
		l.set = true
		l.watch.Reset(l.patience)
	}
	return nil
}

// turns is how often one writes what others have added meanwhile.
const turns = 8

// write sends what is to be sent, unless somebody is at it, who sends that too. Whoever
// is about to call runs first: with many at once that saves more than half of the
// writes.
func (l *link) write() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writing {
		return
	}
	l.writing = true
	l.mu.Unlock()
	runtime.Gosched()
	l.mu.Lock()
	for range turns {
		if l.unsent == nil {
			break
		}
		l.flush()
	}
	l.writing = false
	if l.unsent != nil {
		go l.write() // nobody is kept writing for others
	}
}

// flush writes the calls that are not written. The lock is held before and after, and
// not meanwhile: an answer may come, and its call be used again, as soon as that is
// sent.
func (l *link) flush() {
	for c := l.unsent; c != nil; c = l.unsent {
		l.unsent = c.next
		name, args := c.name, c.args
		l.mu.Unlock()
		if err := l.conn.Send(name, args...); err != nil {
			l.fail(err)
		}
		l.mu.Lock()
	}
	l.mu.Unlock()
	if err := l.conn.Flush(); err != nil {
		l.fail(err)
	}
	l.mu.Lock()
}

// await returns when the call is answered.
func (l *link) await(c *call) {
	l.mu.Lock()
	reads := !l.reading && !c.taken
	l.reading = l.reading || reads
	l.mu.Unlock()
	if reads || <-c.news == yourTurn {
		l.read(c)
	}
}

// read gives the answers to the calls until this one has its own, and has another go
// on then.
func (l *link) read(own *call) {
	for {
		reply, err := redigo.ReceiveWithTimeout(l.conn, 0)
		if _, ofServer := errors.AsType[redigo.Error](err); err != nil && !ofServer {
			l.fail(err)
			<-own.news // which gives it an answer as well
			return
		}
		c := l.answered(own)
		if c == nil {
			l.fail(fmt.Errorf("it answered what nobody asked: %w", cmp.Or(err, errAnswer)))
			<-own.news
			return
		}
		c.reply, c.err = reply, err
		if c == own {
			return
		}
		c.news <- answered
	}
}

// answered takes out the oldest call, which has been sent, nil when there is none.
// Where it is the reader's own another reads on: the last one, since it has to wait
// for all others anyway.
func (l *link) answered(own *call) *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.oldest
	if c == nil || c == l.unsent {
		return nil
	}
	if l.oldest = c.next; l.oldest == nil {
		l.newest = nil
	}
	c.taken = true
	if c == own {
		if l.reading = l.newest != nil; l.reading {
			l.newest.news <- yourTurn
		}
	}
	return c
}

// lookAfter ends the link when the oldest call has waited too long.
func (l *link) lookAfter() {
	l.mu.Lock()
	var left time.Duration
	if l.set = l.oldest != nil; l.set {
		if left = l.patience - l.now().Sub(l.oldest.began); left > 0 {
			l.watch.Reset(left)
		}
	}
	hung := l.set && left <= 0
	l.mu.Unlock()
	if hung {
		l.fail(fmt.Errorf("it did not answer within %v", l.patience))
	}
}

// errLeft is the error of a call that came when the link was given up for another.
var errLeft = errors.New("redis: the link was given up")

// end gives up a link that nobody waits for, and reports whether it has ended.
func (l *link) end() bool {
	l.mu.Lock()
	if l.err != nil || l.oldest != nil {
		defer l.mu.Unlock()
		return l.err != nil
	}
	l.err = errLeft
	l.watch.Stop()
	l.mu.Unlock()
	close(l.broken)
	_ = l.conn.Close() // nobody is on it
	return true
}

// fail ends the link, and every call in it, once.
func (l *link) fail(err error) {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = err
	waiting := l.oldest
	for c := waiting; c != nil; c = c.next {
		c.taken = true
	}
	l.oldest, l.unsent, l.newest = nil, nil, nil
	l.watch.Stop()
	l.mu.Unlock()
	close(l.broken)
	_ = l.conn.Close() // ends who reads and who writes
	for c := waiting; c != nil; {
		next := c.next // it is gone with its answer
		c.err = err
		c.news <- answered
		c = next
	}
}
