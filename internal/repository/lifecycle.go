package repository

import (
	"context"

	"onnxgate/internal/audit"
	"onnxgate/internal/identity"
	"onnxgate/internal/modelstore"
)

// Rollback has an older version of a model served where none is named, that
// before the present one where to is empty, and returns its number. Faults: those
// of the catalog, which puts it on record.
func (s *Service) Rollback(ctx context.Context, p *identity.Principal, model, to string) (serving string, err error) {
	return s.cfg.Catalog.Rollback(ctx, p, model, to)
}

// Load serves what the folder of a model holds, also after an Unload. Faults:
// those of the catalog, which puts it on record.
func (s *Service) Load(ctx context.Context, p *identity.Principal, model string) error {
	return s.cfg.Catalog.Load(ctx, p, model)
}

// Unload takes a model out of service. Faults: those of the catalog, which puts it
// on record.
func (s *Service) Unload(ctx context.Context, p *identity.Principal, model string) error {
	return s.cfg.Catalog.Unload(ctx, p, model)
}

// record keeps who is about to change a model, or to add the version of that
// digest to it.
func (s *Service) record(ctx context.Context, p *identity.Principal, event audit.Event, model modelstore.Model, version, digest string) error {
	object := model.Folder()
	if version != "" {
		object += "/" + version
	}
	rec := &audit.Record{
		Event: event, Object: object, Model: model.Folder(), Version: version, Digest: digest, Decision: audit.Allow, Outcome: audit.OK,
	}
	rec.By(p)
	return s.cfg.Audit.Record(ctx, rec)
}

// modelOf returns a model of the principal's tenant.
func modelOf(p *identity.Principal, name string) modelstore.Model {
	if p.Tenant == identity.DefaultTenant {
		return modelstore.Model{Name: name}
	}
	return modelstore.Model{Tenant: p.Tenant, Name: name}
}
