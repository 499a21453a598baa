package app

import (
	"fmt"

	"onnxgate/internal/audit"
	"onnxgate/internal/config"
	"onnxgate/internal/seal"
)

// auditDir is the folder of the audit log in the data directory.
const auditDir = "audit"

// kekPath returns where the key-encryption key is, and whether one is made there.
func kekPath(cfg *config.Config) (path string, ours bool) {
	if cfg.KEKFile == "" {
		return inDataDir(cfg, kekFile), true
	}
	return cfg.KEKFile, false
}

// auditKEK is the key-encryption key of a file, as the audit log uses it.
type auditKEK struct {
	file string
	kek  *seal.KEK
}

// readAuditKEK reads the key-encryption key for the audit log.
func readAuditKEK(file string) (audit.Wrapper, error) { //nolint:ireturn // as audit.Config has it
	kek, err := seal.ReadKEK(file)
	if err != nil {
		return nil, err
	}
	return auditKEK{file, kek}, nil
}

// Again reads the file again.
func (k auditKEK) Again() (audit.Wrapper, error) { return readAuditKEK(k.file) } //nolint:ireturn // as audit.Wrapper has it

// Wrap encrypts a key for what it is bound to.
func (k auditKEK) Wrap(use, tenant, id string, key []byte) []byte {
	return k.kek.Wrap(seal.Binding{Use: use, Tenant: tenant, KID: id}, key)
}

// Unwrap returns the key that was wrapped with the same binding.
func (k auditKEK) Unwrap(use, tenant, id string, wrapped []byte) ([]byte, error) {
	key, err := k.kek.Unwrap(seal.Binding{Use: use, Tenant: tenant, KID: id}, wrapped)
	if err != nil {
		err = fmt.Errorf("%w: %s holds another; put the one back that was in use, or write the former one on its second line until it is rotated", err, k.file)
	}
	return key, err
}

// Wrapped reports whether this key has wrapped the bytes, and not a former one.
func (k auditKEK) Wrapped(use, tenant, id string, wrapped []byte) bool {
	return k.kek.Wrapped(seal.Binding{Use: use, Tenant: tenant, KID: id}, wrapped)
}

// auditKeys are the keys of the audit log, which the key-encryption key wraps beside
// what is in the database.
type auditKeys struct{ cfg *config.Config }

// Count returns how many keys the first key of the file has wrapped, and how many the
// second.
func (k auditKeys) Count() (first, second int, err error) {
	kek, err := k.kek()
	if err != nil {
		return 0, 0, err
	}
	return audit.CountWrapped(inDataDir(k.cfg, auditDir), kek)
}

// Rewrap wraps under the first key of the file what the second has wrapped.
func (k auditKeys) Rewrap() (int, error) {
	kek, err := k.kek()
	if err != nil {
		return 0, err
	}
	return audit.Rewrap(inDataDir(k.cfg, auditDir), kek)
}

func (k auditKeys) kek() (audit.Wrapper, error) { //nolint:ireturn // as readAuditKEK has it
	path, _ := kekPath(k.cfg)
	return readAuditKEK(path)
}
