package cli

import (
	"context"
	"fmt"

	"onnxgate/internal/app"
	"onnxgate/internal/config"
	"onnxgate/internal/sealing"
)

// openKEK opens what the key-encryption key wraps.
func openKEK(ctx context.Context, cfg *config.Config) (*keyring, error) {
	service, done, err := app.OpenSealing(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &keyring{
		list: func(_ context.Context, tenant string) ([]keyView, error) { return listKEK(cfg, tenant) },
		rotate: func(ctx context.Context, tenant string) ([]keyView, error) {
			if tenant != sealing.AnyTenant {
				return nil, usagef("tenants do not have their own key-encryption keys; leave out --tenant")
			}
			return rotateKEK(ctx, cfg, service)
		},
		close: done,
	}, nil
}

// listKEK returns the keys of the file, which belong to no tenant.
func listKEK(cfg *config.Config, tenant string) ([]keyView, error) {
	if tenant != sealing.AnyTenant {
		return nil, nil
	}
	file, err := app.ReadKEKFile(cfg)
	if err != nil {
		return nil, err
	}
	return kekViews(file), nil
}

func kekViews(file *app.KEKFile) []keyView {
	views := make([]keyView, len(file.Fingerprints))
	for i, kid := range file.Fingerprints {
		state := sealing.Active
		if i > 0 {
			state = sealing.Former
		}
		views[i] = keyView{KID: kid, Use: useKEK, Alg: "A256GCM", State: string(state), Created: &file.Written}
	}
	return views
}

// rotateKEK makes the new key where the server made the former one. A file that the
// operator named, or gave to several servers, is the operator's to change.
func rotateKEK(ctx context.Context, cfg *config.Config, service *sealing.Service) ([]keyView, error) {
	own, err := app.OwnKEK(ctx, cfg)
	if err != nil {
		return nil, err
	}
	done, err := service.RotateKEK(ctx, localActor().Name, own)
	if err != nil {
		return nil, err
	}
	file, err := app.ReadKEKFile(cfg)
	if err != nil {
		return nil, err
	}
	views := kekViews(file)
	views[0].Note = rotatedNote(cfg, file, &done, own)
	return views, nil
}

// rotatedNote says what was done, and what became of the former key, or who still
// needs it.
func rotatedNote(cfg *config.Config, file *app.KEKFile, done *sealing.KEKRotation, own bool) string {
	what := fmt.Sprintf("Keys rewrapped: %d.", done.Wrapped)
	switch {
	case done.Nothing:
		what = "Nothing to do."
	case done.Resumed:
		what += " A rotation already under way was finished; no new key was made."
	}
	what += fmt.Sprintf(" Nothing in the database or in the audit log of %s is wrapped under the old key any more", cfg.DataDir)
	if own && !done.Nothing {
		return what + ", which is gone: back up " + file.Path + "."
	}
	return fmt.Sprintf("%s: once this is done for every data directory with an audit log, remove the second line of %s on every machine.", what, file.Path)
}
