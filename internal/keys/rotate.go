package keys

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	// lookTime bounds a look, so that one which hangs is found out before a key signs
	// that it would have shown.
	lookTime = time.Second
	// scheduledLead is how long before it signs a key is published that nobody
	// is in a hurry for.
	scheduledLead = time.Hour
	// clockDifference is what the clocks of replicas and clients may differ by.
	clockDifference = time.Minute
	// coarse is how long a directory's time of change may stay the same while
	// the directory does not.
	coarse = 2 * time.Second

	// rotateAgain is how long after a failure a rotation that is due is tried again:
	// making an RSA key takes a second of a processor.
	rotateAgain = 10 * time.Second

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
// time on, until the next of its algorithm does. Every process that sees the same
// keys comes to the same.
func (s *Set) states(all []*key, now time.Time) map[*key]State {
	states := make(map[*key]State, len(all))
	var line []*key // those that sign one after the other
	for _, k := range all {
		switch {
		case k.retired:
			states[k] = Retired
		case k.verifier.Algorithm == s.algorithm:
			line = append(line, k)
		case now.Before(s.lastSigned(k, all, now).Add(s.overlap)):
			states[k] = Former
		default:
			states[k] = Retired
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
		case now.Before(line[i+1].since.Add(s.overlap)):
			states[f] = Former
		default:
			states[f] = Retired
		}
	}
	return states
}

// lastSigned returns when a key of another algorithm may have signed last: under
// another configuration, and by this process until it began at most. Of servers that
// share their keys, one may have that configuration until a later key shows that it
// took over the next, or this one.
func (s *Set) lastSigned(k *key, all []*key, now time.Time) time.Time {
	if !s.shared {
		return s.opened
	}
	last := now
	for _, later := range all {
		alg := later.verifier.Algorithm
		if !later.retired && compareAge(later, k) > 0 && (alg == k.verifier.Algorithm || alg == s.algorithm) && later.since.Before(last) {
			last = later.since
		}
	}
	if last.Before(s.opened) {
		last = s.opened
	}
	return last
}

// signerOf returns which of the keys, the oldest first, signs at the time: the
// last whose time has come, or, when that of none has, the first.
func signerOf(line []*key, now time.Time) int {
	active := 0
	for i, f := range line {
		if !f.since.After(now) {
			active = i
		}
	}
	return active
}

// compareAge orders by time; of two written at the same time, by name.
func compareAge(a, b *key) int {
	if c := a.since.Compare(b.since); c != 0 {
		return c
	}
	return strings.Compare(a.verifier.KID, b.verifier.KID)
}

// Watch follows what other processes do with the keys, makes a new one when it is time
// to, and ends those whose tokens have ended, until ctx ends.
func (s *Set) Watch(ctx context.Context) {
	ticker := time.NewTicker(s.poll)
	defer ticker.Stop()
	var last string
	told := s.Signer().KID
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.wake:
		}
		err := s.Look(ctx)
		if ctx.Err() != nil {
			return
		}
		s.wrong.Store(&err)
		signs := s.Signer().KID
		if err == nil && (s.algorithm == HS256 || signs == told) { // who calls UseSecret knows
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
		told = signs
		s.changed(signs, err)
	}
}

// Look takes over the keys as they are now, and makes the next one when it is time
// to. After an error the keys stay as they were, but for one in making a key.
func (s *Set) Look(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	unread := s.read(ctx, now)
	if unread == nil && s.due(now) {
		if s.unmade = s.rotateOnTime(ctx, now); s.unmade == nil {
			unread = s.read(ctx, now)
		}
	}
	return errors.Join(s.unmade, unread)
}

// read is follow, which notes why the keys could not be read.
func (s *Set) read(ctx context.Context, now time.Time) error {
	unread := s.follow(ctx, now)
	s.unread.Store(&unread)
	return unread
}

// follow takes over the keys as they are now, if that can differ from what is known.
func (s *Set) follow(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	number, settled, err := s.place.revision(ctx, now)
	if err != nil {
		return err
	}
	known := s.keys.Load()
	if number == s.seen && settled && now.Before(known.until) {
		return nil
	}
	all, err := s.place.load(ctx, known.all)
	if err != nil {
		return err
	}
	next, err := s.assemble(all, now)
	if err != nil {
		return err
	}
	s.seen = number
	s.keys.Store(next)
	return nil
}

// due reports whether it is time to make the next key. One that could not be made is
// forgotten when it is not.
func (s *Set) due(now time.Time) bool {
	if s.rotateEvery > 0 && s.tooOld(s.keys.Load().all, now) {
		return true
	}
	s.unmade = nil
	return false
}

