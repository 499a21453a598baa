// Package vault keeps the keys that the content of an audit log is sealed with: a
// data key for each subject and month, sealed by the key of its tenant, which the
// key-encryption key wraps. Without a data key nobody reads what it sealed; so a
// person's records are erased, and those past their age, by destroying keys.
//
// It must not know what is sealed. A Vault is for one goroutine at a time, and is
// written to by one process at a time.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"time"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
	keySize  = 32
	idSize   = 9
	// maxReady bounds the keys that are kept ready for use, some 1 KiB each.
	maxReady = 4096
)

// Reasons for a key that is not there.
var (
	ErrDestroyed = errors.New("the key was destroyed")
	ErrUnknown   = errors.New("there never was such a key")
)

// Key seals what one subject did in one month.
type Key struct {
	// ID names the key, and says nothing of whose it is.
	ID string
	cipher.AEAD
}

// Vault is the keys in a directory.
type Vault struct {
	dir     string
	kek     Wrapper
	tenants file
	keys    map[string][]byte // of tenants
	months  map[string]*month
	ready   map[string]*Key // by their id
}

// New returns the keys in a directory, which it makes.
func New(dir string, kek Wrapper) (*Vault, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, err
	}
	return View(dir, kek), nil
}

// View returns the keys in a directory, only to read them.
func View(dir string, kek Wrapper) *Vault {
	return &Vault{
		dir: dir, kek: kek, tenants: file{path: filepath.Join(dir, "tenants.jsonl")},
		keys: map[string][]byte{}, months: map[string]*month{}, ready: map[string]*Key{},
	}
}

// Month is the name of the month that a time is in, in UTC.
func Month(at time.Time) string { return at.UTC().Format("2006-01") }

// Refresh forgets what another process may have changed.
func (v *Vault) Refresh() error {
	changed, err := v.tenants.changed()
	if err != nil {
		return err
	}
	if changed {
		clear(v.keys)
		clear(v.months)
	}
	for name, m := range v.months {
		changed, err := m.file.changed()
		if err != nil {
			return err
		}
		if changed {
			delete(v.months, name)
			clear(v.ready)
		}
	}
	return nil
}

// Discard forgets the keys that were not stored.
func (v *Vault) Discard() {
	for name, m := range v.months {
		if len(m.fresh) > 0 {
			delete(v.months, name)
		}
	}
}

// For returns the key of a subject, and makes it if need be: Store keeps it.
func (v *Vault) For(name, tenant, subject string) (*Key, error) {
	m, err := v.month(name)
	if err != nil {
		return nil, err
	}
	who := owner{tenant, subject}
	if e, ok := m.owners[who]; ok {
		return v.use(e)
	}
	id := make([]byte, idSize)
	key := make([]byte, keySize)
	_, _ = rand.Read(id) // never fails
	_, _ = rand.Read(key)
	e := entry{id: base64.RawURLEncoding.EncodeToString(id), key: [keySize]byte(key)}
	sealed, err := v.seal(name, who, e)
	if err != nil {
		return nil, err
	}
	m.add(who, e)
	m.fresh = append(m.fresh, stored{ID: e.id, Tenant: tenant, Key: sealed})
	return v.use(e)
}

// Find returns the key of an id. Its error is ErrDestroyed or ErrUnknown when there
// is none.
func (v *Vault) Find(name, id string) (*Key, error) {
	m, err := v.month(name)
	if err != nil {
		return nil, err
	}
	if m.gone[id] {
		return nil, ErrDestroyed
	}
	e, ok := m.ids[id]
	if !ok {
		return nil, ErrUnknown
	}
	return v.use(e)
}

// use makes a key ready.
func (v *Vault) use(e entry) (*Key, error) {
	if k := v.ready[e.id]; k != nil {
		return k, nil
	}
	aead, err := newAEAD(e.key[:])
	if err != nil {
		return nil, err
	}
	if len(v.ready) >= maxReady {
		clear(v.ready)
	}
	k := &Key{e.id, aead}
	v.ready[e.id] = k
	return k, nil
}

// newAEAD returns AES-256-GCM under nonces of 96 random bits (NIST SP 800-38D
// section 8.2.2), which bounds a key to 2³² records of its month.
func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Store keeps the keys that were made.
func (v *Vault) Store() error {
	for _, m := range v.months {
		if len(m.fresh) == 0 {
			continue
		}
		if err := m.file.append(m.fresh); err != nil {
			return err
		}
		m.fresh = m.fresh[:0]
	}
	return nil
}

// tenantKey returns the key of a tenant; with create it is made if need be.
func (v *Vault) tenantKey(tenant string, create bool) (cipher.AEAD, error) {
	if len(v.keys) == 0 {
		if err := v.loadTenants(); err != nil {
			return nil, err
		}
	}
	key, ok := v.keys[tenant]
	if !ok && !create {
		return nil, ErrUnknown
	}
	if !ok {
		// Nobody rewraps meanwhile, and the log's key is the last that is: from here on
		// the key-encryption key that is known is not one that was rotated away.
		if _, err := v.LogKey(nil); err != nil {
			return nil, err
		}
		key = make([]byte, keySize)
		_, _ = rand.Read(key) // never fails
		wrapped := v.kek.Wrap(useTenant, tenant, "", key)
		if err := v.tenants.append([]stored{{Tenant: tenant, Key: wrapped}}); err != nil {
			return nil, err
		}
		v.keys[tenant] = key
	}
	return newAEAD(key)
}
