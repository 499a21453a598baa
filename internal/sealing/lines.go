package sealing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/seal"
)

// lines is what is known of the one or two keys of a key-encryption key's file: the
// first is the one to wrap with, the second the one before it.
type lines struct {
	file         string
	fingerprints []string
	// by is how many keys each has wrapped.
	by [2]int
	// uses say since when each is in use; nil: it never was, as far as is known.
	uses [2]*KEKUse
	// newest is the number of the last key that came into use.
	newest int64
}

// linesOf looks up which keys were in use before.
func (s *Service) linesOf(kek *seal.KEK, all Wrapped, by [2]int) (*lines, error) {
	l := &lines{file: s.kekFile, fingerprints: kek.Fingerprints(), by: by}
	known, err := all.KEKs()
	for i := range known {
		l.newest = max(l.newest, known[i].Number)
		if at := slices.Index(l.fingerprints, known[i].Fingerprint); at >= 0 {
			l.uses[at] = &known[i]
		}
	}
	return l, err
}

// weigh is linesOf with everything that is wrapped, also outside of the store.
func (s *Service) weigh(kek *seal.KEK, all Wrapped) (*lines, error) {
	by, err := s.countWrapped(kek, all)
	if err != nil {
		return nil, err
	}
	return s.withOutside(kek, all, by)
}

// withOutside is linesOf with what is wrapped outside of the store, too.
func (s *Service) withOutside(kek *seal.KEK, all Wrapped, by [2]int) (*lines, error) {
	first, second, err := s.outside.Count()
	if err != nil {
		return nil, err
	}
	return s.linesOf(kek, all, [2]int{by[0] + first, by[1] + second})
}

// note keeps that the first key is in use from now on and, with both, that the second
// was before. Where the first one is known to be in use already, nothing is to be said
// of a second.
func (s *Service) note(all Wrapped, l *lines, both bool) error {
	if l.uses[0] != nil {
		return nil
	}
	for at := len(l.fingerprints) - 1; at >= 0; at-- {
		if l.uses[at] != nil || at > 0 && !both {
			continue
		}
		l.newest++
		l.uses[at] = &KEKUse{Fingerprint: l.fingerprints[at], Number: l.newest, Since: s.now().UTC().Truncate(time.Second)}
		if err := all.AddKEK(l.uses[at]); err != nil {
			return err
		}
	}
	return nil
}

// stage is how far a rotation has come.
type stage int

const (
	// idle: nothing is wrapped at all, and neither key was ever in use.
	idle stage = iota
	// due: the second key has wrapped something, or was in use until now.
	due
	// over: the first key took the place of the second, and has wrapped everything.
	over
)

// stage judges a file of two keys. A key that came into use after another never gives
// its place back to that one, which may have leaked: the fault is Conflict for lines
// that were swapped, whatever is wrapped under either.
func (l *lines) stage() (stage, error) {
	first, second := l.uses[0], l.uses[1]
	switch {
	case first == nil && second != nil:
		return due, nil
	case second != nil && second.Number > first.Number:
		return idle, l.swappedBack()
	case second != nil && l.by[1] == 0:
		return over, nil
	case second != nil:
		return due, nil
	case first != nil:
		return idle, l.neverUsed()
	}
	// Neither is known: something was wrapped by a program of before.
	switch {
	case l.by[1] > 0:
		return due, nil
	case l.by[0] > 0:
		return idle, l.neverUsed()
	}
	return idle, nil
}

func (l *lines) swappedBack() error {
	return fault.Newf(fault.Conflict, "the lines of %[1]s are swapped: the key %[3]s on its second line took the place of %[2]s on its first on %[4]s; put %[3]s on the first line, and rotate again",
		l.file, l.fingerprints[0], l.fingerprints[1], day(l.uses[1]))
}

func (l *lines) neverUsed() error {
	return fault.Newf(fault.Conflict, "the first line of %[1]s, the key %[2]s, is in use, and the second line, the key %[3]s, never was as far as is known; "+
		"if it is the new key, put it on the first line and rotate again: %[2]s is still needed; if it is a former one, remove its line",
		l.file, l.fingerprints[0], l.fingerprints[1])
}

// alone is the fault of an operator's file that holds no new key.
func (l *lines) alone() error {
	since := ""
	if l.uses[0] != nil {
		since = ", " + l.fingerprints[0] + ", which is in use since " + day(l.uses[0])
	}
	return fault.Newf(fault.Conflict, "%[1]s holds one key%[2]s: put the new one on a line before it, as in "+
		"(umask 077; openssl rand -base64 32 | cat - %[1]s > %[1]s.new) && mv %[1]s.new %[1]s, and rotate again", l.file, since)
}

func day(use *KEKUse) string { return use.Since.Format(time.RFC3339) }

// FormerKEK says what of a rotation is left to do while the file of the key-encryption
// key holds two of them, as "what is; what to do", and changes nothing. It is empty
// where the file holds one, or is not there.
func FormerKEK(ctx context.Context, cfg Config) (text string, err error) {
	kek, err := seal.ReadKEK(cfg.KEKFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil || !kek.Rotating() {
		return "", err
	}
	s := newService(&cfg)
	err = s.store.View(ctx, func(keys Keys) error {
		l, err := s.weigh(kek, keys.Wrapped())
		if err == nil {
			text = l.left()
		}
		return err
	})
	return text, err
}

// left says in words what is to be done with two keys.
func (l *lines) left() string {
	at, err := l.stage()
	switch {
	case err != nil:
		return err.Error()
	case at == due:
		return fmt.Sprintf("the key-encryption key %s on the first line of %s is to take the place of %s on the second, and has not yet (keys that are wrapped under that: %d); run onnxgate keys rotate --use kek",
			l.fingerprints[0], l.file, l.fingerprints[1], l.by[1])
	}
	return fmt.Sprintf("the second line of %s, the former key-encryption key %s, opens nothing of the database and of this audit log; "+
		"remove that line once the key was rotated for every data directory, docs/encrypt-text.md", l.file, l.fingerprints[1])
}