// scheduled is how long before it signs a key is published that is made on time.
func (s *Set) scheduled() time.Duration { return min(scheduledLead, s.rotateEvery/10) }

// tooOld reports whether the newest key has to have a successor.
func (s *Set) tooOld(all []*key, now time.Time) bool {
	last := newest(all, s.algorithm)
	return last == nil || !now.Before(last.since.Add(s.rotateEvery-s.scheduled()))
}

// rotateOnTime makes the next key, so that it is known before it signs, unless that
// failed a moment ago.
func (s *Set) rotateOnTime(ctx context.Context, now time.Time) error {
	if now.Before(s.again) {
		return s.unmade
	}
	s.again = now.Add(rotateAgain)
	_, err := s.place.create(ctx, s.algorithm, now.Add(s.scheduled()), func(all []*key) bool { return s.tooOld(all, now) })
	return err
}

// errSecret is for what a shared secret cannot do.
var errSecret = errors.New("tokens are signed with a shared secret (ONNXGATE_JWT_SECRET), which is changed where it is set")

// Rotate makes a new key and returns when every process signs with it, some
// seconds later, so that all have it by then; the one before verifies as long as its tokens
// last.
func (s *Set) Rotate(ctx context.Context) (Info, error) {
	if err := s.Rotatable(); err != nil {
		return Info{}, err
	}
	always := func([]*key) bool { return true }
	made, err := s.place.create(ctx, s.algorithm, s.now().Add(s.lead), always)
	if err != nil {
		return Info{}, fmt.Errorf("make a signing key in %s: %w", s.place, err)
	}
	// Until the others have looked, too: who is told that it signs may end the
	// one before.
	begins := time.NewTimer(made.since.Sub(s.now()) + 2*s.poll)
	defer begins.Stop()
	select {
	case <-begins.C:
	case <-ctx.Done():
		return Info{}, ctx.Err()
	}
	return Info{KID: made.verifier.KID, Algorithm: s.algorithm, State: Active, Created: made.since}, s.Look(ctx)
}

// Rotatable returns why Rotate makes no key here; nil when it would.
func (s *Set) Rotatable() error {
	if s.algorithm == HS256 {
		return errSecret
	}
	return nil
}

// Retirable returns the state of a key that Retire would end, or why it would not: the
// one that signs cannot be ended, another has to be made first.
func (s *Set) Retirable(ctx context.Context, kid string) (State, error) {
	k, err := s.retirable(ctx, kid)
	if err != nil {
		return "", err
	}
	return s.states(s.keys.Load().all, s.now())[k], nil
}

func (s *Set) retirable(ctx context.Context, kid string) (*key, error) {
	if err := cmp.Or(s.Rotatable(), s.Look(ctx)); err != nil {
		return nil, err
	}
	all := s.keys.Load().all
	i := slices.IndexFunc(all, func(k *key) bool { return k.verifier.KID == kid })
	switch {
	case i < 0:
		return nil, fmt.Errorf("there is no key %s; `onnxgate keys list` shows them all", kid)
	case all[i].retired:
		return nil, fmt.Errorf("the key %s is already retired", kid)
	case s.states(all, s.now())[all[i]] == Active:
		return nil, fmt.Errorf("the key %s is in use for signing; make another with `onnxgate keys rotate` first", kid)
	}
	return all[i], nil
}

// Retire ends a key at once, with every token that it signed, and removes its private
// half. Which it does not end, Retirable says.
func (s *Set) Retire(ctx context.Context, kid string) error {
	k, err := s.retirable(ctx, kid)
	if err != nil {
		return err
	}
	return errors.Join(s.place.retire(ctx, k), s.Look(ctx))
}

// Due returns when Watch is to have made another key; zero when it never does.
func (s *Set) Due() time.Time {
	known := s.keys.Load()
	if s.rotateEvery == 0 {
		return time.Time{}
	}
	if last := newest(known.all, s.algorithm); last != nil {
		return last.since.Add(s.rotateEvery)
	}
	return time.Time{}
}

// List returns all keys, the newest first.
func (s *Set) List() []Info {
	known := s.keys.Load()
	sorted := slices.SortedFunc(slices.Values(known.all), func(a, b *key) int { return compareAge(b, a) })
	list := make([]Info, len(sorted))
	states := s.states(known.all, s.now())
	for i, k := range sorted {
		list[i] = Info{KID: k.verifier.KID, Algorithm: k.verifier.Algorithm, State: states[k]}
		if s.algorithm != HS256 {
			list[i].Created = k.since
		}
	}
	return list
}
