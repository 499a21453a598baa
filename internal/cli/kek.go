package cli

import (
	"context"
	"fmt"

	"onnxgate/internal/app"
	"onnxgate/internal/config"
	"onnxgate/internal/fault"
	"onnxgate/internal/sealing"
)

// openKEK opens what the key-encryption key wraps.
func openKEK(ctx context.Context, cfg *config.Config) (*keyring, error) {
	service, done, err := app.OpenSealing(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &keyring{
		rotate: func(ctx context.Context, tenant string) ([]keyView, error) {
			if tenant != sealing.AnyTenant {
				return nil, usagef("no tenant has a key-encryption key of its own; leave --tenant out")
			}
			return rotateKEK(ctx, cfg, service)
		},
		close: done,
	}, nil
}

// rotateKEK makes the new key where the server made the former one. A file that the
// operator named is the operator's to change.
func rotateKEK(ctx context.Context, cfg *config.Config, service *sealing.Service) ([]keyView, error) {
	wrapped, err := service.RotateKEK(ctx, localActor().Name, cfg.KEKFile == "")
	if fault.KindOf(err) == fault.Conflict {
		return nil, usagef("%v", err)
	}
	if err != nil {
		return nil, err
	}
	file, created := app.KEKFile(cfg)
	return []keyView{{KID: file, Use: useKEK, Alg: "A256GCM", State: string(sealing.Active), Created: created, Note: rotatedNote(cfg, file, wrapped)}}, nil
}

// rotatedNote says what became of the former key, or who still needs it.
func rotatedNote(cfg *config.Config, file string, wrapped int) string {
	note := fmt.Sprintf("Keys wrapped again: %d. Nothing in the database and in the audit log of %s is wrapped under the former key any more", wrapped, cfg.DataDir)
	if cfg.KEKFile == "" {
		return note + ", which is gone: back this one up."
	}
	return fmt.Sprintf("%s: once this was done for every data directory with an audit log, remove the second line of %s on every machine.", note, file)
}
