package app

import (
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

// auditKEK is the key-encryption key as the audit log uses it.
type auditKEK struct{ kek *seal.KEK }

// Wrap encrypts a key for what it is bound to.
func (k auditKEK) Wrap(use, tenant, id string, key []byte) []byte {
	return k.kek.Wrap(seal.Binding{Use: use, Tenant: tenant, KID: id}, key)
}

// Unwrap returns the key that was wrapped with the same binding.
func (k auditKEK) Unwrap(use, tenant, id string, wrapped []byte) ([]byte, error) {
	return k.kek.Unwrap(seal.Binding{Use: use, Tenant: tenant, KID: id}, wrapped)
}
