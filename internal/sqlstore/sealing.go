package sqlstore

import (
	"context"
	"database/sql/driver"
	"encoding/base64"

	"onnxgate/internal/accounts"
	"onnxgate/internal/sealing"
)

var fernetKeys = newTable(table[sealing.Record]{
	name: "fernet_keys", what: "key", key: "kid", tenant: "tenant",
	columns: []column[sealing.Record]{
		{"kid", func(r *sealing.Record) field { return text{&r.KID} }},
		{"tenant", func(r *sealing.Record) field { return text{&r.Tenant} }},
		{"wrapped", func(r *sealing.Record) field { return binary{&r.Wrapped} }},
		{"state", func(r *sealing.Record) field { return text{(*string)(&r.State)} }},
		{"created_at", func(r *sealing.Record) field { return instant{&r.CreatedAt} }},
		{"retired_at", func(r *sealing.Record) field { return instant{&r.RetiredAt} }},
	},
})

// binary is a column of bytes in base64.
type binary struct{ to *[]byte }

func (f binary) Value() (driver.Value, error) { return base64.StdEncoding.EncodeToString(*f.to), nil }

func (f binary) Scan(src any) error {
	s, err := asText(src)
	if err != nil {
		return err
	}
	*f.to, err = base64.StdEncoding.DecodeString(s)
	return err
}

// SealingKeys is the store as the keys that seal text see it.
type SealingKeys struct{ store *Store }

var _ sealing.Store = SealingKeys{}

// Sealing returns the keys that seal text.
func (s *Store) Sealing() SealingKeys { return SealingKeys{s} }

// Revision returns that of the store.
func (s SealingKeys) Revision(ctx context.Context) (int64, error) { return s.store.Revision(ctx) }

// View runs read on one state of the keys.
func (s SealingKeys) View(ctx context.Context, read func(sealing.Keys) error) error {
	return s.store.viewing(ctx, func(t *transaction) error { return read(sealingRows{rows[sealing.Record]{fernetKeys, t}}) })
}

// Update runs change in one transaction that no other writer can interleave
// with, and moves the revision.
func (s SealingKeys) Update(ctx context.Context, change func(sealing.Keys) error) error {
	return s.store.moving(ctx, func(t *transaction) error { return change(sealingRows{rows[sealing.Record]{fernetKeys, t}}) })
}

// sealingRows are the keys inside a transaction.
type sealingRows struct{ rows[sealing.Record] }

// Insert adds a key, of a tenant that exists. Faults: NotFound.
func (r sealingRows) Insert(record *sealing.Record) error {
	if _, err := (rows[accounts.Tenant]{tenants, r.transaction}).Get(record.Tenant, record.Tenant); err != nil {
		return err
	}
	return r.rows.Insert(record)
}

// List returns the keys of a tenant, or of any.
func (r sealingRows) List(tenant string) ([]sealing.Record, error) {
	return r.rows.List(tenant, accounts.Page{})
}

// Wrapped returns whatever the database keeps wrapped.
func (r sealingRows) Wrapped() sealing.Wrapped { return wrapped{r.transaction} } //nolint:ireturn // as sealing.Keys has it
