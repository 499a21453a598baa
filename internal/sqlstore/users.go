package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// The columns of a user. Roles are words without blanks, so that a blank can
// separate them.
const (
	userColumns = `u.name, u.tenant, u.disabled, u.created_at, u.updated_at,
		(SELECT group_concat(r.role, ' ' ORDER BY r.position) FROM user_roles r WHERE r.user_name = u.name)`
	selectUsers  = `SELECT ` + userColumns + ` FROM users u ORDER BY u.name`
	selectRecord = `SELECT ` + userColumns + `, u.password_hash, u.stamp, u.initial_password FROM users u WHERE u.name = ?`
	selectStamps = `SELECT name, stamp FROM users WHERE NOT disabled`
	countAdmins  = `SELECT count(*) FROM users u JOIN user_roles r ON r.user_name = u.name WHERE r.role = ? AND NOT u.disabled`
	insertUser   = `INSERT INTO users (tenant, password_hash, initial_password, stamp, disabled, created_at, updated_at, name)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	updateUser = `UPDATE users SET tenant = ?, password_hash = ?, initial_password = ?, stamp = ?, disabled = ?,
		created_at = ?, updated_at = ? WHERE name = ?`
	deleteUser  = `DELETE FROM users WHERE name = ?`
	deleteRoles = `DELETE FROM user_roles WHERE user_name = ?`
	insertRole  = `INSERT INTO user_roles (user_name, position, role) VALUES (?, ?, ?)`
)

// Users returns all users in the order of their names.
func (s *Store) Users(ctx context.Context) ([]accounts.User, error) {
	var users []accounts.User
	err := s.each(ctx, selectUsers, func(scan scanner) error {
		user, err := scanUser(scan)
		users = append(users, user)
		return err
	})
	return users, classify(ctx, err)
}

// Record returns one user, or a fault of kind NotFound.
func (s *Store) Record(ctx context.Context, name string) (*accounts.Record, error) {
	record, err := scanRecord(s.db.QueryRowContext(ctx, selectRecord, name).Scan, name)
	return record, classify(ctx, err)
}

// Stamps returns the stamps of all enabled users by their names.
func (s *Store) Stamps(ctx context.Context) (map[string]string, error) {
	stamps := map[string]string{}
	err := s.each(ctx, selectStamps, func(scan scanner) error {
		var name, stamp string
		err := scan(&name, &stamp)
		stamps[name] = stamp
		return err
	})
	if err != nil {
		return nil, classify(ctx, err)
	}
	return stamps, nil
}

// Revision returns a number that changes with every change of the database by
// any process. It costs a look at shared memory.
func (s *Store) Revision(ctx context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watcher == nil {
		conn, err := s.db.Conn(ctx)
		if err != nil {
			return 0, classify(ctx, err)
		}
		s.watcher, s.watchers = conn, s.watchers+1
	}
	// data_version counts the changes that other connections made, and this one
	// makes none.
	var version uint32
	if err := s.watcher.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
		err = errors.Join(err, s.watcher.Close())
		s.watcher = nil
		return 0, classify(ctx, err)
	}
	return s.watchers<<32 | int64(version), nil
}

// Update runs change in one transaction that no other writer can interleave
// with, in this process or another, and commits it unless change fails.
func (s *Store) Update(ctx context.Context, change func(accounts.Tx) error) error {
	err := s.inTransaction(ctx, func(tx *sql.Tx) error { return change(&userTx{ctx, tx}) })
	return classify(ctx, err)
}

func (s *Store) each(ctx context.Context, query string, row func(scanner) error) (err error) {
	rows, err := s.db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// userTx is one transaction on users.
type userTx struct {
	ctx context.Context //nolint:containedctx // it lives as long as the call that it came with
	tx  *sql.Tx
}

func (t *userTx) Record(name string) (*accounts.Record, error) {
	return scanRecord(t.tx.QueryRowContext(t.ctx, selectRecord, name).Scan, name)
}

func (t *userTx) CountAdmins() (n int, err error) {
	err = t.tx.QueryRowContext(t.ctx, countAdmins, identity.RoleAdmin).Scan(&n)
	return n, err
}

func (t *userTx) Insert(r *accounts.Record) error  { return t.write(insertUser, r) }
func (t *userTx) Replace(r *accounts.Record) error { return t.write(updateUser, r) }

func (t *userTx) Delete(name string) error { return t.exec(deleteUser, name) }

func (t *userTx) write(statement string, r *accounts.Record) error {
	err := t.exec(statement, r.Tenant, r.PasswordHash, r.InitialPassword, r.Stamp, r.Disabled,
		r.CreatedAt.Unix(), r.UpdatedAt.Unix(), r.Name)
	if err != nil {
		return err
	}
	if _, err := t.tx.ExecContext(t.ctx, deleteRoles, r.Name); err != nil {
		return err
	}
	for i, role := range r.Roles {
		if err := t.exec(insertRole, r.Name, i, role); err != nil {
			return err
		}
	}
	return nil
}

// exec runs a statement that must change exactly one row.
func (t *userTx) exec(statement string, args ...any) error {
	result, err := t.tx.ExecContext(t.ctx, statement, args...)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n != 1 {
		return fmt.Errorf("sqlstore: %d rows changed instead of one", n)
	}
	return err
}

// scanner is the Scan of a row or of rows.
type scanner func(dest ...any) error

func scanUser(scan scanner, more ...any) (accounts.User, error) {
	var (
		user             accounts.User
		created, updated int64
		roles            sql.NullString
	)
	err := scan(append([]any{&user.Name, &user.Tenant, &user.Disabled, &created, &updated, &roles}, more...)...)
	user.CreatedAt, user.UpdatedAt = time.Unix(created, 0).UTC(), time.Unix(updated, 0).UTC()
	user.Roles = strings.Fields(roles.String)
	return user, err
}

func scanRecord(scan scanner, name string) (*accounts.Record, error) {
	record := new(accounts.Record)
	user, err := scanUser(scan, &record.PasswordHash, &record.Stamp, &record.InitialPassword)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.Newf(fault.NotFound, "there is no user %s", name)
	}
	if err != nil {
		return nil, err
	}
	record.User = user
	return record, nil
}
