package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/config"
	"onnxgate/internal/identity"
)

// AuditReader returns a reader of the audit log of the data directory. Without a
// key-encryption key it verifies, and reads nothing.
func AuditReader(cfg *config.Config) (*audit.Reader, error) {
	dir := inDataDir(cfg, auditDir)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no audit log in %s; name the server's data directory with --data-dir or ONNXGATE_DATA_DIR", cfg.DataDir)
	}
	c := audit.Config{Dir: dir}
	path, _ := kekPath(cfg)
	kek, err := readAuditKEK(path)
	switch {
	case err == nil:
		c.KEK = kek
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return audit.NewReader(c), nil
}

// RecordLook puts on record that a command shows what records say.
func RecordLook(ctx context.Context, cfg *config.Config, actor string, event audit.Event, what string) error {
	l, err := OpenAuditLog(cfg)
	if err != nil {
		return err
	}
	err = l.Record(ctx, &audit.Record{
		Event: event, Actor: actor, Tenant: identity.DefaultTenant, Method: "command", Object: what, Decision: audit.Allow, Outcome: audit.OK,
	})
	return errors.Join(err, l.Close())
}

// OpenAuditLog opens the audit log of the data directory for a command that changes
// it, also beside the server. The caller must close it.
func OpenAuditLog(cfg *config.Config) (*audit.Log, error) {
	if _, err := AuditReader(cfg); err != nil {
		return nil, err
	}
	path, _ := kekPath(cfg)
	kek, err := readAuditKEK(path)
	if err != nil {
		return nil, err
	}
	return audit.Open(audit.Config{Dir: inDataDir(cfg, auditDir), Mode: audit.Strict, KEK: kek, Now: time.Now})
}
