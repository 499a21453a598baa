package delivery

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/modelstore"
)

// Rollback has an older version of a model served where none is named, that
// before the present one where to is empty, and returns its number. Faults: those
// of the catalog, which puts it on record.
func (s *Service) Rollback(ctx context.Context, p *identity.Principal, model, to string) (serving string, err error) {
	return s.cfg.Catalog.Rollback(ctx, p, model, to)
}

// Remove removes a version of a model that is not in use; with the last one the
// model goes. Its number is free again, as after a removal by hand. Faults: NotFound
// when there is no such model or version; Conflict where it is in use, which says what
// to do first, or where models cannot be written; Unavailable.
func (s *Service) Remove(ctx context.Context, p *identity.Principal, model, version string) error {
	if err := (&authz.Request{Principal: p, Model: model}).CheckReach(); err != nil {
		return err
	}
	if s.cfg.Store == nil {
		return errNoFolder()
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return fault.OfContext(ctx.Err())
	}
	m := modelstore.Model{Tenant: p.Tenant, Name: model}
	err := s.cfg.Catalog.Remove(ctx, p, model, version, func(last bool) error {
		if last {
			return s.cfg.Store.Remove(m, "")
		}
		return s.cfg.Store.Remove(m, version)
	})
	if err == nil && s.cfg.Changed != nil {
		s.cfg.Changed(ctx, m.Folder())
	}
	return err
}

// errNoFolder is for a server whose models are in its binary.
func errNoFolder() error {
	return fault.New(fault.Conflict, "the models of this server are in its binary: name a folder for models with ONNXGATE_MODELS_DIR")
}

// loadRates bound how often a tenant has models loaded and unloaded: a load
// compiles every version, and no other change goes on meanwhile.
var loadRates = identity.Rates{{Requests: 60, Window: time.Minute}} // read only

// takeLoad counts a load or an unload. The fault is RateLimited.
func (s *Service) takeLoad(ctx context.Context, p *identity.Principal) error {
	return limit.Take(ctx, limit.Demand{Table: s.loads, Key: p.Tenant, Rates: loadRates, N: 1})
}

// Load serves what the folder of a model holds, also after an Unload. Faults:
// RateLimited, those of the catalog, which puts it on record.
func (s *Service) Load(ctx context.Context, p *identity.Principal, model string) error {
	if err := s.takeLoad(ctx, p); err != nil {
		return err
	}
	return s.cfg.Catalog.Load(ctx, p, model)
}

// Unload takes a model out of service. Faults: RateLimited, those of the catalog,
// which puts it on record.
func (s *Service) Unload(ctx context.Context, p *identity.Principal, model string) error {
	if err := s.takeLoad(ctx, p); err != nil {
		return err
	}
	return s.cfg.Catalog.Unload(ctx, p, model)
}

// record keeps who is about to change a model, or to add the version of that
// digest to it.
func (s *Service) record(ctx context.Context, p *identity.Principal, event audit.Event, model modelstore.Model, c *Change, digest string) error {
	object := model.Folder()
	if c.Version != "" {
		object += "/" + c.Version
	}
	rec := &audit.Record{
		Event: event, Object: object, Model: model.Folder(), Version: c.Version, Digest: digest, Decision: audit.Allow, Outcome: audit.OK,
	}
	if c.Manifest != nil {
		sum := sha256.Sum256(c.Manifest)
		rec.Changes.Text(audit.PropertyManifest, "", hex.EncodeToString(sum[:]))
	}
	rec.By(p)
	return s.cfg.Audit.Record(ctx, rec)
}
