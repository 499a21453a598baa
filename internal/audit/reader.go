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
	// From is the first index, and End the one behind the last; 0 for no end.
	From, End int64
	// Since and Until bound the time: not before the one, before the other. Zero
	// values bound nothing.
	Since, Until time.Time
	// Made is when the tenant was made, in whole seconds: records of one of the same
	// name that was deleted before are not wanted. The zero value bounds nothing.
	Made time.Time
	// Pruned is told, before anything else, which records from From on have no lines
	// any more: from the first to behind the last. Nil: nobody.
	Pruned func(first, end int64) error
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
	if q, err = r.ofPresent(ctx, q); err != nil {
		return q.From, err
	}
	view, err := ledger.Look(r.dir, r.bits)
	if err != nil {
		return q.From, err
	}
	if next, err = q.overPruned(view); err != nil {
		return next, err
	}
	keys := r.vault()
	err = view.Lines(ctx, q.From, func(index int64, prev tlog.Hash, line []byte) error {
		if q.End > 0 && index >= q.End {
			return errEnd
		}
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
	if errors.Is(err, errEnd) {
		err = nil
	}
	return next, err
}

// overPruned tells which records have no lines, and returns the first that may have one.
func (q *Query) overPruned(view *ledger.View) (next int64, err error) {
	next = q.From
	for _, span := range view.Gone(q.From) {
		if q.Pruned != nil {
			if err := q.Pruned(span[0], span[1]); err != nil {
				return next, err
			}
		}
		if span[0] == next {
			next = span[1]
		}
	}
	return next, nil
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
	for _, body := range parts {
		if body == nil {
			e.Missing = MissingErased
			continue
		}
		if err := e.take(body); err != nil {
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

// errEnd ends a query.
var errEnd = errors.New("the end of what is wanted")

// errFound ends a search.
var errFound = errors.New("found")

// At returns the record of an index; nil when there is none.
func (r *Reader) At(ctx context.Context, index int64) (found *Entry, err error) {
	if index < 0 {
		return nil, nil //nolint:nilnil // there is none
	}
	q := Query{Tenant: AnyTenant, From: index, Pruned: func(first, _ int64) error {
		if first == index {
			found = &Entry{Index: index, Missing: MissingPruned}
			return errFound
		}
		return nil
	}}
	_, err = r.Read(ctx, q, func(e *Entry) error {
		found = e
		return errFound
	})
	return found, notFound(err)
}

// Find returns the newest record with a request id; nil when there is none. Where its
// tag finds it, little else is read. What has none, of a log of before or of a process
// that was killed, or another one by somebody's hand, is found by looking at every
// record.
func (r *Reader) Find(ctx context.Context, requestID string) (found *Entry, err error) {
	if requestID == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	view, err := ledger.Look(r.dir, r.bits)
	if err != nil {
		return nil, err
	}
	err = view.Tagged(ctx, tagOf(requestID), func(index int64) error {
		e, err := r.At(ctx, index)
		if err == nil && e != nil && e.RequestID == requestID {
			found, err = e, errFound
		}
		return err
	})
	if err = notFound(err); err != nil || found != nil {
		return found, err
	}
	return r.findAnywhere(ctx, requestID)
}

// findAnywhere looks at every record, from the end on, a segment at a time.
func (r *Reader) findAnywhere(ctx context.Context, requestID string) (found *Entry, err error) {
	const step = 1 << ledger.DefaultBits
	end, err := r.Size()
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

// Tail calls do with the last n records that a query wants and then, at every tick,
// with those that came, until the context ends or do returns an error.
func (r *Reader) Tail(ctx context.Context, q Query, n int64, ticks <-chan time.Time, do func(e *Entry) error) error {
	next, err := r.newest(ctx, q, n, do)
	for err == nil && ticks != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks:
			q.From, q.End = next, 0
			next, err = r.Read(ctx, q, do)
		}
	}
	return err
}

// newest calls do with the last n records that a query wants. Which those of one
// tenant are is known only at the end.
func (r *Reader) newest(ctx context.Context, q Query, n int64, do func(e *Entry) error) (next int64, err error) {
	if q.Tenant == AnyTenant {
		size, err := r.Size()
		if err != nil {
			return 0, err
		}
		if q.End > 0 {
			size = min(size, q.End)
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

// Size is how many records there are.
func (r *Reader) Size() (int64, error) {
	view, err := ledger.Look(r.dir, r.bits)
	if err != nil {
		return 0, err
	}
	return view.Size()
}
