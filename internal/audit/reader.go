package audit

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"onnxgate/internal/audit/ledger"
	"onnxgate/internal/audit/vault"
)

// AnyTenant stands for the records of every tenant, and of none.
const AnyTenant = "*"

// Query says which records are wanted.
type Query struct {
	// Tenant is whose records; AnyTenant for all. The empty one is that of records
	// that belong to nobody.
	Tenant string
	// From is the first index.
	From int64
	// Since and Until bound the time: not before the one, before the other. Zero
	// values bound nothing.
	Since, Until time.Time
}

func (q *Query) wants(s *stored) bool {
	return (q.Tenant == AnyTenant || q.Tenant == s.Tenant) &&
		(q.Since.IsZero() || !s.Time.Before(q.Since)) && (q.Until.IsZero() || s.Time.Before(q.Until))
}

// Reader reads the log of a directory, also while others write it.
type Reader struct {
	dir  string
	kek  Wrapper
	bits int
}

// NewReader returns a reader of the log that a Config describes, of which Dir, KEK
// and SegmentBits count.
func NewReader(cfg Config) *Reader {
	return &Reader{dir: cfg.Dir, kek: cfg.KEK, bits: cfg.SegmentBits}
}

func (r *Reader) vault() *vault.Vault { return vault.View(filepath.Join(r.dir, keysName), r.kek) }

// Read calls do with the records that a query wants, in order, until do returns an
// error. It returns the index of the first record that it did not look at: a query
// from there goes on. A record of which the key was destroyed has only what is not
// sealed; one that does not open otherwise is an error.
func (r *Reader) Read(ctx context.Context, q Query, do func(e *Entry) error) (next int64, err error) {
	if r.kek == nil {
		return q.From, errNoKEK
	}
	view, err := ledger.Look(r.dir, r.bits)
	if err != nil {
		return q.From, err
	}
	next, keys := q.From, r.vault()
	err = view.Lines(ctx, q.From, func(index int64, prev tlog.Hash, line []byte) error {
		s, err := parseStored(line)
		if err != nil {
			return damaged(index, err)
		}
		if q.wants(s) {
			e, err := entry(keys, line, s, prev)
			if err != nil || s.Index != index {
				return damaged(index, err)
			}
			if err := do(e); err != nil {
				return err
			}
		}
		next = index + 1
		return nil
	})
	return next, err
}

func damaged(index int64, err error) error {
	reason := "it is not in its place"
	if err != nil {
		reason = err.Error()
	}
	return &ledger.WrongError{Index: index, Reason: reason}
}

// entry opens a stored line.
func entry(keys *vault.Vault, line []byte, s *stored, prev tlog.Hash) (*Entry, error) {
	e := &Entry{Index: s.Index, Time: s.Time, Event: s.Event, Tenant: s.Tenant}
	parts, err := openSealed(keys, line, s, prev)
	if errors.Is(err, vault.ErrUnknown) {
		e.Missing = MissingLost
		return e, nil
	}
	if err != nil {
		return nil, err
	}
	for i, body := range parts {
		if body == nil {
			e.Missing = MissingErased
			continue
		}
		if err := e.take(body, i == 0); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Read reads what is on the disk: Reader.Read.
func (l *Log) Read(ctx context.Context, q Query, do func(e *Entry) error) (next int64, err error) {
	return NewReader(l.cfg).Read(ctx, q, do)
}

var errNoKEK = errors.New("the records are sealed, and the key-encryption key is not there: put it back, or name its file with ONNXGATE_KEK_FILE")

// errFound ends a search.
var errFound = errors.New("found")

// At returns the record of an index; nil when there is none.
func (r *Reader) At(ctx context.Context, index int64) (found *Entry, err error) {
	if index < 0 {
		return nil, nil //nolint:nilnil // there is none
	}
	_, err = r.Read(ctx, Query{Tenant: AnyTenant, From: index}, func(e *Entry) error {
		found = e
		return errFound
	})
	return found, notFound(err)
}

// Find returns the newest record with a request id; nil when there is none. It
// looks from the end on, a segment at a time.
func (r *Reader) Find(ctx context.Context, requestID string) (found *Entry, err error) {
	const step = 1 << ledger.DefaultBits
	end, err := r.size()
	for end > 0 && err == nil && found == nil {
		from := (end - 1) / step * step
		_, err = r.Read(ctx, Query{Tenant: AnyTenant, From: from}, func(e *Entry) error {
			switch {
			case e.Index >= end:
				return errFound
			case e.RequestID == requestID:
				found = e
			}
			return nil
		})
		end, err = from, notFound(err)
	}
	return found, err
}

// notFound leaves out the error that ends a search.
func notFound(err error) error {
	if errors.Is(err, errFound) {
		return nil
	}
	return err
}

// Tail calls do with the last n records of a tenant, or of AnyTenant, and then, at
// every tick, with those that came, until the context ends or do returns an error.
func (r *Reader) Tail(ctx context.Context, tenant string, n int64, ticks <-chan time.Time, do func(e *Entry) error) error {
	q := Query{Tenant: tenant}
	next, err := r.newest(ctx, q, n, do)
	for err == nil && ticks != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks:
			q.From = next
			next, err = r.Read(ctx, q, do)
		}
	}
	return err
}

// newest calls do with the last n records that a query wants. Which those of one
// tenant are is known only at the end.
func (r *Reader) newest(ctx context.Context, q Query, n int64, do func(e *Entry) error) (next int64, err error) {
	if q.Tenant == AnyTenant {
		size, err := r.size()
		if err != nil {
			return 0, err
		}
		q.From = max(size-n, 0)
		return r.Read(ctx, q, do)
	}
	var last []*Entry
	next, err = r.Read(ctx, q, func(e *Entry) error {
		last = append(last, e)
		last = last[max(int64(len(last))-n, 0):]
		return nil
	})
	for i := 0; i < len(last) && err == nil; i++ {
		err = do(last[i])
	}
	return next, err
}

// size is how many records there are.
func (r *Reader) size() (int64, error) {
	view, err := ledger.Look(r.dir, r.bits)
	if err != nil {
		return 0, err
	}
	return view.Size()
}
