package repository

import (
	"context"

	"onnxgate/internal/audit"
	"onnxgate/internal/identity"
	"onnxgate/internal/modelstore"
)

// Rollback has an older version of a model served where none is named, that
// before the present one where to is empty, and returns its number. Faults: those
// of the catalog.
func (s *Service) Rollback(ctx context.Context, p *identity.Principal, model, to string) (serving string, err error) {
	serving, err = s.cfg.Catalog.Rollback(ctx, p, model, to)
	if err != nil {
		return "", err
	}
	return serving, s.record(ctx, p, audit.ModelRollback, modelOf(p, model), serving)
}

// Load serves what the folder of a model holds, also after an Unload. Faults:
// those of the catalog.
func (s *Service) Load(ctx context.Context, p *identity.Principal, model string) error {
	if err := s.cfg.Catalog.Load(ctx, p, model); err != nil {
		return err
	}
	return s.record(ctx, p, audit.ModelLoad, modelOf(p, model), "")
}

// Unload takes a model out of service. Faults: those of the catalog.
func (s *Service) Unload(ctx context.Context, p *identity.Principal, model string) error {
	if err := s.cfg.Catalog.Unload(ctx, p, model); err != nil {
		return err
	}
	return s.record(ctx, p, audit.ModelUnload, modelOf(p, model), "")
}

// record keeps who did what to a model, or to a version of it.
func (s *Service) record(ctx context.Context, p *identity.Principal, event audit.Event, model modelstore.Model, version string) error {
	object := model.Folder()
	if version != "" {
		object += "/" + version
	}
	return s.cfg.Audit.Record(ctx, &audit.Record{
		Event: event, Actor: p.Subject, Tenant: p.Tenant, Method: string(p.Method),
		Object: object, Model: model.Folder(), Version: version, Outcome: audit.OK,
	})
}

// modelOf returns a model of the principal's tenant.
func modelOf(p *identity.Principal, name string) modelstore.Model {
	if p.Tenant == identity.DefaultTenant {
		return modelstore.Model{Name: name}
	}
	return modelstore.Model{Tenant: p.Tenant, Name: name}
}
