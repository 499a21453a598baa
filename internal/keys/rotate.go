package keys

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// State is what a key is used for.
type State string

// The states of a key, in their order.
const (
	// Next is published and does not sign yet, so that whoever keeps a copy of
	// the published keys has it before the first token that needs it.
	Next State = "next"
	// Active signs.
	Active State = "active"
	// Former signed before: its tokens are good until they end.
	Former State = "former"
	// Retired keys verify nothing and are not published.
	Retired State = "retired"
)

const (
	// defaultLead is longer than any process takes to see a new file.
	defaultLead = 2 * time.Second
	defaultPoll = 250 * time.Millisecond
	// scheduledLead is how long before it signs a key is published that nobody
	// is in a hurry for.
	scheduledLead = time.Hour
	// clockDifference is what the clocks of replicas and clients may differ by.
	clockDifference = time.Minute
	// coarse is how long a directory's time of change may stay the same while
	// the directory does not.
	coarse = 2 * time.Second

	retiredSuffix = ".retired"
)

// Info describes a key without showing it.
type Info struct {
	KID       string
	Algorithm Algorithm
	State     State
	// Created is when it began to sign, or will; zero for a shared secret.
	Created time.Time
}

// states returns what each key is used for at the time. A key signs from its
// file's time on, until the next of its algorithm does. Every process that sees
// the same files comes to the same.
func (s *Set) states(files []*keyFile, now time.Time) map[*keyFile]State {
	states := make(map[*keyFile]State, len(files))
	var line []*keyFile // those that sign one after the other
	for _, f := range files {
		switch {
		case f.retired:
			states[f] = Retired
		case f.verifier.Algorithm == s.algorithm:
			line = append(line, f)
		case now.Before(s.opened.Add(s.overlap)):
			// It signed under another configuration, until this process began at most.
			states[f] = Former
		default:
			states[f] = Retired
		}
	}
	slices.SortFunc(line, compareAge)
	active := signerOf(line, now)
	for i, f := range line {
		switch {
		case i == active:
			states[f] = Active
		case i > active:
			states[f] = Next
		case now.Before(line[i+1].modified.Add(s.overlap)):
			states[f] = Former
		default:
			states[f] = Retired
		}
	}
	return states
}

// signerOf returns which of the keys, the oldest first, signs at the time: the
// last whose time has come, or, when that of none has, the first.
func signerOf(line []*keyFile, now time.Time) int {
	active := 0
	for i, f := range line {
		if !f.modified.After(now) {
			active = i
		}
	}
	return active
}

// compareAge orders by time; of two written at the same time, by name.
func compareAge(a, b *keyFile) int {
	if c := a.modified.Compare(b.modified); c != 0 {
		return c
	}
	return strings.Compare(a.verifier.KID, b.verifier.KID)
}

// Watch follows what other processes do with the keys, and makes a new one when
// it is time to, until ctx ends.
func (s *Set) Watch(ctx context.Context) {
	if s.dir == "" {
		return
	}
	ticker := time.NewTicker(s.poll)
	defer ticker.Stop()
	var last string
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		before := s.Signer().KID
		err := s.Look()
		s.wrong.Store(&err)
		if err == nil && before == s.Signer().KID {
			last = ""
			continue
		}
		if err != nil && err.Error() == last {
			continue // told already
		}
		last = ""
		if err != nil {
			last = err.Error()
		}
		s.changed(s.Signer().KID, err)
	}
}

// Look takes over the keys as they are in the directory now. After an error the
// keys stay as they were.
func (s *Set) Look() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.rotateEvery > 0 {
		if err := s.rotateOnTime(now); err != nil {
			return err
		}
	}
	info, err := os.Stat(string(s.dir))
	if err != nil {
		return fmt.Errorf("key directory: %w", err)
	}
	known := s.keys.Load()
	if info.ModTime().Equal(s.seen) && now.Sub(s.seen) > coarse && now.Before(known.until) {
		return nil
	}
	all, err := s.dir.load(known.files)
	if err != nil {
		return err
	}
	next, err := s.assemble(all, now)
	if err != nil {
		return err
	}
	s.seen = info.ModTime()
	s.keys.Store(next)
	return nil
}

// rotateOnTime makes the next key when the newest gets old, so that it is known
// before it signs.
func (s *Set) rotateOnTime(now time.Time) error {
	lead := min(scheduledLead, s.rotateEvery/10)
	due := func(all []*keyFile) bool {
		newest := newest(all, s.algorithm)
		return newest == nil || !now.Before(newest.modified.Add(s.rotateEvery-lead))
	}
	if !due(s.keys.Load().files) {
		return nil
	}
	_, err := s.dir.create(s.algorithm, now.Add(lead), due)
	return err
}

// errSecret is for what a shared secret cannot do.
var errSecret = errors.New("tokens are signed with a shared secret (ONNXGATE_JWT_SECRET), which is changed where it is set")

// Rotate makes a new key and returns when every process signs with it, some
// seconds later, so that all have it by then; the one before verifies as long as its tokens
// last.
func (s *Set) Rotate(ctx context.Context) (Info, error) {
	if s.dir == "" {
		return Info{}, errSecret
	}
	always := func([]*keyFile) bool { return true }
	made, err := s.dir.create(s.algorithm, s.now().Add(s.lead), always)
	if err != nil {
		return Info{}, fmt.Errorf("make a signing key in %s: %w", s.dir, err)
	}
	// Until the others have looked, too: who is told that it signs may end the
	// one before.
	begins := time.NewTimer(made.modified.Sub(s.now()) + 2*s.poll)
	defer begins.Stop()
	select {
	case <-begins.C:
	case <-ctx.Done():
		return Info{}, ctx.Err()
	}
	return Info{KID: made.verifier.KID, Algorithm: s.algorithm, State: Active, Created: made.modified}, s.Look()
}

// Retire ends a key at once, with every token that it signed, and removes its private
// half. The one that signs cannot be ended: another has to be made first.
func (s *Set) Retire(kid string) (err error) {
	if s.dir == "" {
		return errSecret
	}
	if err := s.Look(); err != nil {
		return err
	}
	files := s.keys.Load().files
	i := slices.IndexFunc(files, func(f *keyFile) bool { return f.verifier.KID == kid })
	switch {
	case i < 0:
		return fmt.Errorf("there is no key %s; `onnxgate keys list` shows those there are", kid)
	case s.states(files, s.now())[files[i]] == Active:
		return fmt.Errorf("the key %s signs; make another with `onnxgate keys rotate` first", kid)
	}
	return errors.Join(s.dir.locked(func() error { return s.dir.retire(files[i]) }), s.Look())
}

// Due returns when Watch is to have made another key; zero when it never does.
func (s *Set) Due() time.Time {
	known := s.keys.Load()
	if s.dir == "" || s.rotateEvery == 0 {
		return time.Time{}
	}
	if last := newest(known.files, s.algorithm); last != nil {
		return last.modified.Add(s.rotateEvery)
	}
	return time.Time{}
}

// List returns all keys, the newest first.
func (s *Set) List() []Info {
	known := s.keys.Load()
	if s.dir == "" {
		return []Info{{KID: known.signer.KID, Algorithm: known.signer.Algorithm, State: Active}}
	}
	files := slices.SortedFunc(slices.Values(known.files), func(a, b *keyFile) int { return compareAge(b, a) })
	list := make([]Info, len(files))
	states := s.states(known.files, s.now())
	for i, f := range files {
		list[i] = Info{KID: f.verifier.KID, Algorithm: f.verifier.Algorithm, State: states[f], Created: f.modified}
	}
	return list
}
