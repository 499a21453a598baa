// Package delivery changes the models that are served: a new version or another
// manifest is taken from whoever may write the models of its tenant, tried, put
// on record and only then put into its place.
//
// It must not know what a model is, how one is loaded, or where it is kept.
package delivery

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"sync"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/modelstore"
)

// MaxManifest bounds a manifest, in bytes.
const MaxManifest = modelstore.MaxManifest

// How many changes are under way at a time, in all and of one tenant: who sends
// slowly must not keep the other tenants waiting. One of them compiles.
const (
	allChanges    = 8
	tenantChanges = 2
)

// loadClients is how many tenants are remembered that had models loaded.
const loadClients = 1 << 10

// Catalog serves the models. Its faults are also NotFound.
type Catalog interface {
	// Try returns what would be wrong with a version of a model, or with all that
	// are served of it when it is empty, if the folder of the models were fsys, and
	// whether the version would be served. It changes nothing. Faults: Content, with a line for each reason; Forbidden where
	// a tenant would show it to more tenants than before.
	Try(ctx context.Context, fsys fs.FS, tenant, model, version string) (served bool, err error)
	// Rollback has an older version of a model served where none is named, that
	// before the present one where to is empty, and returns its number. Faults:
	// Content, Conflict, Unavailable.
	Rollback(ctx context.Context, p *identity.Principal, model, to string) (serving string, err error)
	// Remove has a version taken out of the folder by remove, which is told whether it
	// is the last one of the model, after that is on record. Faults: NotFound, Conflict,
	// Unavailable.
	Remove(ctx context.Context, p *identity.Principal, model, version string, remove func(last bool) error) error
	// Load and Unload take a model into service and out of it. Faults: Content.
	Load(ctx context.Context, p *identity.Principal, model string) error
	Unload(ctx context.Context, p *identity.Principal, model string) error
}

// Config is what a Service is made of.
type Config struct {
	// Store is nil where models cannot be written, because they are in the binary.
	Store   *modelstore.Store
	Catalog Catalog
	// Audit keeps a record of every change; nil keeps none.
	Audit audit.Recorder
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Changed is called after a change in the folder of a model, to take it over;
	// nil is nobody.
	Changed func(ctx context.Context, folder string)
}

// Service changes models. It is safe for concurrent use.
type Service struct {
	cfg Config

	mu       sync.Mutex
	byTenant map[string]int // changes under way
	all      int
	// turn has one place: what is tried is put into place before the next is tried
	// beside it.
	turn chan struct{}
	// loads counts loads and unloads, by tenant.
	loads *limit.Table
}

// New returns a Service.
func New(cfg Config) (*Service, error) {
	if cfg.Catalog == nil {
		return nil, errors.New("delivery: a catalog is needed")
	}
	if cfg.Audit == nil {
		cfg.Audit = audit.Discard{}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now //nolint:forbidigo // the default of the injected clock
	}
	return &Service{
		cfg: cfg, byTenant: map[string]int{}, turn: make(chan struct{}, 1),
		loads: limit.NewTable(limit.TableConfig{Policy: "load", Whose: "that load or unload models", Clients: loadClients, Now: cfg.Now}),
	}, nil
}

// Change is what somebody wants: a new version of a model, or another manifest
// for all its versions, or both at once.
type Change struct {
	Model string
	// Version is the number of a new version; empty for none. File is read to its
	// end and must have the SHA-256 Digest.
	Version string
	File    io.Reader
	Digest  [sha256.Size]byte
	// Manifest is a model.yaml; nil for none.
	Manifest []byte
}

// Put makes a change of a model of the principal's tenant. It reports whether the new
// version is served, which the manifest may leave out. Faults: Forbidden for
// a credential that is for other models; Conflict when the version exists, and
// where models cannot be written; NotFound for a manifest of a model that is not
// there; BadRequest for another digest; TooLarge; Content with the reasons when it
// cannot be served; Unavailable when too many are under way; those of File.
func (s *Service) Put(ctx context.Context, p *identity.Principal, c *Change) (served bool, err error) {
	staged, model, err := s.begin(p, c)
	if err != nil {
		return false, err
	}
	if !s.enter(p.Tenant) {
		return false, errors.Join(&fault.Error{
			Kind: fault.Unavailable, RetryAfter: 5 * time.Second, Msg: "other models are being taken in; try again when they are",
		}, staged.Discard())
	}
	defer s.leave(p.Tenant)
	served, err = s.put(ctx, p, c, staged, model)
	if left := staged.Discard(); err == nil && left != nil {
		err = left
	}
	return served, err
}

// enter takes a place among the changes under way, unless there is none.
func (s *Service) enter(tenant string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == allChanges || s.byTenant[tenant] == tenantChanges {
		return false
	}
	s.all++
	s.byTenant[tenant]++
	return true
}

func (s *Service) leave(tenant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.byTenant[tenant]--; s.byTenant[tenant] == 0 {
		delete(s.byTenant, tenant)
	}
}

// begin refuses what can be refused before anything is read.
func (s *Service) begin(p *identity.Principal, c *Change) (*modelstore.Change, modelstore.Model, error) {
	model := modelstore.Model{Tenant: p.Tenant, Name: c.Model}
	if err := (&authz.Request{Principal: p, Model: c.Model}).CheckReach(); err != nil {
		return nil, model, err
	}
	if s.cfg.Store == nil {
		return nil, model, errNoFolder()
	}
	staged, err := s.cfg.Store.Begin(model)
	if err != nil {
		return nil, model, err
	}
	switch {
	case c.Version != "":
		err = staged.Free(c.Version)
	case staged.New():
		err = fault.New(fault.NotFound, "there is no such model: push a version of it first")
	}
	if err != nil {
		return nil, model, errors.Join(err, staged.Discard())
	}
	return staged, model, nil
}

func (s *Service) put(ctx context.Context, p *identity.Principal, c *Change, staged *modelstore.Change, model modelstore.Model) (served bool, err error) {
	event, digest, err := stage(c, staged)
	if err != nil {
		return false, err
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return false, fault.OfContext(ctx.Err())
	}
	if served, err = s.try(ctx, p, c, staged.FS()); err != nil {
		return false, err
	}
	if err := s.record(ctx, p, event, model, c, digest); err != nil {
		return false, err
	}
	err = staged.Commit()
	if err == nil && s.cfg.Changed != nil {
		s.cfg.Changed(ctx, model.Folder())
	}
	return served, err
}

// stage puts what is new aside, and returns what it is, with its digest.
func stage(c *Change, staged *modelstore.Change) (event audit.Event, digest string, err error) {
	event = audit.ModelManifest
	if c.Version != "" {
		if err := staged.AddVersion(c.Version, c.File, c.Digest); err != nil {
			return event, "", err
		}
		event, digest = audit.ModelPush, hex.EncodeToString(c.Digest[:])
	}
	if c.Manifest != nil {
		err = staged.SetManifest(bytes.NewReader(c.Manifest))
	}
	return event, digest, err
}

// try compiles and checks what is to be served.
func (s *Service) try(ctx context.Context, p *identity.Principal, c *Change, fsys fs.FS) (served bool, err error) {
	if c.Manifest != nil {
		if _, err := s.cfg.Catalog.Try(ctx, fsys, p.Tenant, c.Model, ""); err != nil {
			return false, err
		}
	}
	if c.Version != "" {
		if served, err = s.cfg.Catalog.Try(ctx, fsys, p.Tenant, c.Model, c.Version); err != nil {
			return false, err
		}
	}
	return served, ctx.Err() // who asked has gone
}
