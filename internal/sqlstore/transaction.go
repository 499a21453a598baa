package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"onnxgate/internal/accounts"
)

// anyTenant is the name under which statements find what any tenant has.
const anyTenant = accounts.AnyTenant

// transaction is what the tables of one transaction share. Each statement says
// whose rows it is about, which a database that can holds it to, whatever its
// WHERE says.
type transaction struct {
	ctx     context.Context //nolint:containedctx // it lives as long as the call that it came with
	q       querier
	dialect *dialect
	// entered is who the database takes the statements to be about.
	entered string
	wrote   bool
}

// querier is a database or a transaction of database/sql.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// enter has the following statements be about a tenant's rows alone.
func (t *transaction) enter(tenant string) error {
	if t.dialect.enter == "" || t.entered == tenant {
		return nil
	}
	_, err := t.q.ExecContext(t.ctx, t.dialect.enter, tenant)
	if err == nil {
		t.entered = tenant
	}
	return err
}

func (t *transaction) row(tenant, query string, args []any, into ...any) error {
	if err := t.enter(tenant); err != nil {
		return err
	}
	return t.q.QueryRowContext(t.ctx, t.dialect.mark(query), args...).Scan(into...)
}

func (t *transaction) each(tenant, query string, args []any, row func(scan func(...any) error) error) (err error) {
	if err := t.enter(tenant); err != nil {
		return err
	}
	found, err := t.q.QueryContext(t.ctx, t.dialect.mark(query), args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		if err := row(found.Scan); err != nil {
			return err
		}
	}
	return found.Err()
}

func (t *transaction) change(tenant, statement string, args ...any) (int64, error) {
	if err := t.enter(tenant); err != nil {
		return 0, err
	}
	result, err := t.q.ExecContext(t.ctx, t.dialect.mark(statement), args...)
	if err != nil {
		return 0, err
	}
	t.wrote = true
	return result.RowsAffected()
}
