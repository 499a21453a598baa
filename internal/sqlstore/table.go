package sqlstore

import (
	"database/sql"
	"errors"
	"slices"
	"strings"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
)

// table is how records of one kind are kept: one row each, found by tenant and
// id. Its statements are made once.
type table[R any] struct {
	name string
	// what names a record to a client.
	what string
	// key and tenant are the columns of the id and of the tenant. A table
	// without tenant belongs to the installation.
	key, tenant string
	columns     []column[R]
	sql         statements
}

// column ties a column to its place in a record.
type column[R any] struct {
	name string
	of   func(*R) field
}

// statements are all that run on a table. Those of one tenant name it; those
// of any tenant are for proving who somebody is and for the installation's
// administrators.
type statements struct {
	selected                      string // up to its condition
	get, getAny, list, listAny    string
	insert, replace, remove, drop string
}

func newTable[R any](t table[R]) *table[R] {
	var names []string
	for _, c := range t.columns {
		names = append(names, c.name)
	}
	selected := "SELECT " + strings.Join(names, ", ") + " FROM " + t.name + " WHERE "
	page := t.key + " > ? ORDER BY " + t.key + " LIMIT ?"
	var sets []string
	for _, n := range names {
		sets = append(sets, n+" = ?")
	}
	t.sql = statements{
		selected: selected, getAny: selected + t.key + " = ?", listAny: selected + page,
		insert: "INSERT INTO " + t.name + " (" + strings.Join(names, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(names)-1) + ")",
		drop:   "DELETE FROM " + t.name + " WHERE " + t.key + " = ?",
	}
	update := "UPDATE " + t.name + " SET " + strings.Join(sets, ", ") + " WHERE "
	if t.tenant == "" {
		t.sql.replace = update + t.key + " = ?"
		return &t
	}
	mine := t.tenant + " = ? AND "
	t.sql.get, t.sql.list = selected+mine+t.key+" = ?", selected+mine+page
	t.sql.replace = update + mine + t.key + " = ?"
	t.sql.remove = "DELETE FROM " + t.name + " WHERE " + mine + t.key + " = ?"
	return &t
}

// value returns the value of a column in a record.
func (t *table[R]) value(r *R, name string) (any, error) {
	i := slices.IndexFunc(t.columns, func(c column[R]) bool { return c.name == name })
	return t.columns[i].of(r).Value()
}

// tenantOf returns the tenant that a record belongs to.
func (t *table[R]) tenantOf(r *R) (string, error) {
	if t.tenant == "" {
		return anyTenant, nil
	}
	v, err := t.value(r, t.tenant)
	if err != nil {
		return "", err
	}
	return asText(v)
}

func (t *table[R]) fields(r *R) []any {
	all := make([]any, len(t.columns))
	for i, c := range t.columns {
		all[i] = c.of(r)
	}
	return all
}

// rows are the records of a table inside a transaction.
type rows[R any] struct {
	*table[R]
	*transaction
}

// Get returns one record.
func (r rows[R]) Get(tenant, id string) (*R, error) {
	if tenant == anyTenant {
		return r.one(tenant, id, r.sql.getAny, id)
	}
	return r.one(tenant, id, r.sql.get, tenant, id)
}

// by returns the record with that value in another unique column, whatever its
// tenant.
func (r rows[R]) by(column, value string) (*R, error) {
	return r.one(anyTenant, value, r.sql.selected+column+" = ?", value)
}

func (r rows[R]) one(tenant, id, query string, args ...any) (*R, error) {
	if !storable(tenant, id) {
		return nil, r.none(id)
	}
	record := new(R)
	err := r.row(tenant, query, args, r.fields(record)...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, r.none(id)
	}
	if err != nil {
		return nil, err
	}
	return record, nil
}

// List returns a page of records.
func (r rows[R]) List(tenant string, page accounts.Page) ([]R, error) {
	if !storable(tenant, page.After) {
		return nil, errNoText
	}
	limit := page.Limit
	if limit <= 0 {
		limit = 1<<31 - 1
	}
	query, args := r.sql.listAny, []any{page.After, limit}
	if tenant != anyTenant {
		query, args = r.sql.list, []any{tenant, page.After, limit}
	}
	var all []R
	err := r.each(tenant, query, args, func(scan func(...any) error) error {
		all = append(all, *new(R))
		return scan(r.fields(&all[len(all)-1])...)
	})
	return all, err
}

// Insert adds a record.
func (r rows[R]) Insert(record *R) error {
	tenant, err := r.tenantOf(record)
	if err == nil {
		_, err = r.change(tenant, r.sql.insert, r.fields(record)...)
	}
	return err
}

// Replace overwrites a record.
func (r rows[R]) Replace(record *R) error {
	tenant, err := r.tenantOf(record)
	if err != nil {
		return err
	}
	id, err := r.value(record, r.key)
	if err != nil {
		return err
	}
	args := r.fields(record)
	if r.tenant != "" {
		args = append(args, tenant)
	}
	return r.set(tenant, id, r.sql.replace, append(args, id)...)
}

// Delete removes a record.
func (r rows[R]) Delete(tenant, id string) error {
	switch {
	case !storable(tenant, id):
		return r.none(id)
	case tenant == anyTenant:
		return r.set(tenant, id, r.sql.drop, id)
	default:
		return r.set(tenant, id, r.sql.remove, tenant, id)
	}
}

// set runs a statement that changes the record with that id.
func (r rows[R]) set(tenant string, id any, statement string, args ...any) error {
	n, err := r.change(tenant, statement, args...)
	if err == nil && n == 0 {
		return r.none(id)
	}
	return err
}

func (r rows[R]) none(id any) error {
	return fault.Newf(fault.NotFound, "there is no %s %v", r.what, id)
}
