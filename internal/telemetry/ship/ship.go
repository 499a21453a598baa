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
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
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
	// Read calls do with the records from an index on, until it returns an error,
	// which it returns.
	Read(ctx context.Context, from int64, do func(*Record) error) error
	// Size is how many records there are.
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
	// Path is the file of the position, in a directory that is there.
	Path string
	// Every is how often the log is looked at; 0 is a second.
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
	every      = time.Second
	firstPause = time.Second
	lastPause  = time.Minute
)

// Shipper sends one log to one place.
type Shipper struct {
	cfg  Config
	next atomic.Int64 // the first record that the other side may not have
	size atomic.Int64 // of the log when it was last looked at
}

// New returns a shipper that goes on where the last one stopped; without a position
// at the beginning of the log. A position that cannot be read is an error.
func New(cfg Config) (*Shipper, error) {
	if cfg.Source == nil || cfg.Sink == nil || cfg.Path == "" {
		return nil, errors.New("ship: a source, a sink and a path are needed")
	}
	if cfg.Every == 0 {
		cfg.Every = every
	}
	if cfg.Told == nil {
		cfg.Told = func(error) {}
	}
	s := &Shipper{cfg: cfg}
	next, err := readPosition(cfg.Path)
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
		more, err := s.once(ctx)
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
			if more {
				wait = 0
			}
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

// errFull ends the reading of one batch.
var errFull = errors.New("the batch is full")

// once sends one batch, and reports whether there is more.
func (s *Shipper) once(ctx context.Context) (more bool, err error) {
	size, err := s.cfg.Source.Size(ctx)
	if err != nil {
		return false, err
	}
	s.size.Store(size)
	from := s.next.Load()
	if size < from {
		// Another log is there now, or an older copy: none of its records is known to
		// be on the other side.
		from = 0
		s.next.Store(0)
	}
	if size == from {
		return false, nil
	}
	records, err := s.read(ctx, from)
	if err != nil || len(records) == 0 {
		return false, err
	}
	if err := s.cfg.Sink.Send(ctx, records); err != nil {
		return false, err
	}
	next := records[len(records)-1].Index + 1
	if err := writePosition(s.cfg.Path, next); err != nil {
		return false, fmt.Errorf("cannot note what was shipped: %w", err)
	}
	s.next.Store(next)
	return next < size, nil
}

// read returns the next batch.
func (s *Shipper) read(ctx context.Context, from int64) (records []Record, err error) {
	bytes := 0
	err = s.cfg.Source.Read(ctx, from, func(r *Record) error {
		kept := *r
		kept.JSON = append([]byte(nil), r.JSON...)
		records = append(records, kept)
		bytes += len(r.JSON)
		if len(records) == maxRecords || bytes >= maxBytes {
			return errFull
		}
		return nil
	})
	if errors.Is(err, errFull) || len(records) > 0 {
		err = nil // what is behind a damaged record is for another time
	}
	return records, err
}

// readPosition returns what writePosition wrote, 0 where it never did.
func readPosition(path string) (int64, error) {
	text, err := os.ReadFile(path) //nolint:gosec // G304: a file of the data directory
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	next, err := strconv.ParseInt(strings.TrimSuffix(string(text), "\n"), 10, 64)
	if err != nil || next < 0 {
		return 0, fmt.Errorf("%s does not hold a position in the audit log; remove it to ship the whole log again", path)
	}
	return next, nil
}

// writePosition replaces the file: it holds the old position or the new one, whatever
// happens. It need not be on the disk at once: an older position ships records again,
// and loses none.
func writePosition(path string, next int64) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".position-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.FormatInt(next, 10) + "\n")
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
