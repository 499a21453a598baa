package app

import (
	"context"
	"errors"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/config"
	"onnxgate/internal/delivery"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/modelstore"
)

// PushModel makes a change in the models folder, for a command that works beside
// the server, with the checks of the server. It reports whether the new version is
// one of those that are served. The actor is who runs it.
func PushModel(ctx context.Context, cfg *config.Config, actor string, change *delivery.Change) (served bool, err error) {
	if cfg.ModelsDir == "" {
		return false, fault.New(fault.Conflict, "there is no folder to put the model in: name it with --models or ONNXGATE_MODELS_DIR, or a server with --server")
	}
	folder, err := modelstore.Open(modelstore.Config{Dir: cfg.ModelsDir, MaxBytes: cfg.MaxModel})
	if err != nil {
		return false, err
	}
	tenants := &laterAccounts{cfg: cfg}
	defer func() { err = errors.Join(err, tenants.close()) }()
	catalog, err := inference.NewOf(ctx, oneModel(cfg, nil, tenants.exists), identity.DefaultTenant, change.Model)
	if err != nil {
		return false, errors.Join(err, folder.Close())
	}
	kept := commandRecordsOf(cfg)
	service, err := delivery.New(delivery.Config{Store: folder, Catalog: catalog, Audit: kept})
	if err == nil {
		served, err = service.Put(ctx, localPrincipal(actor), change)
	}
	return served, errors.Join(err, kept.Close(), folder.Close())
}

// RollbackModel has an older version of a model of the default tenant served where
// none is named, for a command that works beside the server. It returns the
// version.
func RollbackModel(ctx context.Context, cfg *config.Config, actor, model, to string) (serving string, err error) {
	err = withCatalog(ctx, cfg, model, func(catalog *inference.Catalog, _ audit.Recorder) (err error) {
		serving, err = catalog.Rollback(ctx, localPrincipal(actor), model, to)
		if err != nil && fault.KindOf(err) == fault.NotFound {
			return fault.Newf(fault.NotFound, "there is no model %s in %s", model, cfg.ModelsDir)
		}
		return err
	})
	return serving, err
}

// RemoveModel removes a version of a model of the default tenant that is not in use,
// for a command that works beside the server.
func RemoveModel(ctx context.Context, cfg *config.Config, actor, model, version string) error {
	return withCatalog(ctx, cfg, model, func(catalog *inference.Catalog, kept audit.Recorder) error {
		folder, err := modelstore.Open(modelstore.Config{Dir: cfg.ModelsDir})
		if err != nil {
			return err
		}
		service, err := delivery.New(delivery.Config{Store: folder, Catalog: catalog, Audit: kept})
		if err == nil {
			err = service.Remove(ctx, localPrincipal(actor), model, version)
		}
		if err != nil && fault.KindOf(err) == fault.NotFound {
			err = fault.Newf(fault.NotFound, "there is no version %s of a model %s in %s", version, model, cfg.ModelsDir)
		}
		return errors.Join(err, folder.Close())
	})
}

// withCatalog calls do with a catalog of one model of the default tenant, which knows
// what was rolled back and keeps records.
func withCatalog(ctx context.Context, cfg *config.Config, model string, do func(*inference.Catalog, audit.Recorder) error) (err error) {
	if cfg.ModelsDir == "" {
		return fault.New(fault.Conflict, "there is no folder to find the model in: name the server's with --models or ONNXGATE_MODELS_DIR, or a server with --server")
	}
	if err := HasAccounts(cfg); err != nil {
		return err
	}
	store, done, err := openForCommand(ctx, cfg)
	if err != nil {
		return err
	}
	kept := &commandRecords{cfg: cfg, ready: makeKEK(ctx, cfg, store)}
	tenants := &laterAccounts{cfg: cfg}
	defer func() { err = errors.Join(err, kept.Close(), tenants.close(), done()) }()
	settings := oneModel(cfg, store.ModelPins(), tenants.exists)
	settings.Audit = kept
	catalog, err := inference.NewOf(ctx, settings, identity.DefaultTenant, model)
	if err != nil {
		return err
	}
	return do(catalog, kept)
}

func localPrincipal(actor string) *identity.Principal {
	return &identity.Principal{Subject: actor, Tenant: identity.DefaultTenant}
}

// oneModel is what a catalog of one model of the default tenant is made of. It has
// the bounds of the server.
func oneModel(cfg *config.Config, pins inference.Pins, exists existence) inference.Config {
	engines := NewEngines(cfg.ORTLibrary, 1)
	return inference.Config{
		FS: modelFiles(cfg), Compile: engines.Compile, DefaultModel: cfg.DefaultModel, Pins: pins, Now: time.Now,
		MaxMemory: modelsMemory(cfg), MaxTenantMemory: cfg.TenantModelsMemory, TenantExists: exists,
	}
}
