package sealing_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/seal"
	"onnxgate/internal/sealing"
)

// memory is a store that several services share, as processes share a database.
type memory struct {
	mu       sync.Mutex
	records  []sealing.Record
	keks     []sealing.KEKUse
	revision atomic.Int64
	looks    atomic.Int64
	away     atomic.Bool
}

var errAway = fault.New(fault.Unavailable, "The database cannot be reached; try again in a second")

func (m *memory) View(_ context.Context, read func(sealing.Keys) error) error {
	if m.away.Load() {
		return errAway
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return read(&memoryKeys{slices.Clone(m.records), slices.Clone(m.keks)})
}

func (m *memory) Revision(context.Context) (int64, error) {
	m.looks.Add(1)
	if m.away.Load() {
		return 0, errAway
	}
	return m.revision.Load(), nil
}

func (m *memory) Update(_ context.Context, change func(sealing.Keys) error) error {
	if m.away.Load() {
		return errAway
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	tx := &memoryKeys{slices.Clone(m.records), slices.Clone(m.keks)}
	if err := change(tx); err != nil {
		return err
	}
	m.records, m.keks = tx.records, tx.keks
	m.revision.Add(1)
	return nil
}

type memoryKeys struct {
	records []sealing.Record
	keks    []sealing.KEKUse
}

func (t *memoryKeys) Wrapped() sealing.Wrapped        { return t }
func (t *memoryKeys) KEKs() ([]sealing.KEKUse, error) { return slices.Clone(t.keks), nil }

func (t *memoryKeys) AddKEK(use *sealing.KEKUse) error {
	t.keks = append(t.keks, *use)
	return nil
}

func (t *memoryKeys) List(tenant string) ([]sealing.Record, error) {
	return slices.DeleteFunc(slices.Clone(t.records), func(r sealing.Record) bool {
		return tenant != sealing.AnyTenant && r.Tenant != tenant
	}), nil
}

func (t *memoryKeys) EachWrapped(visit func(seal.Binding, []byte) ([]byte, error)) error {
	for i := range t.records {
		r := &t.records[i]
		if r.State == sealing.Retired {
			continue
		}
		instead, err := visit(seal.Binding{Use: sealing.Use, Tenant: r.Tenant, KID: r.KID}, r.Wrapped)
		if err != nil {
			return err
		}
		if instead != nil {
			r.Wrapped = instead
		}
	}
	return nil
}

func (t *memoryKeys) Insert(r *sealing.Record) error {
	t.records = append(t.records, *r)
	return nil
}

func (t *memoryKeys) Replace(r *sealing.Record) error {
	i := slices.IndexFunc(t.records, func(have sealing.Record) bool { return have.KID == r.KID })
	t.records[i] = *r
	return nil
}

// clock stands still until it is moved.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(1_800_000_000 * int64(time.Second))
	return c
}

func (c *clock) now() time.Time       { return time.Unix(0, c.at.Load()) }
func (c *clock) move(d time.Duration) { c.at.Add(int64(d)) }
func kekFile(tb testing.TB) string    { tb.Helper(); return filepath.Join(tb.TempDir(), "kek") }
func kindOf(err error) fault.Kind     { return fault.KindOf(err) }
func states(keys []sealing.Key) []string {
	words := make([]string, len(keys))
	for i, k := range keys {
		words[i] = k.Tenant + " " + string(k.State)
	}
	return words
}

func open(tb testing.TB, cfg sealing.Config) *sealing.Service {
	tb.Helper()
	cfg.MakeKEK = true
	s, err := sealing.New(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func sealText(tb testing.TB, s *sealing.Service, tenant, text string) string {
	tb.Helper()
	token, err := s.Seal(tb.Context(), caller(tenant), text)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

func TestWhatATenantSealedOpensForItAlone(t *testing.T) {
	s := open(t, sealing.Config{Store: &memory{}, KEKFile: kekFile(t)})
	for _, text := range []string{"", "hello", "żółw 🐢\x00\n", strings.Repeat("x", sealing.MaxText)} {
		token := sealText(t, s, "acme", text)
		if got, err := s.Open(t.Context(), caller("acme"), token, 60); err != nil || got != text {
			t.Errorf("%.20q: %.20q, %v", text, got, err)
		}
		for _, other := range []string{"default", "acme2", "nobody"} {
			if got, err := s.Open(t.Context(), caller(other), token, seal.AnyAge); kindOf(err) != fault.Undecryptable || got != "" {
				t.Errorf("%s opened %.20q, %v", other, got, err)
			}
		}
		sealText(t, s, "default", text) // so that it has a key, too
	}
	keys, err := s.List(t.Context(), sealing.AnyTenant)
	if diff := cmp.Diff([]string{"acme active", "default active"}, states(keys)); diff != "" || err != nil {
		t.Errorf("opening made a key: %v %s", err, diff)
	}
}

func TestWhatIsNoTenantHasNoKeys(t *testing.T) {
	s := open(t, sealing.Config{Store: &memory{}, KEKFile: kekFile(t)})
	token := sealText(t, s, "acme", "hello")
	for _, tenant := range []string{"", sealing.AnyTenant} {
		if got, err := s.Open(t.Context(), caller(tenant), token, seal.AnyAge); err == nil {
			t.Errorf("%q opened %q", tenant, got)
		}
		if _, err := s.Seal(t.Context(), caller(tenant), ""); err == nil {
			t.Errorf("%q sealed", tenant)
		}
	}
}

func TestTextThatIsNoneOrTooLongIsRefused(t *testing.T) {
	s := open(t, sealing.Config{Store: &memory{}, KEKFile: kekFile(t)})
	if _, err := s.Seal(t.Context(), caller("acme"), strings.Repeat("x", sealing.MaxText+1)); kindOf(err) != fault.TooLarge {
		t.Errorf("too long: %v", err)
	}
	if _, err := s.Seal(t.Context(), caller("acme"), "\xff"); kindOf(err) != fault.Content {
		t.Errorf("not UTF-8: %v", err)
	}
	longest := sealText(t, s, "acme", strings.Repeat("x", sealing.MaxText))
	if _, err := s.Open(t.Context(), caller("acme"), longest+"\n", seal.AnyAge); kindOf(err) != fault.Undecryptable {
		t.Errorf("the longest token and a line end: %v", err)
	}
}

func TestATokenOlderThanItsCallerWantsIsTheOneRefusal(t *testing.T) {
	c := newClock()
	s := open(t, sealing.Config{Store: &memory{}, KEKFile: kekFile(t), Now: c.now})
	token := sealText(t, s, "acme", "hello")
	if _, err := s.Open(t.Context(), caller("acme"), token, 0); err != nil {
		t.Errorf("at once: %v", err)
	}
	c.move(time.Minute)
	if _, err := s.Open(t.Context(), caller("acme"), token, 60); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	old, bad := errors.Join(second(s.Open(t.Context(), caller("acme"), token, 59))), errors.Join(second(s.Open(t.Context(), caller("acme"), token[1:], 59)))
	if old == nil || bad == nil || old.Error() != bad.Error() {
		t.Errorf("too old: %v; no token: %v", old, bad)
	}
}

// caller is somebody of a tenant.
func caller(tenant string) *identity.Principal {
	return &identity.Principal{Subject: "user of " + tenant, Tenant: tenant, Method: identity.Bearer}
}

func second(_ string, err error) error { return err }

// E03: keys are rotated all the time; no token fails to open, whichever of two
// processes made it. Each has a clock that stands still, so that neither ever
// asks the store without need.
func TestRotationUnderLoadFailsNothing(t *testing.T) {
	store, kek, c := &memory{}, kekFile(t), newClock()
	first := open(t, sealing.Config{Store: store, KEKFile: kek, Now: c.now})
	second := open(t, sealing.Config{Store: store, KEKFile: kek, Now: c.now})
	rotations := 1000
	if testing.Short() {
		rotations = 50
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for _, pair := range [][2]*sealing.Service{{first, second}, {second, first}} {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				token := sealText(t, pair[0], "acme", "hello")
				if got, err := pair[1].Open(t.Context(), caller("acme"), token, 60); err != nil || got != "hello" {
					t.Errorf("token %d: %q, %v", n, got, err)
					return
				}
			}
		})
	}
	for range rotations {
		if _, err := first.Rotate(t.Context(), "root", "acme"); err != nil {
			t.Error(err)
		}
		c.move(time.Second / 10)
	}
	close(done)
	wg.Wait()
}

func TestARotationOfAnotherProcessIsTakenOverWithinASecond(t *testing.T) {
	store, kek, c := &memory{}, kekFile(t), newClock()
	server := open(t, sealing.Config{Store: store, KEKFile: kek, Now: c.now})
	before := sealText(t, server, "acme", "hello")
	command := open(t, sealing.Config{Store: store, KEKFile: kek, Now: c.now})
	made, err := command.Rotate(t.Context(), "root", "acme")
	if err != nil || len(made) != 1 || made[0].State != sealing.Active {
		t.Fatalf("%v, %v", made, err)
	}
	keys, err := command.List(t.Context(), "acme")
	if diff := cmp.Diff([]string{"acme active", "acme former"}, states(keys)); diff != "" || err != nil || keys[0] != made[0] {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := command.Retire(t.Context(), "root", keys[1].KID); err != nil {
		t.Fatal(err)
	}
	c.move(time.Second)
	after := sealText(t, server, "acme", "hello")
	if _, err := command.Open(t.Context(), caller("acme"), after, 60); err != nil {
		t.Errorf("the server still seals with the retired key: %v", err)
	}
	if _, err := server.Open(t.Context(), caller("acme"), before, 60); kindOf(err) != fault.Undecryptable {
		t.Errorf("the server opened with a retired key: %v", err)
	}
}

// TestALookFindsAChangeBeforeThePoll, which another process has told of.
func TestALookFindsAChangeBeforeThePoll(t *testing.T) {
	store, kek := &memory{}, kekFile(t)
	cfg := sealing.Config{Store: store, KEKFile: kek, PollInterval: time.Hour, Now: newClock().now}
	one, other := open(t, cfg), open(t, cfg)
	old := sealText(t, one, "acme", "text")
	if _, err := other.Open(t.Context(), caller("acme"), old, seal.AnyAge); err != nil {
		t.Fatal(err)
	}
	made, err := one.Rotate(t.Context(), "root", "acme")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := one.List(t.Context(), "acme")
	if err != nil || len(made) != 1 || len(keys) != 2 {
		t.Fatal(made, keys, err)
	}
	if _, err := one.Retire(t.Context(), "root", keys[1].KID); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open(t.Context(), caller("acme"), old, seal.AnyAge); err != nil {
		t.Errorf("it was found out without a look: %v", err)
	}
	other.Look(t.Context())
	if _, err := other.Open(t.Context(), caller("acme"), old, seal.AnyAge); kindOf(err) != fault.Undecryptable {
		t.Errorf("a retired key opens after a look: %v", err)
	}
}

func TestWhichKeysMayBeRetired(t *testing.T) {
	store, c := &memory{}, newClock()
	s := open(t, sealing.Config{Store: store, KEKFile: kekFile(t), Now: c.now})
	if made, err := s.Rotate(t.Context(), "root", sealing.AnyTenant); err != nil || len(made) != 1 || made[0].Tenant != "default" {
		t.Fatalf("%v, %v", made, err)
	}
	sealText(t, s, "acme", "")
	made, err := s.Rotate(t.Context(), "root", sealing.AnyTenant)
	if diff := cmp.Diff([]string{"acme active", "default active"}, states(made)); diff != "" || err != nil {
		t.Fatalf("%v %s", err, diff)
	}
	keys, err := s.List(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	retired, err := s.Retire(t.Context(), "root", keys[1].KID)
	if err != nil || retired.State != sealing.Retired || !retired.RetiredAt.Equal(c.now()) || retired.RetiredAt.Location() != time.UTC {
		t.Errorf("%+v, %v", retired, err)
	}
	for _, r := range store.records {
		if (r.Wrapped == nil) != (r.State == sealing.Retired) {
			t.Errorf("%s has %d bytes", r.State, len(r.Wrapped))
		}
	}
	for kid, want := range map[string]fault.Kind{keys[0].KID: fault.Conflict, keys[1].KID: fault.Conflict, "nonsense": fault.NotFound, "": fault.NotFound} {
		if _, err := s.Retire(t.Context(), "root", kid); kindOf(err) != want {
			t.Errorf("%q: %v, want %v", kid, err, want)
		}
	}
}

func TestAStoreThatIsAwayIsDoneWithoutForAMinute(t *testing.T) {
	store, c := &memory{}, newClock()
	s := open(t, sealing.Config{Store: store, KEKFile: kekFile(t), Now: c.now})
	token := sealText(t, s, "acme", "hello")
	store.away.Store(true)
	for range 60 {
		c.move(time.Second)
		if _, err := s.Open(t.Context(), caller("acme"), sealText(t, s, "acme", ""), 60); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Open(t.Context(), caller("acme"), token[1:], 60); kindOf(err) != fault.Unavailable {
		t.Errorf("a token whose key may be newer: %v", err)
	}
	if _, err := s.Seal(t.Context(), caller("other"), ""); kindOf(err) != fault.Unavailable {
		t.Errorf("a tenant that was never seen: %v", err)
	}
	c.move(time.Second)
	if _, err := s.Open(t.Context(), caller("acme"), token, 3600); kindOf(err) != fault.Unavailable {
		t.Errorf("after a minute: %v", err)
	}
	if _, err := s.Seal(t.Context(), caller("acme"), ""); kindOf(err) != fault.Unavailable {
		t.Errorf("after a minute: %v", err)
	}
	store.away.Store(false)
	c.move(time.Second)
	if _, err := s.Open(t.Context(), caller("acme"), token, 3600); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

func TestTheStoreIsAskedOncePerPoll(t *testing.T) {
	store, c := &memory{}, newClock()
	s := open(t, sealing.Config{Store: store, KEKFile: kekFile(t), Now: c.now})
	sealText(t, s, "acme", "")
	before := store.looks.Load()
	for range 100 {
		sealText(t, s, "acme", "")
	}
	if n := store.looks.Load() - before; n > 0 {
		t.Errorf("asked %d times", n)
	}
	c.move(time.Second)
	for range 100 {
		sealText(t, s, "acme", "")
	}
	if n := store.looks.Load() - before; n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestAKeyEncryptionKeyThatDoesNotOpenWhatIsStoredStopsTheStart(t *testing.T) {
	store, kek := &memory{}, kekFile(t)
	s := open(t, sealing.Config{Store: store, KEKFile: kek})
	sealText(t, s, "acme", "hello")
	refused := func(name string, cfg sealing.Config, want ...string) {
		t.Helper()
		cfg.Store = store
		_, err := sealing.New(t.Context(), cfg)
		for _, word := range append(want, cfg.KEKFile) {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v, want %q", name, err, word)
			}
		}
	}
	secret := make([]byte, seal.KeySize)
	_, _ = rand.Read(secret) // never fails
	other := kekFile(t)
	if err := os.WriteFile(other, []byte(base64.StdEncoding.EncodeToString(secret)), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("another one", sealing.Config{KEKFile: other}, store.records[0].KID, "acme", "ONNXGATE_KEK_FILE")
	lost := kekFile(t)
	refused("a lost one", sealing.Config{KEKFile: lost, MakeKEK: true}, "no such file")
	if _, err := os.Stat(lost); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a key was made in the place of the lost one: %v", err)
	}
	refused("one that is not made", sealing.Config{KEKFile: kekFile(t)}, "no such file or directory; keys in the database")
	if _, err := sealing.New(t.Context(), sealing.Config{Store: &memory{}, KEKFile: lost}); err == nil || !strings.Contains(err.Error(), "rand -base64 32 > "+lost) {
		t.Errorf("where nothing is wrapped yet: %v, want how to make one", err)
	}

	if err := os.Rename(other, kek); err != nil { // the file of the running server
		t.Fatal(err)
	}
	if err := s.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "is not the key-encryption key") {
		t.Errorf("a reload took over another one: %v", err)
	}
	if _, err := s.Rotate(t.Context(), "root", "acme"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), caller("acme"), sealText(t, s, "acme", "hello"), 60); err != nil {
		t.Errorf("the running server does not go on with the old one: %v", err)
	}
	for i := range store.records {
		store.records[i].State = sealing.Retired
	}
	if err := s.Reload(t.Context()); err != nil {
		t.Errorf("with nothing that the old one wrapped: %v", err)
	}
	for i := range store.records {
		store.records[i].State = sealing.Former
	}

	store.records[0].Tenant = "other" // as who can write to the database would
	refused("a key moved to another tenant", sealing.Config{KEKFile: kek}, "does not open")
	store.revision.Add(1)
	if _, err := s.Open(t.Context(), caller("other"), "x", seal.AnyAge); kindOf(err) != fault.Internal {
		t.Errorf("a running server uses it: %v", err)
	}
}

// ledger keeps records until it is full.
type ledger struct {
	records []audit.Record
	full    bool
}

func (l *ledger) Record(_ context.Context, r *audit.Record) error {
	if l.full {
		return fault.New(fault.Unavailable, "The audit log is full")
	}
	l.records = append(l.records, *r)
	return nil
}

func TestEveryUseAndChangeOfAKeyIsOnRecordOrRefused(t *testing.T) {
	log, store := &ledger{}, &memory{}
	s := open(t, sealing.Config{Store: store, KEKFile: kekFile(t), Audit: log})
	// The subject may be that of a user here, too: the issuer tells them apart.
	outsider := caller("acme")
	outsider.Issuer, outsider.Method = "https://idp.example", identity.Outside
	token, err := s.Seal(t.Context(), outsider, "canary")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), caller("acme"), token, 60); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), caller("other"), token, 60); err == nil {
		t.Fatal("opened")
	}
	made, err := s.Rotate(t.Context(), "root", "acme")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := s.List(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Retire(t.Context(), "root", keys[1].KID); err != nil {
		t.Fatal(err)
	}
	user := audit.Record{Actor: "user of acme", Tenant: "acme", Decision: audit.Allow, Outcome: audit.OK}
	create, encrypt, decrypt, refused, rotate, retire := user, user, user, user, user, user
	create.Event, create.Object, create.Issuer, create.Method = "key.create", keys[1].KID, "https://idp.example", "oidc"
	create.Changes = audit.Changes{{What: audit.PropertyState, New: "active"}}
	encrypt.Event, encrypt.Issuer, encrypt.Method = "key.encrypt", "https://idp.example", "oidc"
	decrypt.Event, decrypt.Method = "key.decrypt", "bearer"
	refused.Event, refused.Method, refused.Outcome = "key.decrypt", "bearer", "undecryptable"
	refused.Actor, refused.Tenant = "user of other", "other"
	rotate.Event, rotate.Actor, rotate.Object, rotate.ActorTenant = "key.rotate", "root", made[0].KID, "default"
	rotate.Changes = audit.Changes{{What: audit.PropertyState, New: "active"}}
	retire.Event, retire.Actor, retire.Object, retire.ActorTenant = "key.retire", "root", keys[1].KID, "default"
	retire.Changes = audit.Changes{{What: audit.PropertyState, Old: "former", New: "retired"}}
	if diff := cmp.Diff([]audit.Record{create, encrypt, decrypt, refused, rotate, retire}, log.records, cmpopts.EquateComparable(audit.Rule{}, netip.Addr{})); diff != "" {
		t.Error(diff)
	}

	log.full = true
	before := slices.Clone(store.records)
	for name, err := range map[string]error{
		"seal":       second(s.Seal(t.Context(), caller("acme"), "x")),
		"first seal": second(s.Seal(t.Context(), caller("other"), "x")),
		"open":       second(s.Open(t.Context(), caller("acme"), token, 60)),
		"rotate":     errors.Join(func() error { _, err := s.Rotate(t.Context(), "root", sealing.AnyTenant); return err }()),
	} {
		if kindOf(err) != fault.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
	if diff := cmp.Diff(before, store.records); diff != "" {
		t.Errorf("changed without a record: %s", diff)
	}
}
