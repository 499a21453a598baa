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
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
	keySize  = 32
	idSize   = 9
	// nonceSize is that of GCM (NIST SP 800-38D section 5.2.1.1).
	nonceSize = 12
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
	ID   string
	aead cipher.AEAD
}

// Open opens what Seal sealed.
func (k *Key) Open(dst, sealed, bound []byte) ([]byte, error) {
	n := k.aead.NonceSize()
	if len(sealed) < n {
		return nil, errShort
	}
	return k.aead.Open(dst, sealed[:n], sealed[n:], bound)
}

var errShort = errors.New("it is shorter than anything that was sealed")

// Vault is the keys in a directory.
type Vault struct {
	dir     string
	kek     Wrapper
	tenants file
	keys    map[string][]byte // of tenants
	months  map[string]*month
	ready   []*entry // whose keys are ready for use
	name    []byte   // of the owner that is looked for
	// random is read for many nonces at once, and spent is how much of it was used.
	random [256 * nonceSize]byte
	spent  int
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
		keys: map[string][]byte{}, months: map[string]*month{}, spent: len(Vault{}.random),
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
func (v *Vault) For(name string, tenant, subject []byte) (*Key, error) {
	m, err := v.month(name)
	if err != nil {
		return nil, err
	}
	v.name = appendName(v.name[:0], tenant, subject)
	if e := m.owners[string(v.name)]; e != nil {
		return v.use(e)
	}
	who := owner{string(tenant), string(subject)}
	e := &entry{id: newID()}
	_, _ = rand.Read(e.key[:]) // never fails
	sealed, err := v.seal(name, who, e)
	if err != nil {
		return nil, err
	}
	m.add(who, e)
	m.fresh = append(m.fresh, stored{ID: e.id, Tenant: who.tenant, Key: sealed})
	return v.use(e)
}

func newID() string {
	id := make([]byte, idSize)
	_, _ = rand.Read(id) // never fails
	return base64.RawURLEncoding.EncodeToString(id)
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
	if e := m.ids[id]; e != nil {
		return v.use(e)
	}
	return nil, ErrUnknown
}

// use makes a key ready.
func (v *Vault) use(e *entry) (*Key, error) {
	if e.ready != nil {
		return e.ready, nil
	}
	block, err := aes.NewCipher(e.key[:])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	if len(v.ready) >= maxReady {
		for _, other := range v.ready {
			other.ready = nil
		}
		v.ready = v.ready[:0]
	}
	e.ready = &Key{e.id, aead}
	v.ready = append(v.ready, e)
	return e.ready, nil
}

// Seal appends a nonce, what it sealed and the tag: AES-256-GCM under nonces of 96
// random bits (NIST SP 800-38D section 8.2.2), which bounds a key to 2³² records of
// its month.
func (v *Vault) Seal(dst []byte, k *Key, text, bound []byte) []byte {
	if v.spent == len(v.random) {
		_, _ = rand.Read(v.random[:]) // never fails
		v.spent = 0
	}
	nonce := v.random[v.spent : v.spent+nonceSize]
	v.spent += nonceSize
	return k.aead.Seal(append(dst, nonce...), nonce, text, bound)
}

// Derive returns a key of a tenant for another use (HMAC-SHA-256 as a pseudorandom
// function, NIST SP 800-108r1 section 4.1): it is the same for as long as there is the
// tenant's own, which is made if need be. No other process may write.
func (v *Vault) Derive(tenant, use string) ([]byte, error) {
	if _, err := v.tenantKey(tenant, true); err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, v.keys[tenant])
	_, _ = io.WriteString(mac, use) // never fails
	return mac.Sum(nil), nil
}

// newAEAD returns AES-256-GCM that makes its nonces itself, for the few keys that are
// sealed.
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
