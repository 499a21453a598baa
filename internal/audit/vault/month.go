package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"onnxgate/internal/identity"
)

// owner is whose a key is.
type owner struct{ tenant, subject string }

// isOf reports whether it is of a tenant, of every one for "". What is of no tenant is
// the installation's, and that is of the default one.
func (o owner) isOf(tenant string) bool {
	return tenant == "" || o.tenant == tenant || o.tenant == "" && tenant == identity.DefaultTenant
}

type entry struct {
	id    string
	key   [keySize]byte
	ready *Key // nil until it is used
}

// appendName appends what tells an owner from all others.
func appendName[T string | []byte](dst []byte, tenant, subject T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(tenant)))
	return append(append(dst, tenant...), subject...)
}

// month is the keys of one month.
type month struct {
	file   file
	owners map[string]*entry // by appendName
	ids    map[string]*entry
	gone   map[string]bool // ids of destroyed keys
	fresh  []stored        // that are not in the file
}

func (m *month) add(who owner, e *entry) {
	m.owners[string(appendName(nil, who.tenant, who.subject))] = e
	m.ids[e.id] = e
}

// month returns the keys of a month.
func (v *Vault) month(name string) (*month, error) {
	if m := v.months[name]; m != nil {
		return m, nil
	}
	m := &month{file: file{path: filepath.Join(v.dir, name+monthExt)}, owners: map[string]*entry{}, ids: map[string]*entry{}, gone: map[string]bool{}}
	all, err := m.file.read()
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.destroyed() {
			m.gone[s.ID] = true
			continue
		}
		who, e, err := v.open(name, s)
		if err != nil {
			return nil, fmt.Errorf("%s: the key %s: %w", m.file.path, s.ID, err)
		}
		m.add(who, e)
	}
	v.months[name] = m
	return m, nil
}

const (
	monthExt    = ".jsonl"
	monthLayout = "2006-01"
)

// bound is what a sealed key is bound to.
func bound(name, tenant, id string) []byte { return []byte(name + "\x00" + tenant + "\x00" + id) }

// seal seals a key together with the name of its subject, by the tenant's key.
func (v *Vault) seal(name string, who owner, e *entry) ([]byte, error) {
	aead, err := v.tenantKey(who.tenant, true)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, append(e.key[:], who.subject...), bound(name, who.tenant, e.id)), nil //nolint:gosec // G407: the AEAD makes a random nonce by itself
}

func (v *Vault) open(name string, s stored) (owner, *entry, error) {
	aead, err := v.tenantKey(s.Tenant, false)
	if err != nil {
		return owner{}, nil, err
	}
	data, err := aead.Open(nil, nil, s.Key, bound(name, s.Tenant, s.ID))
	if err != nil || len(data) < keySize {
		return owner{}, nil, errors.New("the key of its tenant does not open it")
	}
	return owner{s.Tenant, string(data[keySize:])}, &entry{id: s.ID, key: [keySize]byte(data)}, nil
}

// ending says which keys end.
type ending func(name string, who owner) bool

func ofSubjects(tenant string, subjects []string) ending {
	return func(_ string, who owner) bool {
		return slices.Contains(subjects, who.subject) && who.isOf(tenant)
	}
}

func endedBefore(tenant string, before time.Time) ending {
	return func(name string, who owner) bool {
		end, err := EndOf(name)
		return err == nil && !end.After(before) && who.isOf(tenant)
	}
}

// EndOf returns when a month ends.
func EndOf(name string) (time.Time, error) {
	start, err := time.Parse(monthLayout, name)
	return start.AddDate(0, 1, 0), err
}

// Erase destroys the keys of subjects of a tenant, or of every tenant for "", and
// returns how many there were.
func (v *Vault) Erase(tenant string, subjects ...string) (int, error) {
	return v.destroy(ofSubjects(tenant, subjects), true)
}

// Count returns how many keys Erase would destroy.
func (v *Vault) Count(tenant string, subjects ...string) (int, error) {
	return v.destroy(ofSubjects(tenant, subjects), false)
}

// Expire destroys the keys of the months of a tenant, or of every tenant for "",
// that ended before a time, and returns how many there were.
func (v *Vault) Expire(tenant string, before time.Time) (int, error) {
	return v.destroy(endedBefore(tenant, before), true)
}

// CountExpired returns how many keys Expire would destroy.
func (v *Vault) CountExpired(tenant string, before time.Time) (int, error) {
	return v.destroy(endedBefore(tenant, before), false)
}

// destroy writes every month again without the keys that end; their ids stay, so
// that a key that was destroyed can be told from one that there never was.
func (v *Vault) destroy(ends ending, really bool) (count int, err error) {
	entries, err := os.ReadDir(v.dir)
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), monthExt)
		if _, wrong := time.Parse(monthLayout, name); !ok || wrong != nil {
			continue
		}
		n, err := v.destroyIn(name, ends, really)
		count += n
		if err != nil {
			return count, err
		}
	}
	return count, err
}

func (v *Vault) destroyIn(name string, ends ending, really bool) (count int, err error) {
	f := file{path: filepath.Join(v.dir, name+monthExt)}
	all, err := f.read()
	if err != nil {
		return 0, err
	}
	for i, s := range all {
		if s.destroyed() {
			continue
		}
		who, _, err := v.open(name, s)
		if err != nil {
			return 0, err
		}
		if ends(name, who) {
			count++
			all[i].Key = nil
		}
	}
	if count == 0 || !really {
		return count, nil
	}
	delete(v.months, name)
	return count, f.replace(all)
}
