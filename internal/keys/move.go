package keys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Moved says what became of key files when their keys went into a Store.
type Moved struct {
	// KIDs are the keys that the store did not have before.
	KIDs []string
	// Left is why files could not be removed that hold private keys; nil when none
	// are left.
	Left error
}

// Moved returns what Open moved from the directory into the store.
func (s *Set) Moved() Moved { return s.moved }

// move takes the keys of a directory into the store, so that no token is lost that
// they signed, and then removes the files: what opens tokens for everybody is to be
// at one place, and wrapped. A process that is killed in between leaves files that
// the next one finds to be in the store already.
func (s *Set) move(ctx context.Context, cfg *Config) (moved Moved, err error) {
	path := cfg.Dir
	if _, err := os.Stat(path); path == "" || errors.Is(err, fs.ErrNotExist) {
		return moved, nil
	}
	d, err := openDirectory(path, true)
	if err != nil {
		return moved, err
	}
	// A folder that cannot be written to has nobody who changes it either.
	if unlock, err := d.lock(); err == nil {
		defer func() { _ = unlock() }() // which only closes it
	}
	found, err := d.list(nil)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(found) == 0 { // another process was faster
		return moved, nil
	}
	if err == nil {
		moved.KIDs, err = s.moveInto(ctx, cfg, found)
	}
	if err != nil {
		return moved, fmt.Errorf("move the signing keys of %s into the database: %w", path, err)
	}
	moved.Left = d.remove(found)
	return moved, nil
}

// moveInto adds to the store those of the keys that it does not have.
func (s *Set) moveInto(ctx context.Context, cfg *Config, found []*key) (kids []string, err error) {
	moving := cfg.Moving
	if moving == nil {
		moving = func([]string, error) error { return nil }
	}
	slices.SortFunc(found, compareAge)
	told := false
	err = cfg.Store.Update(ctx, func(records []Record) ([]Record, error) {
		missing := s.missing(found, records)
		kids = nil
		for _, k := range missing {
			kids = append(kids, k.verifier.KID)
		}
		if len(kids) > 0 {
			if err := moving(kids, nil); err != nil {
				return nil, err
			}
			told = true
		}
		return toRecords(missing...)
	})
	if err != nil && told {
		err = errors.Join(err, moving(kids, err))
	}
	return kids, err
}

// missing returns those of the keys that are not among the records, as they are to be
// there.
func (s *Set) missing(found []*key, records []Record) []*key {
	now := s.now()
	states := s.states(found, now)
	var missing []*key
	for _, k := range found {
		if slices.ContainsFunc(records, func(r Record) bool { return r.KID == k.verifier.KID }) {
			continue
		}
		next := *k
		next.retired = states[k] == Retired
		if len(records) > 0 {
			// As if it had been made by a rotation right now: the others know it
			// before it signs, and it verifies as long as its tokens last.
			next.since = now.Add(s.lead + time.Duration(len(missing)))
		}
		missing = append(missing, &next)
	}
	return missing
}

// remove removes the files of the keys, and the directory if it is empty then.
func (d directory) remove(found []*key) error {
	var errs []error
	for _, k := range found {
		for _, ext := range []string{suffix, retiredSuffix} {
			if err := os.Remove(filepath.Join(string(d), k.verifier.KID+ext)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_ = os.Remove(filepath.Join(string(d), lockName))
	_ = os.Remove(string(d)) // whatever else is there stays, and the directory with it
	return nil
}
