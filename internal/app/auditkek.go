package app

import (
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
	return k.kek.Unwrap(seal.Binding{Use: use, Tenant: tenant, KID: id}, wrapped)
}

// Wrapped reports whether this key has wrapped the bytes, and not a former one.
func (k auditKEK) Wrapped(use, tenant, id string, wrapped []byte) bool {
	return k.kek.Wrapped(seal.Binding{Use: use, Tenant: tenant, KID: id}, wrapped)
}

// rewrapAudit returns a function that wraps the keys of the audit log again, which a
// former key-encryption key wrapped.
func rewrapAudit(cfg *config.Config) func() (int, error) {
	return func() (int, error) {
		path, _ := kekPath(cfg)
		kek, err := readAuditKEK(path)
		if err != nil {
			return 0, err
		}
		return audit.Rewrap(inDataDir(cfg, auditDir), kek)
	}
}
