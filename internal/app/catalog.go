package app

import (
	"context"
	"io/fs"
	"os"
	"runtime"
	"time"

	"onnxgate/internal/config"
	"onnxgate/internal/inference"
	"onnxgate/models"
)

// openCatalog asks for a tenant once the accounts are open.
func (a *App) openCatalog(ctx context.Context, accounts func() error) (err error) {
	a.catalog, err = newCatalog(ctx, a.cfg, inference.Config{
		Observer: a.observe, Admit: a.admit, Audit: a.predictions(), InputHash: a.inputHash(), Pins: &storedPins{app: a, opened: accounts},
		TenantExists: func(ctx context.Context, name string) (bool, error) {
			if err := accounts(); err != nil {
				return false, err
			}
			return tenantExists(ctx, a.accounts, name)
		},
	})
	return err
}

// newCatalog reads the models of the configuration. What asks for them, and is told
// of them, comes with the caller.
func newCatalog(ctx context.Context, cfg *config.Config, with inference.Config) (*inference.Catalog, error) {
	// A large batch leaves one processor to the requests that come meanwhile.
	engines := NewEngines(cfg.ORTLibrary, runtime.GOMAXPROCS(0)-1)
	with.FS, with.Compile, with.DefaultModel = modelFiles(cfg), engines.Compile, cfg.DefaultModel
	with.SkipBad, with.MaxMemory, with.Now = cfg.SkipBadModels, modelsMemory(cfg), time.Now
	with.MaxTenantMemory = cfg.TenantModelsMemory
	return inference.New(ctx, with)
}

func modelFiles(cfg *config.Config) fs.FS {
	if cfg.ModelsDir != "" {
		return os.DirFS(cfg.ModelsDir)
	}
	return models.FS
}

// observe counts the predictions of one version of a model.
func (a *App) observe(model, version string) inference.Observe {
	m := a.metrics.Model(model, version)
	return func(tenant string, rows int, took time.Duration, err error) {
		if err == nil {
			m.Observe(rows, took)
			a.metrics.Tenant(tenant).Predicted(rows, took)
		}
	}
}

// storedPins are the pins of the store, once it is open.
type storedPins struct {
	app    *App
	opened func() error
}

// All returns the pins of every tenant; none where the store cannot be opened,
// which ends the start.
func (p *storedPins) All(ctx context.Context) ([]inference.Pin, error) {
	if p.opened() != nil {
		return nil, nil //nolint:nilerr // told once, by the part of the start that it ends
	}
	return p.app.store.ModelPins().All(ctx)
}

// Put keeps a pin.
func (p *storedPins) Put(ctx context.Context, pin inference.Pin) error {
	if err := p.opened(); err != nil {
		return err
	}
	return p.app.store.ModelPins().Put(ctx, pin)
}

// Delete removes a pin.
func (p *storedPins) Delete(ctx context.Context, tenant, folder string) error {
	if err := p.opened(); err != nil {
		return err
	}
	return p.app.store.ModelPins().Delete(ctx, tenant, folder)
}

// CheckModels loads every model of a models folder as a server would, and runs
// the tests beside them, without a server: its error names each model that one
// would not serve, with the reason. Any tenant may have models; whether there
// is such a one, the server that gets them knows.
func CheckModels(ctx context.Context, fsys fs.FS) (*inference.Catalog, error) {
	return inference.New(ctx, inference.Config{
		FS: fsys, Compile: NewEngines("", runtime.GOMAXPROCS(0)).Compile, Now: time.Now,
		TenantExists: func(context.Context, string) (bool, error) { return true, nil },
	})
}
