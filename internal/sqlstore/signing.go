package sqlstore

import (
	"context"
	"database/sql/driver"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/keys"
	"onnxgate/internal/sealing"
)

var signingKeys = newTable(table[keys.Record]{
	name: "signing_keys", what: "signing key", key: "kid",
	columns: []column[keys.Record]{
		{"kid", func(r *keys.Record) field { return text{&r.KID} }},
		{"public", func(r *keys.Record) field { return binary{&r.Public} }},
		{"wrapped", func(r *keys.Record) field { return binary{&r.Private} }},
		{"since_ns", func(r *keys.Record) field { return nanoseconds{&r.Since} }},
		{"retired", func(r *keys.Record) field { return flag{&r.Retired} }},
	},
})

// nanoseconds is a column of nanoseconds since 1970.
type nanoseconds struct{ to *time.Time }

func (f nanoseconds) Value() (driver.Value, error) { return f.to.UnixNano(), nil }

func (f nanoseconds) Scan(src any) error {
	var n int64
	err := number{&n}.Scan(src)
	*f.to = time.Unix(0, n).UTC()
	return err
}

// Signing is the store as the keys that sign tokens see it.
type Signing struct{ store *Store }

var _ sealing.SigningStore = Signing{}

// Signing returns the keys that sign tokens.
func (s *Store) Signing() Signing { return Signing{s} }

// Revision returns that of the store.
func (s Signing) Revision(ctx context.Context) (int64, error) { return s.store.Revision(ctx) }

// View runs read on one state of the keys.
func (s Signing) View(ctx context.Context, read func(sealing.SigningKeys) error) error {
	return s.store.viewing(ctx, func(t *transaction) error { return read(signingRows{rows[keys.Record]{signingKeys, t}}) })
}

// Update runs change in one transaction that no other writer can interleave with,
// and moves the revision.
func (s Signing) Update(ctx context.Context, change func(sealing.SigningKeys) error) error {
	return s.store.moving(ctx, func(t *transaction) error { return change(signingRows{rows[keys.Record]{signingKeys, t}}) })
}

// signingRows are the keys inside a transaction.
type signingRows struct{ rows[keys.Record] }

// List returns every key, in the order of their names.
func (r signingRows) List() ([]keys.Record, error) { return r.rows.List(anyTenant, accounts.Page{}) }

// Put adds a key, or overwrites the one of its name.
func (r signingRows) Put(record *keys.Record) error {
	err := r.Replace(record)
	if fault.KindOf(err) == fault.NotFound {
		err = r.Insert(record)
	}
	return err
}

// Wrapped returns whatever the database keeps wrapped.
func (r signingRows) Wrapped() sealing.Wrapped { return wrapped{r.transaction} } //nolint:ireturn // as sealing.SigningKeys has it
