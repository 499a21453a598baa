package audit_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
)

// shelf is a log in memory, which can be full.
type shelf struct {
	mu   sync.Mutex
	all  []string
	full bool
	// missing is how many records it was asked for while it was full: what a log says of
	// itself once it can be written again.
	missing int
}

var errFull = errors.New("no space left on device")

func (s *shelf) Record(ctx context.Context, rec *audit.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		s.missing++
		return errFull
	}
	address := rec.Address
	if !address.IsValid() {
		address = reqctx.From(ctx).ClientAddr
	}
	s.all = append(s.all, strings.TrimSpace(fmt.Sprintf("%s %s %s from %s ×%d", rec.Event, rec.Actor, rec.Outcome, address, rec.Count)))
	return nil
}

func (s *shelf) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return errFull
	}
	return nil
}

func (s *shelf) Lag() int64 { return 0 }

func (s *shelf) fill(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = full
}

var (
	here = netip.MustParseAddr("192.0.2.7")
	ada  = &identity.Principal{Subject: "ada", Tenant: "acme", Method: identity.Bearer}
)

// request is the context of a request from an address.
func request(t *testing.T, from netip.Addr) context.Context {
	t.Helper()
	return reqctx.With(t.Context(), &reqctx.Info{ClientAddr: from, RequestID: "r"})
}

func newTrail(mode audit.Mode) (*audit.Trail, *shelf) {
	log := &shelf{}
	return audit.NewTrail(audit.TrailConfig{Log: log, Mode: mode}), log
}

func TestARequestLeavesOneRecord(t *testing.T) {
	login := &audit.Record{Event: audit.Login, Actor: "ada", Outcome: audit.OK}
	failed := &audit.Record{Event: audit.Predict, Actor: "ada", Outcome: "timeout"}
	forbidden := fault.New(fault.Forbidden, "no")
	for name, c := range map[string]struct {
		serve func(ctx context.Context, t *audit.Trail) error
		want  []string
	}{
		"that was served and recorded": {func(ctx context.Context, t *audit.Trail) error {
			return errors.Join(t.Record(ctx, login), t.Look(ctx, audit.UserRead, ada, &audit.About{}))
		}, []string{"login ada ok from 192.0.2.7 ×0"}},
		"that was served and only looked": {func(ctx context.Context, t *audit.Trail) error {
			return t.Look(ctx, audit.UserRead, ada, &audit.About{})
		}, []string{"user.read ada ok from 192.0.2.7 ×0"}},
		"that was refused": {func(ctx context.Context, t *audit.Trail) error {
			return t.Refuse(ctx, &audit.Refusal{Principal: ada, Err: forbidden})
		}, []string{"refused ada forbidden from 192.0.2.7 ×0"}},
		"that failed on record": {func(ctx context.Context, t *audit.Trail) error {
			return errors.Join(t.Record(ctx, failed), t.Refuse(ctx, &audit.Refusal{Principal: ada, Err: fault.New(fault.Timeout, "")}))
		}, []string{"predict ada timeout from 192.0.2.7 ×0"}},
		"and a second one that contradicts it": {func(ctx context.Context, t *audit.Trail) error {
			return errors.Join(t.Record(ctx, login), t.Refuse(ctx, &audit.Refusal{Principal: ada, Err: errors.New("the commit failed")}))
		}, []string{"login ada ok from 192.0.2.7 ×0", "refused ada internal from 192.0.2.7 ×0"}},
	} {
		trail, log := newTrail(audit.Strict)
		if err := c.serve(request(t, here), trail); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, log.all); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestStrangersAreSummedByAddressAndReason(t *testing.T) {
	trail, log := newTrail(audit.Strict)
	refuse := func(from string, err error) {
		if err := trail.Refuse(request(t, netip.MustParseAddr(from)), &audit.Refusal{Err: err}); err != nil {
			t.Error(err)
		}
	}
	for range 3 {
		refuse("192.0.2.7", fault.New(fault.Unauthenticated, ""))
	}
	refuse("192.0.2.7", fault.New(fault.NotFound, ""))
	refuse("2001:db8::1", fault.New(fault.Unauthenticated, ""))
	refuse("192.0.2.7", fault.Wrap(fault.Unauthenticated, "", audit.Names(ada, errors.New("wrong password"))))
	if err := trail.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"refused ada unauthenticated from 192.0.2.7 ×0",
		"refused.sum  not found from 192.0.2.7 ×1",
		"refused.sum  unauthenticated from 192.0.2.7 ×3",
		"refused.sum  unauthenticated from 2001:db8::1 ×1",
	}
	if diff := cmp.Diff(want, log.all); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAStrangerFillsNeitherMemoryNorDisk: of a hundred thousand requests from as
// many addresses, and of as many wrong passwords of one user from one address,
// little is left, and every one is counted.
func TestAStrangerFillsNeitherMemoryNorDisk(t *testing.T) {
	trail, log := newTrail(audit.Strict)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); trail.Run(ctx) }()
	const requests = 100_000
	named := fault.Wrap(fault.Unauthenticated, "", audit.Names(ada, errors.New("wrong password")))
	for i := range requests {
		from := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if err := trail.Refuse(request(t, from), &audit.Refusal{Err: fault.New(fault.NotFound, "")}); err != nil {
			t.Fatal(err)
		}
		subscriber := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 4: byte(i >> 16), 5: byte(i >> 8), 6: byte(i)})
		neighbor := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0xff, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)})
		for _, from := range []netip.Addr{here, subscriber, neighbor} {
			if err := trail.Refuse(request(t, from), &audit.Refusal{Err: named}); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop()
	<-done
	if err := trail.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, line := range log.all {
		n := 0
		if _, err := fmt.Sscanf(line[strings.LastIndex(line, "×")+len("×"):], "%d", &n); err != nil {
			t.Fatal(line)
		}
		total += max(n, 1)
	}
	if total != 4*requests {
		t.Errorf("%d of %d requests are accounted for", total, 4*requests)
	}
	if len(log.all) > 2*1024+8 {
		t.Errorf("%d records", len(log.all))
	}
}

