package sealing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"onnxgate/internal/fault"
	"onnxgate/internal/seal"
)

// openKEK reads the key-encryption key, and makes it where that is harmless.
func (s *Service) openKEK(ctx context.Context, cfg *Config) error {
	empty, err := s.wrapsNothing(ctx)
	if err != nil {
		return err
	}
	if cfg.MakeKEK && empty {
		if err := seal.MakeKEK(cfg.KEKFile); err != nil {
			return err
		}
	}
	err = s.Reload(ctx)
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case empty:
		return fmt.Errorf("%w; make one, since the database needs none yet: (umask 077; openssl rand -base64 32 > %s)", err, cfg.KEKFile)
	default:
		return fmt.Errorf("%w; keys in the database are wrapped by the one of the server that made them: "+
			"copy its file, or name it with ONNXGATE_KEK_FILE", err)
	}
}

// CheckKEK returns the error that New would have for the key-encryption key, but that
// one which is not there may still be made, and changes nothing.
func CheckKEK(ctx context.Context, cfg Config) error {
	cfg.MakeKEK = false
	s := newService(&cfg)
	empty, err := s.wrapsNothing(ctx)
	if err != nil {
		return err
	}
	err = s.openKEK(ctx, &cfg)
	if empty && errors.Is(err, fs.ErrNotExist) {
		return nil // it is made
	}
	return err
}

// errSome ends a visit that has found what it looks for.
var errSome = errors.New("there is some")

// wrapsNothing reports whether a lost key-encryption key would lose nothing.
func (s *Service) wrapsNothing(ctx context.Context) (bool, error) {
	err := s.store.View(ctx, func(keys Keys) error {
		return keys.Wrapped().EachWrapped(func(seal.Binding, []byte) ([]byte, error) { return nil, errSome })
	})
	if errors.Is(err, errSome) {
		return false, nil
	}
	return true, unread(err)
}

func unread(err error) error {
	if err == nil || errors.Is(err, seal.ErrNotOpened) {
		return err
	}
	return fmt.Errorf("read the keys that are wrapped: %w", err)
}

// Reload reads the key-encryption key again, and takes it over when it opens
// everything that is stored. Its error is for the operator: the former one stays.
func (s *Service) Reload(ctx context.Context) error {
	kek, err := seal.ReadKEK(s.kekFile)
	if err != nil {
		return err
	}
	return s.opening(kek, func(kek *seal.KEK) error {
		return unread(s.store.View(ctx, func(keys Keys) error {
			_, err := s.countWrapped(kek, keys.Wrapped())
			return err
		}))
	})
}

// maxTries bounds how often keys are read again that are rotated meanwhile.
const maxTries = 10

// opening has keys read and opened under a key-encryption key that was known before,
// or that of the file where it was rotated since, and takes over the one that opens
// them. The file holds at any time every key that something is wrapped under at that
// time; between the two looks it may be another.
func (s *Service) opening(kek *seal.KEK, open func(*seal.KEK) error) error {
	for tries := 1; ; tries++ {
		err := open(kek)
		if err == nil {
			s.kek.Store(kek)
		}
		if tries == maxTries || !errors.Is(err, seal.ErrNotOpened) {
			return err
		}
		if kek, err = seal.ReadKEK(s.kekFile); err != nil {
			return err
		}
	}
}

// countWrapped tries a key-encryption key on everything that is stored, and returns
// how much of it the first key of its file has wrapped, and how much the second.
func (s *Service) countWrapped(kek *seal.KEK, all Wrapped) (by [2]int, err error) {
	err = all.EachWrapped(func(b seal.Binding, wrapped []byte) ([]byte, error) {
		if kek.Wrapped(b, wrapped) {
			by[0]++
			return nil, nil
		}
		if _, err := kek.Unwrap(b, wrapped); err != nil {
			return nil, s.wrong(b)
		}
		by[1]++
		return nil, nil
	})
	return by, err
}

// wrong says that the file does not open a key.
func (s *Service) wrong(b seal.Binding) error { return &wrongKEKError{s.kekFile, b} }

// wrongKEKError says that a file does not open what is stored. It is a
// seal.ErrNotOpened.
type wrongKEKError struct {
	file string
	key  seal.Binding
}

func (e *wrongKEKError) Error() string {
	return fmt.Sprintf("%s is not the key-encryption key of this database: %s does not open under it; "+
		"put the one back that was in use, or copy it from another server of this database, and name it with ONNXGATE_KEK_FILE", e.file, named(e.key))
}

// Unwrap returns seal.ErrNotOpened.
func (*wrongKEKError) Unwrap() error { return seal.ErrNotOpened }

// named says which key is bound so, for operators.
func named(b seal.Binding) string {
	if b.Tenant == "" {
		return fmt.Sprintf("the %s key %s", b.Use, b.KID)
	}
	return fmt.Sprintf("the %s key %s of the tenant %s", b.Use, b.KID, b.Tenant)
}

// wrapping returns the key-encryption key to wrap with, inside of an Update: that
// of the file, where another process may have rotated it. A file that holds
// something else by mistake changes nothing, as long as the key that is known opens
// what is stored; the next Reload says so. Faults: Unavailable when there is no such
// key, or no file, since what is wrapped under a key that is nowhere kept would be
// lost.
func (s *Service) wrapping(all Wrapped) (*seal.KEK, error) {
	kek, err := seal.ReadKEK(s.kekFile)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "", err)
	}
	by, wrong := s.countWrapped(kek, all)
	if wrong != nil {
		if !errors.Is(wrong, seal.ErrNotOpened) {
			return nil, wrong
		}
		kek = s.kek.Load()
		if by, err = s.countWrapped(kek, all); err != nil {
			return nil, fault.Wrap(fault.Unavailable, "", wrong)
		}
	}
	known := s.linesOf
	if kek.Rotating() { // the second may have wrapped what is outside alone
		known = s.withOutside
	}
	lines, err := known(kek, all, by)
	if err == nil {
		err = s.note(all, lines, lines.by[1] > 0)
	}
	if err != nil {
		return nil, err
	}
	s.kek.Store(kek)
	return kek, nil
}
