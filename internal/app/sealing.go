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
func newSealing(ctx context.Context, cfg *config.Config, store *sqlstore.Store, record audit.Recorder, now func() time.Time) (*sealing.Service, error) {
	path, ours := kekPath(cfg)
	return sealing.New(ctx, sealing.Config{Store: store.Sealing(), KEKFile: path, MakeKEK: ours, Outside: auditKeys{cfg}, Audit: record, Now: now})
}

// makeKEK returns a function that makes the key-encryption key where there is none,
// and that is harmless.
func makeKEK(ctx context.Context, cfg *config.Config, store *sqlstore.Store) func() error {
	return func() error {
		_, err := newSealing(ctx, cfg, store, nil, time.Now)
		return err
	}
}

// KEKFile is the file of the key-encryption key.
type KEKFile struct {
	Path    string
	Written time.Time
	// Fingerprints tell the keys in it apart: the present one, and the former one while
	// it is rotated.
	Fingerprints []string
}

// ReadKEKFile returns what may be shown of the key-encryption key.
func ReadKEKFile(cfg *config.Config) (*KEKFile, error) {
	path, _ := kekPath(cfg)
	kek, err := seal.ReadKEK(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return &KEKFile{path, info.ModTime().UTC(), kek.Fingerprints()}, nil
}

// OwnKEK reports whether a rotation may put another key-encryption key into its file:
// where the server has made that, and no other has a copy of it.
func OwnKEK(ctx context.Context, cfg *config.Config) (own bool, err error) {
	if cfg.KEKFile != "" || !cfg.DatabaseURL.IsSet() {
		return cfg.KEKFile == "", nil
	}
	service, done, err := OpenAccounts(ctx, cfg)
	if err != nil {
		return false, err
	}
	servers, err := service.Servers(ctx)
	return servers <= 1, errors.Join(err, done())
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
	store, done, err := openForCommand(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	kept := &commandRecords{cfg: cfg}
	service, err := newSealing(ctx, cfg, store, kept, time.Now)
	if err != nil {
		return nil, nil, errors.Join(err, done())
	}
	return service, kept.with(done), nil
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
