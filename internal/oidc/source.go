package oidc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"onnxgate/internal/fault"
	"onnxgate/internal/keys"
)

const (
	// askEvery is how often tokens with unknown keys can make an issuer be asked.
	askEvery = 30 * time.Second
	// renewEvery is how often the keys are fetched anew; a key that the issuer
	// took away is refused after that at the latest.
	renewEvery = 5 * time.Minute
	// retryFirst is the pause after a fetch that failed while there are no keys;
	// it doubles up to askEvery.
	retryFirst = time.Second
	// heardEvery is how often an issuer is asked whether it still answers that does
	// not.
	heardEvery = time.Second
	wellKnown  = "/.well-known/openid-configuration"
)

// source holds the keys of one issuer: fetched, remembered, and renewed.
type source struct {
	entry  *entry
	client *client
	now    func() time.Time
	report func(Event)

	state atomic.Pointer[state]

	mu      sync.Mutex
	pending chan struct{} // closed when the fetch under way has ended; nil: none is
	asked   time.Time     // when a token last made the issuer be asked
}

// state is what is known of the issuer. It does not change.
type state struct {
	set     *keySet // nil: never fetched
	raw     []byte
	fetched time.Time
	// jwksURI is what discovery found last.
	jwksURI string
	// failed is why the last fetch failed; nil when it did not. It was at tried.
	failed error
	tried  time.Time
	// expired says that what is known was too old at the last fetch.
	expired bool
}

func newSource(e *entry, now func() time.Time, report func(Event)) *source {
	s := &source{entry: e, client: newClient(e), now: now, report: report}
	s.state.Store(&state{set: e.static})
	return s
}

// inherit takes over what another source of the same keys knows.
func (s *source) inherit(other *source) {
	s.state.Store(other.state.Load())
	other.mu.Lock()
	defer other.mu.Unlock()
	s.asked = other.asked
}

// usable returns the keys while they may be used.
func (s *source) usable(now time.Time) *keySet {
	st := s.state.Load()
	if s.tooOld(st, now) {
		return nil
	}
	return st.set
}

func (s *source) tooOld(st *state, now time.Time) bool {
	return s.entry.static == nil && now.Sub(st.fetched) > s.entry.maxStale
}

func (s *source) status() Status {
	st := s.state.Load()
	status := Status{Issuer: s.entry.policy.Name, From: s.from(), Fetched: st.fetched, Err: st.failed}
	if set := s.usable(s.now()); set != nil {
		status.Keys, status.LeftOut = len(set.live), set.leftOut
	}
	return status
}

// from returns where the keys come from: a file, their URL, or that of the
// document that names it.
func (s *source) from() string {
	switch origin := &s.entry.origin; {
	case origin.jwksFile != "":
		return origin.jwksFile
	case origin.jwksURI != "":
		return origin.jwksURI
	}
	return s.discovery()
}

// discovery returns the URL of the document that names where the keys are (OpenID
// Connect Discovery section 4).
func (s *source) discovery() string {
	return strings.TrimSuffix(s.entry.policy.Name, "/") + wellKnown
}

// Holds reports whether a key is the issuer's still, as far as is known.
func (s *source) Holds(key *keys.Verifier, now time.Time) bool {
	set := s.usable(now)
	return set != nil && set.live[key]
}

// Verifier returns the key of that name for the algorithm. One that is not known
// makes the issuer be asked, though not more often than askEvery, however many
// such tokens come. The error is a fault of kind Unavailable when there are no
// keys because the issuer cannot be reached.
func (s *source) Verifier(ctx context.Context, kid string, alg keys.Algorithm) (*keys.Verifier, error) {
	if key, done := s.find(kid, alg); done {
		return found(key)
	}
	if ended := s.ask(ctx); ended != nil {
		select {
		case <-ended:
		case <-ctx.Done():
			return nil, errUnavailable()
		}
	}
	if key, done := s.find(kid, alg); done {
		return found(key)
	}
	if st := s.state.Load(); s.usable(s.now()) == nil && (st.failed == nil || unreachable(st.failed)) {
		return nil, errUnavailable()
	}
	return nil, errNoKey
}

// answers returns nil when the issuer has answered within askEvery, or does so now.
// The fault is Unavailable.
func (s *source) answers(ctx context.Context) error {
	st, now := s.state.Load(), s.now()
	switch {
	case s.entry.static != nil, st.failed == nil && now.Sub(st.fetched) < askEvery:
		return nil
	case st.failed != nil && now.Sub(st.tried) < heardEvery:
		return errAway()
	}
	select {
	case <-s.renew(ctx):
	case <-ctx.Done():
		return errAway()
	}
	if s.state.Load().failed != nil {
		return errAway()
	}
	return nil
}

func errAway() error {
	return &fault.Error{
		Kind: fault.Unavailable, RetryAfter: heardEvery,
		Msg: "Nothing is changed on the word of an issuer that cannot be reached; try again later, or with an account of this server",
	}
}

