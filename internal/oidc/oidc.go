// Package oidc knows the outside issuers that the operator trusts: it reads their
// file, and fetches, keeps and renews the keys that verify their tokens.
//
// It owns every connection that is opened for them: to which addresses, how
// often, and how much is read. Nothing that a token says is ever fetched. It
// must not know what a token looks like; authn judges those.
package oidc

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"onnxgate/internal/authn"
)

// Config says which issuers there are.
type Config struct {
	// File is the issuers' file.
	File string
	// Own is the issuer of this server's tokens, which the file must not name.
	Own string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Report is told when an issuer begins or ceases to answer, and when its keys
	// change. It may be called from several goroutines; nil means nobody listens.
	Report func(Event)
}

// Event is news of one issuer.
type Event struct {
	Issuer string
	// Err is why its keys could not be fetched; nil when they were.
	Err error
	// Cached says, with Err, that older keys still serve.
	Cached bool
	// Keys is how many keys verify its tokens, one counted for each algorithm that
	// it may be used with.
	Keys int
	// LeftOut says, a key each, why the others do not.
	LeftOut []string
}

// Issuers are the outside issuers. They are safe for concurrent use.
type Issuers struct {
	cfg     Config
	known   atomic.Pointer[map[string]*issuer]
	changed chan struct{}
	reload  sync.Mutex
}

type issuer struct {
	policy *authn.Issuer
	source *source
}

// New reads the file, and the files that it names, and asks no issuer yet. The
// error is for the operator and has a line for everything that is wrong.
func New(cfg Config) (*Issuers, error) {
	if cfg.File == "" {
		return nil, errors.New("oidc: a file is needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now //nolint:forbidigo // the default of the injected clock
	}
	if cfg.Report == nil {
		cfg.Report = func(Event) {}
	}
	s := &Issuers{cfg: cfg, changed: make(chan struct{}, 1)}
	if err := s.read(); err != nil {
		return nil, err
	}
	return s, nil
}

// Reload reads the file again. After an error everything stays as it was.
// Otherwise Run fetches the keys of every issuer anew; until then the known ones
// serve where the entry says that they are fetched as before.
func (s *Issuers) Reload() error {
	s.reload.Lock()
	defer s.reload.Unlock()
	if err := s.read(); err != nil {
		return err
	}
	select {
	case s.changed <- struct{}{}:
	default: // Run has not seen the last change yet
	}
	return nil
}

func (s *Issuers) read() error {
	entries, err := readFile(s.cfg.File, s.cfg.Own)
	if err != nil {
		return err
	}
	next := make(map[string]*issuer, len(entries))
	for _, e := range entries {
		next[e.policy.Name] = s.issuerOf(e)
	}
	s.known.Store(&next)
	return nil
}

// issuerOf gives an entry its source, with the keys of the one before where they
// come from the same place and serve the same algorithms.
func (s *Issuers) issuerOf(e *entry) *issuer {
	src := newSource(e, s.cfg.Now, s.cfg.Report)
	if before := s.known.Load(); before != nil {
		if old, ok := (*before)[e.policy.Name]; ok && old.source.entry.sameKeys(e) {
			src.inherit(old.source)
		}
	}
	policy := e.policy
	policy.Keys = src
	return &issuer{policy: &policy, source: src}
}

// Issuer returns the issuer of that name, compared exactly.
func (s *Issuers) Issuer(name string) (*authn.Issuer, bool) {
	i, ok := (*s.known.Load())[name]
	if !ok {
		return nil, false
	}
	return i.policy, true
}

// Answers returns nil when the issuer of that name was heard of within the last 30
// seconds, or is when it is asked now; one whose keys are in a file always is. The
// fault is Unavailable: its keys still verify tokens, but whether it would still
// give them is not known.
func (s *Issuers) Answers(ctx context.Context, name string) error {
	i, ok := (*s.known.Load())[name]
	if !ok {
		return errAway()
	}
	return i.source.answers(ctx)
}

// Status is how one issuer is doing.
type Status struct {
	Issuer string
	// Keys is as in Event, while they may be used.
	Keys int
	// From is where they come from: a URL, or a file.
	From string
	// Fetched is when they were; zero for those of a file, and before the first
	// time.
	Fetched time.Time
	// Err is why the last fetch failed; nil when it did not.
	Err error
	// LeftOut says, a key each, why the others do not.
	LeftOut []string
}

// Status returns how the issuers are doing, by their names.
func (s *Issuers) Status() []Status {
	known := *s.known.Load()
	all := make([]Status, 0, len(known))
	for _, name := range slices.Sorted(maps.Keys(known)) {
		all = append(all, known[name].source.status())
	}
	return all
}

// Run keeps the keys of all issuers fresh until ctx is done. An issuer that
// cannot be reached concerns no other.
func (s *Issuers) Run(ctx context.Context) {
	for ctx.Err() == nil {
		generation, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		for _, i := range *s.known.Load() {
			running.Go(func() { i.source.run(generation) })
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
		}
		cancel()
		running.Wait()
	}
}

// Refresh fetches the keys of all issuers once, each for itself, for who does not
// Run. What came of it is in Status.
func (s *Issuers) Refresh(ctx context.Context) {
	var running sync.WaitGroup
	for _, i := range *s.known.Load() {
		if i.source.entry.static != nil {
			continue
		}
		running.Go(func() {
			select {
			case <-i.source.renew(ctx):
			case <-ctx.Done():
			}
		})
	}
	running.Wait()
}
