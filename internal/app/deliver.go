package app

import (
	"context"
	"errors"
	"time"

	"onnxgate/internal/config"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/modelstore"
	"onnxgate/internal/repository"
	"onnxgate/internal/sqlstore"
)

// PushModel makes a change in the models folder, for a command that works beside
// the server, with the checks of the server. The actor is who runs it.
func PushModel(ctx context.Context, cfg *config.Config, actor string, change *repository.Change) error {
	if cfg.ModelsDir == "" {
		return fault.New(fault.Conflict, "there is no folder to put the model in: name it with --models or ONNXGATE_MODELS_DIR, or a server with --server")
	}
	folder, err := modelstore.Open(modelstore.Config{Dir: cfg.ModelsDir, MaxBytes: cfg.MaxModel})
	if err != nil {
		return err
	}
	catalog, err := inference.NewOf(ctx, oneModel(cfg, nil), identity.DefaultTenant, change.Model)
	if err != nil {
		return errors.Join(err, folder.Close())
	}
	kept := commandRecordsOf(cfg)
	service, err := repository.New(repository.Config{Store: folder, Catalog: catalog, Audit: kept})
	if err == nil {
		err = service.Put(ctx, localPrincipal(actor), change)
	}
	return errors.Join(err, kept.Close(), folder.Close())
}

// RollbackModel has an older version of a model of the default tenant served where
// none is named, for a command that works beside the server. It returns the
// version.
func RollbackModel(ctx context.Context, cfg *config.Config, actor, model, to string) (serving string, err error) {
	if cfg.ModelsDir == "" {
		return "", fault.New(fault.Conflict, "there is no folder to find the model in: name the server's with --models or ONNXGATE_MODELS_DIR, or a server with --server")
	}
	if err := HasAccounts(cfg); err != nil {
		return "", err
	}
	store, err := sqlstore.Open(ctx, database(cfg))
	if err != nil {
		return "", err
	}
	kept := &commandRecords{cfg: cfg, ready: makeKEK(ctx, cfg, store)}
	defer func() { err = errors.Join(err, kept.Close(), store.Close()) }()
	settings := oneModel(cfg, store.ModelPins())
	settings.Audit = kept
	catalog, err := inference.NewOf(ctx, settings, identity.DefaultTenant, model)
	if err != nil {
		return "", err
	}
	serving, err = catalog.Rollback(ctx, localPrincipal(actor), model, to)
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return "", fault.Newf(fault.NotFound, "there is no model %s in %s", model, cfg.ModelsDir)
	}
	return serving, err
}

func localPrincipal(actor string) *identity.Principal {
	return &identity.Principal{Subject: actor, Tenant: identity.DefaultTenant}
}

// oneModel is what a catalog of one model of the default tenant is made of.
func oneModel(cfg *config.Config, pins inference.Pins) inference.Config {
	engines := NewEngines(cfg.ORTLibrary, 1)
	return inference.Config{FS: modelFiles(cfg), Compile: engines.Compile, DefaultModel: cfg.DefaultModel, Pins: pins, Now: time.Now}
}
