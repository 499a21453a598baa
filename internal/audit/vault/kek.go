package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Wrapper wraps keys with the key-encryption key. What was wrapped for another
// use, tenant or id does not open.
type Wrapper interface {
	Wrap(use, tenant, id string, key []byte) []byte
	// Unwrap also opens what a former key wrapped, while it is rotated.
	Unwrap(use, tenant, id string, wrapped []byte) ([]byte, error)
	// Wrapped reports whether it was this key that wrapped, and not a former one.
	Wrapped(use, tenant, id string, wrapped []byte) bool
	// Again returns the key-encryption key as it is kept at present: another process
	// may have rotated it.
	Again() (Wrapper, error)
}

// Uses of the key-encryption key.
const (
	useTenant = "audit tenant"
	useLog    = "audit log"
)

// unwrap opens a key, under the key-encryption key as it is at present unless the
// one that is known has wrapped it.
func (v *Vault) unwrap(use, tenant string, wrapped []byte) ([]byte, error) {
	if v.kek.Wrapped(use, tenant, "", wrapped) {
		return v.kek.Unwrap(use, tenant, "", wrapped)
	}
	now, err := v.kek.Again()
	if err != nil {
		return nil, err
	}
	key, err := now.Unwrap(use, tenant, "", wrapped)
	if err == nil {
		v.kek = now
	}
	return key, err
}

// maxTries bounds how often keys are read again that are rewrapped meanwhile:
// whoever only reads holds no lock.
const maxTries = 10

// retried reads and opens keys.
func retried(open func() error) (err error) {
	for range maxTries {
		if err = open(); err == nil || errors.Is(err, ErrUnknown) {
			return err
		}
	}
	return err
}

func (v *Vault) loadTenants() error {
	return retried(func() error {
		all, err := v.tenants.read()
		for _, s := range all {
			key, wrong := v.unwrap(useTenant, s.Tenant, s.Key)
			if wrong != nil {
				clear(v.keys)
				return fmt.Errorf("%s: the key of the tenant %s: %w", v.tenants.path, s.Tenant, wrong)
			}
			v.keys[s.Tenant] = key
		}
		return err
	})
}

func (v *Vault) logKeyPath() string { return filepath.Join(v.dir, "log") }

// LogKey returns the key that signs the log, wrapped in a file of its own; fresh
// makes it if need be, while no other process writes. Its error is ErrUnknown
// without fresh and a key.
func (v *Vault) LogKey(fresh func() (string, error)) (key string, err error) {
	path := v.logKeyPath()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && fresh != nil {
		if err := v.makeLogKey(fresh); err != nil {
			return "", err
		}
	}
	err = retried(func() error {
		wrapped, err := os.ReadFile(path) //nolint:gosec // G304: in the log's own directory
		if errors.Is(err, fs.ErrNotExist) {
			return ErrUnknown
		}
		if err != nil {
			return err
		}
		opened, err := v.unwrap(useLog, "", wrapped)
		if err != nil {
			return fmt.Errorf("%s: the key that signs the log: %w", path, err)
		}
		key = string(opened)
		return nil
	})
	return key, err
}

func (v *Vault) makeLogKey(fresh func() (string, error)) (err error) {
	if v.kek, err = v.kek.Again(); err != nil {
		return err
	}
	key, err := fresh()
	if err != nil {
		return err
	}
	return replaceFile(v.logKeyPath(), v.kek.Wrap(useLog, "", "", []byte(key)))
}

// CountWrapped returns how many keys the key-encryption key, as it is at present, has wrapped,
// and how many a former one. It fails for a key that neither opens.
func (v *Vault) CountWrapped() (present, former int, err error) {
	count := func(use, tenant string, wrapped []byte) error {
		if v.kek.Wrapped(use, tenant, "", wrapped) {
			present++
			return nil
		}
		former++
		_, err := v.kek.Unwrap(use, tenant, "", wrapped)
		return err
	}
	err = retried(func() (err error) {
		present, former = 0, 0
		if v.kek, err = v.kek.Again(); err != nil {
			return err
		}
		all, err := v.tenants.read()
		if err != nil {
			return err
		}
		for _, s := range all {
			if err := count(useTenant, s.Tenant, s.Key); err != nil {
				return fmt.Errorf("%s: the key of the tenant %s: %w", v.tenants.path, s.Tenant, err)
			}
		}
		wrapped, err := os.ReadFile(v.logKeyPath())
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = count(useLog, "", wrapped)
		}
		if err != nil {
			return fmt.Errorf("%s: the key that signs the log: %w", v.logKeyPath(), err)
		}
		return nil
	})
	return present, former, err
}

// Rewrap wraps under the key-encryption key what a former one wrapped, and returns
// how many keys that were. Both keys must open until it returns nil; where it is
// killed, the next one goes on.
func (v *Vault) Rewrap() (count int, err error) {
	if v.kek, err = v.kek.Again(); err != nil {
		return 0, err
	}
	all, err := v.tenants.read()
	if err != nil {
		return 0, err
	}
	for i := range all {
		did, err := v.rewrap(useTenant, all[i].Tenant, &all[i].Key)
		if err != nil {
			return 0, fmt.Errorf("%s: the key of the tenant %s: %w", v.tenants.path, all[i].Tenant, err)
		}
		count += did
	}
	if count > 0 {
		if err := v.tenants.replace(all); err != nil {
			return 0, err
		}
	}
	did, err := v.rewrapLogKey()
	return count + did, err
}

// rewrapLogKey comes last: see tenantKey.
func (v *Vault) rewrapLogKey() (int, error) {
	wrapped, err := os.ReadFile(v.logKeyPath())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	did, err := v.rewrap(useLog, "", &wrapped)
	if err != nil {
		return 0, fmt.Errorf("%s: the key that signs the log: %w", v.logKeyPath(), err)
	}
	if did == 0 {
		return 0, nil
	}
	return did, replaceFile(v.logKeyPath(), wrapped)
}

// rewrap returns 1 if it had to.
func (v *Vault) rewrap(use, tenant string, wrapped *[]byte) (int, error) {
	if v.kek.Wrapped(use, tenant, "", *wrapped) {
		return 0, nil
	}
	key, err := v.kek.Unwrap(use, tenant, "", *wrapped)
	if err != nil {
		return 0, err
	}
	*wrapped = v.kek.Wrap(use, tenant, "", key)
	return 1, nil
}
