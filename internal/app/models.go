package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"onnxgate/internal/delivery"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/modelstore"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/treewatch"
)

// openDelivery opens the folder of the models for writing, where there is one.
func (a *App) openDelivery() (err error) {
	if a.cfg.ModelsDir != "" {
		a.folder, err = modelstore.Open(modelstore.Config{Dir: a.cfg.ModelsDir, MaxBytes: a.cfg.MaxModel, Tenant: modelstore.Bounds{MaxBytes: tenantFiles(a.cfg)}})
		if err != nil {
			return err
		}
	}
	a.delivery, err = delivery.New(delivery.Config{
		Store: a.folder, Catalog: changing{a.catalog, a}, Audit: records{a},
		Changed: func(ctx context.Context, folder string) {
			// What the server does then is not what the client has asked for: it has records of
			// its own, and is done although the client may have gone.
			a.lookAtModels(reqctx.With(context.WithoutCancel(ctx), &reqctx.Info{}), treewatch.Settled, folder)
		},
	})
	return err
}

// changing is the catalog as clients change it: never while a look at the folder is under
// way, so that what is logged and put on record of a look is what that has changed.
type changing struct {
	*inference.Catalog

	app *App
}

// Rollback has another version served where none is named.
func (c changing) Rollback(ctx context.Context, p *identity.Principal, model, to string) (serving string, err error) {
	err = c.alone(func() error {
		serving, err = c.Catalog.Rollback(ctx, p, model, to)
		return err
	})
	return serving, err
}

// Remove has a version taken out of the folder.
func (c changing) Remove(ctx context.Context, p *identity.Principal, model, version string, remove func(last bool) error) error {
	return c.alone(func() error { return c.Catalog.Remove(ctx, p, model, version, remove) })
}

// Load takes a model into service.
func (c changing) Load(ctx context.Context, p *identity.Principal, model string) error {
	return c.alone(func() error { return c.Catalog.Load(ctx, p, model) })
}

// Unload takes a model out of service.
func (c changing) Unload(ctx context.Context, p *identity.Principal, model string) error {
	return c.alone(func() error { return c.Catalog.Unload(ctx, p, model) })
}

func (c changing) alone(change func() error) error {
	c.app.reloading.Lock()
	defer c.app.reloading.Unlock()
	return change()
}

// modelDepth is how many levels of folders models are in: @TENANT/NAME/VERSION.
const modelDepth = 3

// watchModels takes over what changes in the folder of the models, until ctx ends.
func (a *App) watchModels(ctx context.Context, dir string) {
	treewatch.Watch(ctx, treewatch.Config{
		Dir: dir, Depth: modelDepth,
		Changed: func(cause treewatch.Cause) { a.lookAtModels(ctx, cause) },
		Degraded: func(err error) {
			a.log.WarnContext(ctx, "not every change in the models folder is notified: checking it once a minute",
				slog.String("folder", dir), slog.Any("error", err))
		},
	})
}

// modelLog is what the log was told about models; guarded by App.reloading.
type modelLog struct {
	// pending are problems of what was still being written.
	pending []inference.LoadError
	// unreadable is why the folder could not be read, empty when it could.
	unreadable string
}

// lookAtModels looks at folders of models, or at all when none is named, and logs
// what is new.
func (a *App) lookAtModels(ctx context.Context, cause treewatch.Cause, folders ...string) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	if a.draining.Load() {
		return
	}
	before := a.defaultModel()
	if err := a.reloadCatalog(ctx, folders...); err != nil {
		if text := err.Error(); text != a.modelLog.unreadable {
			a.modelLog.unreadable = text
			a.log.ErrorContext(ctx, "all models stay as they were", slog.Any("error", err))
		}
		return
	}
	a.modelLog.unreadable = ""
	found := a.catalog.Found()
	if cause == treewatch.Ongoing {
		a.modelLog.pending = a.remaining(append(a.modelLog.pending, found...))
		a.countReload(false)
	} else {
		a.logProblems(ctx, a.remaining(append(a.modelLog.pending, found...)))
		a.modelLog.pending = nil
	}
	if attrs := a.logChanges(ctx, before); len(attrs) > 0 {
		a.log.LogAttrs(ctx, slog.LevelInfo, "models changed", attrs...)
	}
}

// reloadCatalog returns an error when nothing could be looked at.
func (a *App) reloadCatalog(ctx context.Context, folders ...string) error {
	err := a.catalog.Reload(ctx, folders...)
	if _, ofModels := errors.AsType[inference.LoadError](err); ofModels {
		err = nil
	}
	if err != nil {
		a.metrics.Reloaded(false)
	}
	return a.reloads.note(modelsPart, err)
}

// remaining returns, of the problems that were found, those that there still are, each
// once.
func (a *App) remaining(found []inference.LoadError) []inference.LoadError {
	texts := make(map[string]bool, len(found))
	for _, f := range found {
		texts[f.Error()] = true
	}
	return slices.DeleteFunc(a.catalog.Problems(), func(p inference.LoadError) bool { return !texts[p.Error()] })
}

// logProblems logs why models are not taken over.
func (a *App) logProblems(ctx context.Context, problems []inference.LoadError) {
	for _, p := range problems {
		a.log.ErrorContext(ctx, "model not taken over", slog.String("error", p.Error()))
	}
	a.countReload(len(problems) > 0)
}

// countReload counts a look that found something changed.
func (a *App) countReload(bad bool) {
	if c := a.catalog.Changes(); bad || len(c.Added)+len(c.Removed)+len(c.Replaced) > 0 {
		a.metrics.Reloaded(!bad)
	}
}

// logChanges logs what the engine finds odd about what changed, and returns what
// did. before is the default model that there was.
func (a *App) logChanges(ctx context.Context, before string) []slog.Attr {
	changes := a.catalog.Changes()
	a.recordModels(ctx, slices.Concat(changes.Added, changes.Replaced), changes.Removed)
	for _, w := range a.modelWarnings(ctx) {
		if at := w.Model + "/" + w.Version; slices.Contains(changes.Added, at) || slices.Contains(changes.Replaced, at) {
			a.log.WarnContext(ctx, "model warning", slog.String("model", w.Model), slog.String("version", w.Version), slog.String("detail", w.Text))
		}
	}
	if before != "" && a.defaultModel() == "" {
		a.log.WarnContext(ctx, "POST /predict no longer has a model; choose one with ONNXGATE_DEFAULT_MODEL and restart", slog.String("before", before))
	}
	var attrs []slog.Attr
	for _, list := range []struct {
		name     string
		versions []string
	}{{"added", changes.Added}, {"removed", changes.Removed}, {"replaced", changes.Replaced}} {
		if len(list.versions) > 0 {
			attrs = append(attrs, slog.Any("models_"+list.name, list.versions))
		}
	}
	return attrs
}

// reloadModels looks at all models for an operator who asked for it, and returns
// what changed, for the log.
func (a *App) reloadModels(ctx context.Context) []slog.Attr {
	before := a.defaultModel()
	if err := a.reloadCatalog(ctx); err != nil {
		a.log.ErrorContext(ctx, "all models stay as they were", slog.Any("error", err))
		return nil
	}
	a.modelLog = modelLog{}
	a.logProblems(ctx, a.catalog.Problems())
	attrs := a.logChanges(ctx, before)
	if kept := a.catalog.Changes().Kept; len(kept) > 0 {
		attrs = append(attrs, slog.Any("models_kept", kept))
	}
	return attrs
}
