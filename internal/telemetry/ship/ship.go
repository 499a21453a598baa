// Package ship sends the audit log elsewhere, each record at least once. The log is
// the queue: what is kept here is a position in it, which survives a restart and
// moves only when the other side has what lies before. It owns that position and the
// pauses between tries. It must not know where records come from, or where they go.
package ship

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"onnxgate/internal/regular"
)

// Record is one record of the log. It belongs to the one who got it until the call
// returns.
type Record struct {
	// Index is its place in the log.
	Index int64
	Time  time.Time
	Event string
	// Failed says that something was refused, or failed.
	Failed bool
	// JSON is the whole record, one object.
	JSON []byte
}

// Source is the log.
type Source interface {
	// Read calls do with the records from an index on, in order, until that returns an
	// error, which Read returns.
	Read(ctx context.Context, from int64, do func(*Record) error) error
	// Size is how many records are on the disk for good.
	Size(ctx context.Context) (int64, error)
}

// Sink is the other side. Send returns nil when it has all of the records, and may
// get records again that it has.
type Sink interface {
	Send(ctx context.Context, records []Record) error
}

// Config is what a Shipper needs. What has no default is required.
type Config struct {
	Source Source
	Sink   Sink
	// Log is the name of the log, a word that no other log has.
	Log string
	// Path is the file of the position, in a directory that is there.
	Path string
	// Every is how often the log is looked at; 0 is two seconds.
	Every time.Duration
	// Told hears of the first error after a success, and with nil of the first success
	// after an error. It may be nil.
	Told func(error)
}

// The bounds of one batch, and the pauses after a failure: doubled from the first to
// the last.
const (
	maxRecords = 1000
	maxBytes   = 1 << 20
	every      = 2 * time.Second
	firstPause = time.Second
	lastPause  = time.Minute
)

// Shipper sends one log to one place.
type Shipper struct {
	cfg  Config
	next atomic.Int64 // the first record that the other side may not have
	size atomic.Int64 // of the log when it was last looked at
}

// New returns a shipper that goes on where the last one of the same log stopped; without
// a position at the beginning of the log. A position that cannot be read is an error.
func New(cfg Config) (*Shipper, error) {
	if cfg.Source == nil || cfg.Sink == nil || cfg.Log == "" || cfg.Path == "" {
		return nil, errors.New("ship: a source, its name, a sink and a path are needed")
	}
	if cfg.Every == 0 {
		cfg.Every = every
	}
	if cfg.Told == nil {
		cfg.Told = func(error) {}
	}
	s := &Shipper{cfg: cfg}
	next, err := readPosition(cfg.Path, cfg.Log)
	s.next.Store(next)
	return s, err
}

// Lag is how many records the other side may not have, as far as is known.
func (s *Shipper) Lag() int64 { return max(0, s.size.Load()-s.next.Load()) }

// Run sends what there is, and what comes, until ctx is done.
func (s *Shipper) Run(ctx context.Context) {
	var failing bool
	pause := firstPause
	for {
		err := s.once(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := s.cfg.Every
		switch {
		case err != nil:
			if !failing {
				s.cfg.Told(err)
			}
			// Many servers that lost one collector do not come back at the same moment.
			wait = pause/2 + rand.N(pause) //nolint:gosec // G404: nothing secret
			pause = min(2*pause, lastPause)
		case failing:
			s.cfg.Told(nil)
			fallthrough
		default:
			pause = firstPause
		}
		failing = err != nil
		if !sleep(ctx, wait) {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// errEnd ends the reading where the log ended when it was looked at.
var errEnd = errors.New("the end")

// once sends all that there is, in batches.
func (s *Shipper) once(ctx context.Context) error {
	size, err := s.cfg.Source.Size(ctx)
	if err != nil {
		return err
	}
	s.size.Store(size)
	if size < s.next.Load() {
		// An older copy is there now: none of what it will hold is known to be on the other
		// side.
		s.next.Store(0)
	}
	if size == s.next.Load() {
		return nil
	}
	b := batch{shipper: s, size: size}
	err = s.cfg.Source.Read(ctx, s.next.Load(), func(r *Record) error { return b.add(ctx, r) })
	if b.failed != nil {
		return b.failed
	}
	if errors.Is(err, errEnd) {
		err = nil
	}
	// What is before a damaged record goes, too.
	return errors.Join(b.send(ctx), err)
}

// batch is the records that are sent next.
type batch struct {
	shipper *Shipper
	size    int64
	records []Record
	text    []byte // of the records
	failed  error
}

// add takes a record, and sends the batch when that is full.
func (b *batch) add(ctx context.Context, r *Record) error {
	if r.Index >= b.size {
		return errEnd
	}
	start := len(b.text)
	b.text = append(b.text, r.JSON...)
	kept := *r
	kept.JSON = b.text[start:len(b.text):len(b.text)]
	b.records = append(b.records, kept)
	if len(b.records) < maxRecords && len(b.text) < maxBytes {
		return nil
	}
	b.failed = b.send(ctx)
	return b.failed
}

// send delivers the batch, and moves the position behind it.
func (b *batch) send(ctx context.Context) error {
	if len(b.records) == 0 {
		return nil
	}
	s := b.shipper
	if err := s.cfg.Sink.Send(ctx, b.records); err != nil {
		return err
	}
	next := b.records[len(b.records)-1].Index + 1
	if err := regular.Replace(s.cfg.Path, fmt.Appendln(nil, next, s.cfg.Log)); err != nil {
		return fmt.Errorf("cannot note what was shipped: %w", err)
	}
	s.next.Store(next)
	b.records, b.text = b.records[:0], b.text[:0]
	return nil
}

// readPosition returns the position that was noted, 0 where none ever was of this log.
// One of before, without a name, is of any.
func readPosition(path, log string) (int64, error) {
	text, err := os.ReadFile(path) //nolint:gosec // G304: a file of the data directory
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	number, of, named := strings.Cut(strings.TrimSuffix(string(text), "\n"), " ")
	next, err := strconv.ParseInt(number, 10, 64)
	if err != nil || next < 0 {
		return 0, fmt.Errorf("%s does not hold a position in the audit log; remove it to ship the whole log again", path)
	}
	if named && of != log {
		return 0, nil
	}
	return next, nil
}