// errUnavailable has no cause, which would be logged for each request: any
// stranger can name an issuer that is down. The cause was reported once.
func errUnavailable() error {
	return &fault.Error{
		Kind: fault.Unavailable, RetryAfter: askEvery,
		Msg: "The token cannot be checked now, because its issuer cannot be reached; try again later",
	}
}

var errNoKey = errors.New("no key of the issuer has the token's kid and alg")

// find looks in memory. It is done when there are keys, one of the name among
// them.
func (s *source) find(kid string, alg keys.Algorithm) (key *keys.Verifier, done bool) {
	set := s.usable(s.now())
	if set == nil {
		return nil, false
	}
	key, named := set.find(kid, alg)
	return key, named || s.entry.static != nil
}

func found(key *keys.Verifier) (*keys.Verifier, error) {
	if key == nil {
		return nil, errNoKey
	}
	return key, nil
}

// ask returns what is closed when the issuer was asked; nil when a token made it
// be asked too short a time ago. The first load is nobody's asking.
func (s *source) ask(ctx context.Context) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != nil {
		return s.pending
	}
	st := s.state.Load()
	if loaded := st.set != nil || st.failed != nil; loaded {
		now := s.now()
		if !s.asked.IsZero() && now.Sub(s.asked) < askEvery {
			return nil
		}
		s.asked = now
	}
	s.begin(ctx, st.jwksURI)
	return s.pending
}

// renew fetches the keys, beginning with discovery.
func (s *source) renew(ctx context.Context) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		s.begin(ctx, "")
	}
	return s.pending
}

// begin starts a fetch, which whoever waits for it shares, and which therefore
// does not end with the request that began it.
func (s *source) begin(ctx context.Context, jwksURI string) {
	ended := make(chan struct{})
	s.pending = ended
	go func() {
		s.fetch(context.WithoutCancel(ctx), jwksURI)
		s.mu.Lock()
		s.pending = nil
		s.mu.Unlock()
		close(ended)
	}()
}

func (s *source) fetch(ctx context.Context, jwksURI string) {
	before := s.state.Load()
	next := *before
	next.failed = s.load(ctx, &next, jwksURI)
	next.tried = s.now()
	next.expired = next.set == nil || s.tooOld(&next, next.tried)
	s.state.Store(&next)
	s.tell(before, &next)
}

// load fetches into the next state. What was known stays when it fails.
func (s *source) load(ctx context.Context, next *state, jwksURI string) (err error) {
	if s.entry.origin.jwksURI != "" {
		jwksURI = s.entry.origin.jwksURI
	}
	if jwksURI == "" {
		if jwksURI, err = s.discover(ctx); err != nil {
			return err
		}
	}
	raw, err := s.client.get(ctx, jwksURI)
	if err != nil {
		next.jwksURI = "" // it may have moved
		return err
	}
	if next.set == nil || !bytes.Equal(raw, next.raw) {
		set, err := parseSet(raw, s.entry.policy.Algorithms)
		if err != nil {
			return fmt.Errorf("%s: %w", jwksURI, err)
		}
		next.set, next.raw = set, raw
	}
	next.jwksURI, next.fetched = jwksURI, s.now()
	return nil
}

// discover returns where the keys are (OpenID Connect Discovery section 4). The
// document must be that of the issuer to the letter (section 4.3).
func (s *source) discover(ctx context.Context) (string, error) {
	at := s.discovery()
	raw, err := s.client.get(ctx, at)
	if err != nil {
		return "", err
	}
	var doc struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return "", &documentError{fmt.Errorf("%s is not a discovery document", at)}
	}
	if doc.Issuer != s.entry.policy.Name {
		return "", &documentError{fmt.Errorf("%s is that of the issuer %s, not of %s to the letter", at, shown(doc.Issuer), shown(s.entry.policy.Name))}
	}
	if err := checkURL(doc.JWKSURI); err != nil {
		return "", &documentError{fmt.Errorf("%s: jwks_uri: %w", at, err)}
	}
	return doc.JWKSURI, nil
}

// tell reports what has changed for the operator.
func (s *source) tell(before, after *state) {
	if after.failed != nil {
		if before.failed == nil || before.failed.Error() != after.failed.Error() || before.expired != after.expired {
			s.report(Event{Issuer: s.entry.policy.Name, Err: after.failed, Cached: !after.expired})
		}
		return
	}
	if before.failed != nil || before.set != after.set {
		s.report(Event{Issuer: s.entry.policy.Name, Keys: len(after.set.live), LeftOut: after.set.leftOut})
	}
}

// run keeps the keys fresh until ctx is done.
func (s *source) run(ctx context.Context) {
	if s.entry.static != nil {
		return
	}
	pause := retryFirst
	for {
		select {
		case <-s.renew(ctx):
		case <-ctx.Done():
			return
		}
		st := s.state.Load()
		next := min(renewEvery, s.entry.maxStale/2)
		switch {
		case st.failed == nil:
			pause = retryFirst
		case st.set == nil:
			next, pause = pause, min(2*pause, askEvery)
		default:
			next = askEvery
		}
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}