func TestWhatCannotBeRecorded(t *testing.T) {
	type outcome struct{ Closed, Login, Change, Predict, Refuse, Look bool } // true: must not go ahead
	for _, c := range []struct {
		mode audit.Mode
		want outcome
		lost int64
	}{
		{audit.Strict, outcome{true, true, true, true, true, true}, 0},
		{audit.BestEffort, outcome{Login: true, Change: true}, 3},
	} {
		mode, want := c.mode, c.want
		trail, log := newTrail(mode)
		log.fill(true)
		ctx := request(t, here)
		refused := func(err error) bool {
			if err == nil {
				return false
			}
			f := fault.As(err)
			if f.Kind != fault.Unavailable || f.RetryAfter < time.Second || strings.Contains(f.Msg, errFull.Error()) {
				t.Errorf("%s: %v", mode, err)
			}
			return true
		}
		got := outcome{
			Closed:  refused(trail.Err()),
			Login:   refused(trail.Record(ctx, &audit.Record{Event: audit.Login, Outcome: audit.OK})),
			Change:  refused(trail.Record(ctx, &audit.Record{Event: audit.UserDelete, Outcome: audit.OK})),
			Predict: refused(trail.Record(ctx, &audit.Record{Event: audit.Predict, Outcome: audit.OK})),
			Refuse:  refused(trail.Refuse(request(t, here), &audit.Refusal{Principal: ada, Err: fault.New(fault.Forbidden, "")})),
			Look:    refused(trail.Look(request(t, here), audit.UserRead, ada, &audit.About{})),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", mode, diff)
		}
		log.fill(false)
		if err := trail.Record(ctx, &audit.Record{Event: audit.Login, Actor: "ada", Outcome: audit.OK}); err != nil || trail.Err() != nil {
			t.Errorf("%s: %v, and there is room again", mode, err)
		}
		if trail.Lost() != c.lost {
			t.Errorf("%s: %d lost", mode, trail.Lost())
		}
	}
}

// TestSumsOutliveAFullDisk: what was refused while nothing could be written is
// told afterwards, and is not missing.
func TestSumsOutliveAFullDisk(t *testing.T) {
	trail, log := newTrail(audit.Strict)
	log.fill(true)
	named := fault.Wrap(fault.Unauthenticated, "", audit.Names(ada, errors.New("wrong password")))
	for _, err := range []error{trail.Err(), named} {
		if err := trail.Refuse(request(t, here), &audit.Refusal{Err: err}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if err := trail.Close(t.Context()); err == nil {
			t.Error("written, and the disk is full")
		}
	}
	log.fill(false)
	if err := trail.Close(t.Context()); err != nil {
		t.Error(err)
	}
	want := []string{"refused.sum  unauthenticated from 192.0.2.7 ×1", "refused.sum  unavailable from 192.0.2.7 ×1"}
	if diff := cmp.Diff(want, log.all); diff != "" || log.missing != 0 {
		t.Errorf("%d missing (-want +got):\n%s", log.missing, diff)
	}
}

func TestEveryCredentialOfALayeredCallerIsNamed(t *testing.T) {
	caller := &identity.Principal{Subject: "ada", Issuer: "https://idp.example", Tenant: "acme", Method: identity.Outside}
	key := &identity.Principal{Subject: "apikey:k", Tenant: "acme", Method: identity.APIKey}
	certificate := &identity.Principal{Subject: "ogc_1", Tenant: "acme", Method: identity.Certificate}
	key.With, caller.With = certificate, key
	var rec audit.Record
	rec.By(caller)
	want := audit.Record{
		Actor: "ada", Issuer: "https://idp.example", Tenant: "acme", Method: "oidc",
		Beside: [audit.MaxBeside]audit.Credential{{Actor: "apikey:k", Method: "api_key"}, {Actor: "ogc_1", Method: "certificate"}},
	}
	if !cmp.Equal(rec, want, cmpopts.EquateComparable(audit.Rule{}, netip.Addr{})) {
		t.Errorf("%+v", rec)
	}
}

func TestNoTrailRefusesAndKeepsNothing(t *testing.T) {
	var off *audit.Trail
	ctx := request(t, here)
	err := errors.Join(off.Err(), off.Record(ctx, &audit.Record{}), off.Refuse(ctx, &audit.Refusal{}),
		off.Look(ctx, audit.UserRead, ada, &audit.About{}), off.Close(ctx))
	off.Run(ctx)
	if err != nil || off.Lost() != 0 || off.Lag() != 0 {
		t.Error(err)
	}
}

// nowhere is a log that keeps nothing.
type nowhere struct{ audit.Discard }

func (nowhere) Err() error { return nil }
func (nowhere) Lag() int64 { return 0 }

func TestAPredictionsRecordAllocatesNothing(t *testing.T) {
	trail := audit.NewTrail(audit.TrailConfig{Log: nowhere{}})
	ctx := request(t, here)
	var rec audit.Record
	allocations := testing.AllocsPerRun(100, func() {
		rec = audit.Record{Event: audit.Predict, Model: "iris", Version: "1", Decision: audit.Allow, Rule: audit.RuleOf(1), Outcome: audit.Outcome(nil)}
		rec.By(ada)
		if trail.Err() != nil || trail.Record(ctx, &rec) != nil {
			t.Error("not recorded")
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}
