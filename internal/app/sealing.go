package app

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/config"
	"onnxgate/internal/seal"
	"onnxgate/internal/sealing"
	"onnxgate/internal/sqlstore"
)

// newSealing opens the keys that seal text. The key-encryption key is made where
// the operator named none.
func newSealing(ctx context.Context, cfg *config.Config, store *sqlstore.Store, record audit.Recorder) (*sealing.Service, error) {
	path, ours := kekPath(cfg)
	return sealing.New(ctx, sealing.Config{Store: store.Sealing(), KEKFile: path, MakeKEK: ours, Rewrap: rewrapAudit(cfg), Audit: record, Now: time.Now})
}

// makeKEK returns a function that makes the key-encryption key where there is none,
// and that is harmless.
func makeKEK(ctx context.Context, cfg *config.Config, store *sqlstore.Store) func() error {
	return func() error {
		_, err := newSealing(ctx, cfg, store, nil)
		return err
	}
}

// KEKFile returns the file of the key-encryption key, and when it was written; the
// zero time where there is none.
func KEKFile(cfg *config.Config) (path string, written time.Time) {
	path, _ = kekPath(cfg)
	if info, err := os.Stat(path); err == nil {
		written = info.ModTime().UTC()
	}
	return path, written
}

// OpenSealing opens the keys that seal text of the data directory, for a command
// that works beside the server. The caller must call the function it returns. The
// fault is NotFound where no server was started, as with OpenKeys.
func OpenSealing(ctx context.Context, cfg *config.Config) (*sealing.Service, func() error, error) {
	if cfg.KEKFile == "" {
		if _, err := os.Stat(inDataDir(cfg, kekFile)); errors.Is(err, fs.ErrNotExist) {
			return nil, nil, notServed(cfg, "keys that seal text")
		}
	}
	store, err := sqlstore.Open(ctx, database(cfg))
	if err != nil {
		return nil, nil, err
	}
	kept := &commandRecords{cfg: cfg}
	service, err := newSealing(ctx, cfg, store, kept)
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return service, kept.with(store.Close), nil
}

// checkKEK reads the operator's key-encryption key; one of our own is made at the
// start.
func checkKEK(cfg *config.Config) error {
	if cfg.KEKFile == "" {
		return nil
	}
	_, err := seal.ReadKEK(cfg.KEKFile)
	return err
}
