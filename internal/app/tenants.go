package app

import (
	"context"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/inference"
	"onnxgate/internal/modelstore"
	"onnxgate/internal/treewatch"
)

// tenantsPoll is how often the folders of tenants are compared with the tenants
// there are, when the accounts have changed.
const tenantsPoll = 250 * time.Millisecond

// followTenants loads the models of a tenant that is made, and ends those of one
// that is deleted, by whichever process, until ctx ends.
func (a *App) followTenants(ctx context.Context, folders fs.FS) {
	ticker := time.NewTicker(tenantsPoll)
	defer ticker.Stop()
	last, known := a.catalog.Tenants(), int64(0)
	var pins []inference.Pin
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-a.changes.tenantsMoved():
		}
		revision, err := a.accounts.Revision(ctx)
		if err != nil || revision == known {
			continue
		}
		a.countTenants(ctx)
		a.forgetCallers(ctx)
		present, err := a.tenantsWithFolders(ctx, folders)
		if err != nil {
			continue // the next turn asks again
		}
		now, err := a.store.ModelPins().All(ctx)
		if err != nil {
			continue
		}
		known = revision
		if !slices.Equal(now, pins) {
			pins = now
			a.lookAtModels(ctx, treewatch.Settled) // another server, or a command, rolled one back
		}
		if slices.Equal(present, last) {
			continue
		}
		last = present
		a.reloadForTenants(ctx)
	}
}

// countTenants notes whether there is one tenant alone, which then shares with
// nobody.
func (a *App) countTenants(ctx context.Context) {
	some, err := a.accounts.Tenants(ctx, accounts.Page{Limit: 2})
	a.oneTenant.Store(err == nil && len(some) < 2)
}

// forgetCallers has the models that are shared forget what tenants did that there are
// no more, so that one made again under the name of another does not see it.
func (a *App) forgetCallers(ctx context.Context) {
	asked := map[string]time.Time{} // when they were made; zero for those that there are not
	a.catalog.ForgetCallers(func(name string, since time.Time) bool {
		made, known := asked[name]
		if !known {
			t, err := a.accounts.FindTenant(ctx, name)
			if err != nil && fault.KindOf(err) != fault.NotFound {
				return false // the next change asks again
			}
			if err == nil {
				made = t.CreatedAt
			}
			asked[name] = made
		}
		return made.IsZero() || made.After(since)
	})
}

// tenantsWithFolders returns the tenants there are that have a folder of models,
// in the order of their names.
func (a *App) tenantsWithFolders(ctx context.Context, folders fs.FS) ([]string, error) {
	entries, err := fs.ReadDir(folders, ".")
	if err != nil {
		return nil, err
	}
	var present []string
	for _, entry := range entries {
		tenant, marked := strings.CutPrefix(entry.Name(), modelstore.TenantMark)
		if !marked {
			continue
		}
		exists, err := tenantExists(ctx, a.accounts, tenant)
		if err != nil {
			return nil, err
		}
		if exists {
			present = append(present, tenant)
		}
	}
	return present, nil
}

func (a *App) reloadForTenants(ctx context.Context) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	if !a.draining.Load() {
		a.log.LogAttrs(ctx, slog.LevelInfo, "tenants with models changed", a.reloadModels(ctx)...)
	}
}
