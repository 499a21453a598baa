package delivery_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"onnxgate/internal/delivery"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/modelstore"
)

// trying is a catalog that takes its time to try a change, and notices a second
// one that is tried meanwhile.
type trying struct {
	delivery.Catalog

	now     atomic.Int32
	overlap atomic.Bool
}

func (c *trying) Try(context.Context, fs.FS, string, string, string) (bool, error) {
	if c.now.Add(1) > 1 {
		c.overlap.Store(true)
	}
	time.Sleep(5 * time.Millisecond)
	c.now.Add(-1)
	return true, nil
}

func newService(t *testing.T, catalog delivery.Catalog) *delivery.Service {
	t.Helper()
	store, err := modelstore.Open(modelstore.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	service, err := delivery.New(delivery.Config{Store: store, Catalog: catalog})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

func owner(tenant string) *identity.Principal {
	return &identity.Principal{Subject: "owner", Tenant: tenant, Roles: []string{"owner"}, Method: identity.Bearer}
}

// push makes version 1 of a model.
func push(ctx context.Context, s *delivery.Service, tenant, model string, file io.Reader) error {
	_, err := s.Put(ctx, owner(tenant), &delivery.Change{Model: model, Version: "1", File: file, Digest: sha256.Sum256([]byte("model"))})
	return err
}

func TestWhoSendsSlowlyKeepsNoOtherTenantWaiting(t *testing.T) {
	s := newService(t, &trying{})
	ended := make(chan error, 2)
	var slow []*io.PipeWriter
	for i := range 2 {
		r, w := io.Pipe()
		slow = append(slow, w)
		go func() { ended <- push(t.Context(), s, "acme", "m"+strconv.Itoa(i), r) }()
		if _, err := w.Write([]byte("mod")); err != nil { // which is read: the place is taken
			t.Fatal(err)
		}
	}
	if err := push(t.Context(), s, "acme", "third", bytes.NewReader([]byte("model"))); fault.KindOf(err) != fault.Unavailable || fault.As(err).RetryAfter <= 0 {
		t.Errorf("a third change of one tenant: %v", err)
	}
	if err := push(t.Context(), s, "globex", "m", bytes.NewReader([]byte("model"))); err != nil {
		t.Errorf("another tenant waits: %v", err)
	}
	for _, w := range slow {
		if _, err := w.Write([]byte("el")); err != nil {
			t.Fatal(err)
		}
		_ = w.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if err := push(t.Context(), s, "acme", "third", bytes.NewReader([]byte("model"))); err != nil {
		t.Errorf("the places are not free again: %v", err)
	}
}

func TestWhatIsTriedIsInPlaceBeforeTheNextIsTried(t *testing.T) {
	catalog := &trying{}
	s := newService(t, catalog)
	const changes = 8
	ended := make(chan error, changes)
	for i := range changes {
		go func() {
			ended <- push(t.Context(), s, "t"+strconv.Itoa(i), "m", bytes.NewReader([]byte("model")))
		}()
	}
	for range changes {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if catalog.overlap.Load() {
		t.Error("two changes were tried at the same time, each without the other")
	}
}

// steady is a catalog that loads and unloads everything.
type steady struct{ delivery.Catalog }

func (steady) Load(context.Context, *identity.Principal, string) error   { return nil }
func (steady) Unload(context.Context, *identity.Principal, string) error { return nil }

func TestLoadsOfATenantHaveARate(t *testing.T) {
	now := time.Unix(1_000, 0)
	s, err := delivery.New(delivery.Config{Catalog: steady{}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		if err := errors.Join(s.Unload(t.Context(), owner("acme"), "m"), s.Load(t.Context(), owner("acme"), "m")); err != nil {
			t.Fatal(err)
		}
	}
	refused := s.Load(t.Context(), owner("acme"), "m")
	if f := fault.As(refused); fault.KindOf(refused) != fault.RateLimited || f.RetryAfter <= 0 {
		t.Fatalf("the 61st load in a minute: %v", refused)
	}
	if err := s.Unload(t.Context(), owner("acme"), "m"); fault.KindOf(err) != fault.RateLimited {
		t.Errorf("an unload beyond the rate: %v", err)
	}
	if err := s.Load(t.Context(), owner("globex"), "m"); err != nil {
		t.Errorf("another tenant waits: %v", err)
	}
	now = now.Add(fault.As(refused).RetryAfter)
	if err := s.Load(t.Context(), owner("acme"), "m"); err != nil {
		t.Errorf("after the wait that was asked for: %v", err)
	}
}

func TestWhoGoesAwayWhileAnotherIsTriedIsToldSo(t *testing.T) {
	s := newService(t, &trying{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := push(ctx, s, "acme", "m", bytes.NewReader([]byte("model")))
	if kind := fault.KindOf(err); kind != fault.Canceled && fault.Classify(err).Kind != fault.Canceled {
		t.Errorf("%v", err)
	}
}
