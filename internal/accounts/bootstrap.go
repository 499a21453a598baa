package accounts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/regular"
)

// AdminName is the user that the first start makes.
const AdminName = "admin"

// passwordAlphabet has 32 characters that cannot be mistaken for each other,
// so that each character of a password is 5 random bits.
const (
	passwordAlphabet = "abcdefghijkmnpqrstuvwxyz23456789"
	passwordRunes    = 26
)

// Bootstrap makes the first administrator when nobody holds the role admin:
// the user admin, with the given password, or with a random one of 130 bits
// that it leaves in the initial password file (mode 0600). It reports whether
// it did. Later it only checks the given password, and removes a file whose
// password was changed. Processes that start at the same time agree.
func (s *Service) Bootstrap(ctx context.Context, password string) (created bool, err error) {
	if password != "" {
		if err := CheckPassword(AdminName, password); err != nil {
			return false, err
		}
	}
	err = s.store.Update(ctx, func(tx *Tx) error {
		n, err := tx.CountAdmins()
		if err != nil || n > 0 {
			return err
		}
		if created, err = true, notTaken(tx); err != nil {
			return err
		}
		record, err := s.insertAdmin(ctx, tx, password)
		if err != nil {
			return err
		}
		return s.onRecord(ctx, &deed{
			by: itself, event: audit.UserAdd, object: AdminName, tenant: record.Tenant, changes: userChanges(&Record{}, record),
		})
	})
	if err != nil {
		return false, fmt.Errorf("make the first administrator: %w", err)
	}
	return created, s.forgetInitialPassword(ctx)
}

// itself is the server as an actor.
var itself = Actor{Name: audit.Server, Tenant: identity.DefaultTenant}

func notTaken(tx *Tx) error {
	_, err := tx.Users.Get(AnyTenant, AdminName)
	if err == nil {
		return fault.Newf(fault.Conflict, "no user has the role admin, and the user %s exists without it; give it to a user", AdminName)
	}
	return ignoreNotFound(err)
}

// insertAdmin runs inside the transaction, so that of several processes one
// makes the user, and the file is written before the user can be seen.
func (s *Service) insertAdmin(ctx context.Context, tx *Tx, password string) (*Record, error) {
	initial := password == ""
	if initial {
		var err error
		if password, err = s.newPassword(); err != nil {
			return nil, err
		}
	}
	record, err := s.newRecord(ctx, &NewUser{Name: AdminName, Password: password, Roles: []string{identity.RoleAdmin}})
	if err != nil {
		return nil, err
	}
	record.InitialPassword = initial
	if err := tx.Users.Insert(record); err != nil {
		return nil, err
	}
	if !initial {
		return record, nil
	}
	return record, writePrivate(s.initialFile, password+"\n")
}

func (s *Service) newPassword() (string, error) {
	b := make([]byte, passwordRunes)
	if _, err := io.ReadFull(s.rand, b); err != nil {
		return "", err
	}
	for i := range b {
		b[i] = passwordAlphabet[int(b[i])%len(passwordAlphabet)]
	}
	return string(b), nil
}

// forgetInitialPassword removes a file that a process left behind when it
// ended between changing the password and removing the file.
func (s *Service) forgetInitialPassword(ctx context.Context) error {
	if _, err := os.Lstat(s.initialFile); s.initialFile == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	record, err := s.record(ctx, AdminName)
	if err := ignoreNotFound(err); err != nil {
		return err
	}
	if record != nil && record.InitialPassword {
		return nil
	}
	return s.removeInitialPassword(AdminName)
}

// removeInitialPassword removes the file after the password of the user it is
// about has been changed, or the user is gone.
func (s *Service) removeInitialPassword(name string) error {
	if name != AdminName || s.initialFile == "" {
		return nil
	}
	err := os.Remove(s.initialFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the change was made, but the file of the initial password is still there: %w", err)
	}
	return nil
}

// writePrivate writes a file that only its owner can read, so that it is
// either whole or not there.
func writePrivate(path, content string) error {
	if path == "" {
		return errors.New("no path for the file of the initial password")
	}
	return regular.Replace(path, []byte(content))
}
