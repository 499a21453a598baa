package sqlstore

import (
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/identity"
)

// The tables, each with its columns.
var (
	tenants = newTable(table[accounts.Tenant]{
		name: "tenants", what: "tenant", key: "name", tenant: "name",
		columns: []column[accounts.Tenant]{
			{"name", func(r *accounts.Tenant) field { return text{&r.Name} }},
			{"addresses", func(r *accounts.Tenant) field { return networks{&r.Addresses} }},
			{"rate", func(r *accounts.Tenant) field { return text{&r.Rate} }},
			{"quotas", func(r *accounts.Tenant) field { return text{&r.Quota} }},
			{"disabled", func(r *accounts.Tenant) field { return flag{&r.Disabled} }},
			{"created_at", func(r *accounts.Tenant) field { return instant{&r.CreatedAt} }},
			{"updated_at", func(r *accounts.Tenant) field { return instant{&r.UpdatedAt} }},
		},
	})
	users = newTable(table[accounts.Record]{
		name: "users", what: "user", key: "name", tenant: "tenant",
		columns: []column[accounts.Record]{
			{"name", func(r *accounts.Record) field { return text{&r.Name} }},
			{"tenant", func(r *accounts.Record) field { return text{&r.Tenant} }},
			{"roles", func(r *accounts.Record) field { return words{&r.Roles} }},
			{"password_hash", func(r *accounts.Record) field { return text{&r.PasswordHash} }},
			{"initial_password", func(r *accounts.Record) field { return flag{&r.InitialPassword} }},
			{"stamp", func(r *accounts.Record) field { return text{&r.Stamp} }},
			{"disabled", func(r *accounts.Record) field { return flag{&r.Disabled} }},
			{"created_at", func(r *accounts.Record) field { return instant{&r.CreatedAt} }},
			{"updated_at", func(r *accounts.Record) field { return instant{&r.UpdatedAt} }},
		},
	})
	clients = newTable(table[accounts.Client]{
		name: "clients", what: "client", key: "id", tenant: "tenant",
		columns: []column[accounts.Client]{
			{"id", func(r *accounts.Client) field { return text{&r.ID} }},
			{"tenant", func(r *accounts.Client) field { return text{&r.Tenant} }},
			{"name", func(r *accounts.Client) field { return text{&r.Name} }},
			{"roles", func(r *accounts.Client) field { return words{&r.Roles} }},
			{"scopes", func(r *accounts.Client) field { return words{&r.Scopes} }},
			{"grants", func(r *accounts.Client) field { return words{&r.Grants} }},
			{"certificate", func(r *accounts.Client) field { return optional{&r.Certificate} }},
			{"disabled", func(r *accounts.Client) field { return flag{&r.Disabled} }},
			{"secret_hash", func(r *accounts.Client) field { return text{&r.SecretHash} }},
			{"former_hash", func(r *accounts.Client) field { return text{&r.FormerHash} }},
			{"former_until", func(r *accounts.Client) field { return instant{&r.FormerUntil} }},
			{"stamp", func(r *accounts.Client) field { return text{&r.Stamp} }},
			{"created_by", func(r *accounts.Client) field { return text{&r.CreatedBy} }},
			{"created_at", func(r *accounts.Client) field { return instant{&r.CreatedAt} }},
			{"updated_at", func(r *accounts.Client) field { return instant{&r.UpdatedAt} }},
		},
	})
	apiKeys = newTable(table[accounts.APIKey]{
		name: "api_keys", what: "API key", key: "id", tenant: "tenant",
		columns: []column[accounts.APIKey]{
			{"id", func(r *accounts.APIKey) field { return text{&r.ID} }},
			{"tenant", func(r *accounts.APIKey) field { return text{&r.Tenant} }},
			{"name", func(r *accounts.APIKey) field { return text{&r.Name} }},
			{"roles", func(r *accounts.APIKey) field { return words{&r.Roles} }},
			{"scopes", func(r *accounts.APIKey) field { return words{&r.Scopes} }},
			{"models", func(r *accounts.APIKey) field { return words{&r.Models} }},
			{"addresses", func(r *accounts.APIKey) field { return networks{&r.Addresses} }},
			{"rate", func(r *accounts.APIKey) field { return text{&r.Rate} }},
			{"quotas", func(r *accounts.APIKey) field { return text{&r.Quota} }},
			{"bootstrap", func(r *accounts.APIKey) field { return flag{&r.Bootstrap} }},
			{"disabled", func(r *accounts.APIKey) field { return flag{&r.Disabled} }},
			{"hash", func(r *accounts.APIKey) field { return text{&r.Hash} }},
			{"former_hash", func(r *accounts.APIKey) field { return text{&r.FormerHash} }},
			{"former_until", func(r *accounts.APIKey) field { return instant{&r.FormerUntil} }},
			{"expires_at", func(r *accounts.APIKey) field { return instant{&r.ExpiresAt} }},
			{"created_by", func(r *accounts.APIKey) field { return text{&r.CreatedBy} }},
			{"created_at", func(r *accounts.APIKey) field { return instant{&r.CreatedAt} }},
			{"last_used", func(r *accounts.APIKey) field { return instant{&r.LastUsed} }},
		},
	})
	families = newTable(table[accounts.Family]{
		name: "refresh_families", what: "refresh token", key: "id", tenant: "tenant",
		columns: []column[accounts.Family]{
			{"id", func(r *accounts.Family) field { return text{&r.ID} }},
			{"tenant", func(r *accounts.Family) field { return text{&r.Tenant} }},
			{"user_name", func(r *accounts.Family) field { return text{&r.User} }},
			{"stamp", func(r *accounts.Family) field { return text{&r.Stamp} }},
			{"client_id", func(r *accounts.Family) field { return text{&r.ClientID} }},
			{"scope", func(r *accounts.Family) field { return text{&r.Scope} }},
			{"hash", func(r *accounts.Family) field { return text{&r.Hash} }},
			{"created_at", func(r *accounts.Family) field { return instant{&r.CreatedAt} }},
			{"expires_at", func(r *accounts.Family) field { return instant{&r.ExpiresAt} }},
		},
	})
	revocations = newTable(table[accounts.Revocation]{
		name: "revocations", what: "revocation", key: "id", tenant: "tenant",
		columns: []column[accounts.Revocation]{
			{"id", func(r *accounts.Revocation) field { return text{&r.ID} }},
			{"tenant", func(r *accounts.Revocation) field { return text{&r.Tenant} }},
			{"expires_at", func(r *accounts.Revocation) field { return instant{&r.ExpiresAt} }},
		},
	})
	servers = newTable(table[accounts.Server]{
		name: "servers", what: "server", key: "id",
		columns: []column[accounts.Server]{
			{"id", func(r *accounts.Server) field { return text{&r.ID} }},
			{"seen", func(r *accounts.Server) field { return number{&r.Seen} }},
			{"at", func(r *accounts.Server) field { return instant{&r.At} }},
		},
	})
)

// The statements beside those of the tables.
const (
	pruneFamilies    = `DELETE FROM refresh_families WHERE expires_at < ?`
	pruneRevocations = `DELETE FROM revocations WHERE expires_at < ?`
	pruneServers     = `DELETE FROM servers WHERE at < ?`
	// keyOrAnother finds the key or the first of all, by the same steps: how long
	// it takes does not tell whether there is such a key.
	keyOrAnother = `id = (SELECT max(id) FROM (
		SELECT id FROM api_keys WHERE id = ? UNION ALL SELECT min(id) FROM api_keys) AS either)`
	bootstrapKeys = `SELECT id FROM api_keys WHERE bootstrap`
	keyUsed       = `UPDATE api_keys SET last_used = ? WHERE id = ? AND last_used < ?`
	moveRevision  = `UPDATE revision SET value = value + 1`
	readRevision  = `SELECT value FROM revision`
)

// accounts returns the transaction as the accounts see it.
func (t *transaction) accounts() *accounts.Tx {
	return &accounts.Tx{
		Tenants:     rows[accounts.Tenant]{tenants, t},
		Users:       rows[accounts.Record]{users, t},
		Clients:     rows[accounts.Client]{clients, t},
		Keys:        rows[accounts.APIKey]{apiKeys, t},
		Families:    rows[accounts.Family]{families, t},
		Revocations: rows[accounts.Revocation]{revocations, t},
		Servers:     rows[accounts.Server]{servers, t},
		ClientByCertificate: func(name string) (*accounts.Client, error) {
			return rows[accounts.Client]{clients, t}.by("certificate", name)
		},
		CountAdmins: func() (n int, err error) {
			err = t.row(identity.DefaultTenant, t.dialect.countAdmins(), nil, &n)
			return n, err
		},
		KeyOrAnother:  t.keyOrAnother,
		BootstrapKeys: t.bootstrapKeys,
		KeyUsed: func(id string, at time.Time) error {
			_, err := t.change(anyTenant, keyUsed, at.Unix(), id, at.Unix())
			return err
		},
		Prune: t.prune,
	}
}

func (t *transaction) keyOrAnother(id string) (*accounts.APIKey, error) {
	return rows[accounts.APIKey]{apiKeys, t}.one(anyTenant, id, apiKeys.sql.selected+keyOrAnother, id)
}

func (t *transaction) bootstrapKeys() (ids []string, err error) {
	err = t.each(anyTenant, bootstrapKeys, nil, func(scan func(...any) error) error {
		ids = append(ids, "")
		return scan(&ids[len(ids)-1])
	})
	return ids, err
}

func (t *transaction) prune(before time.Time) error {
	for _, statement := range []string{pruneFamilies, pruneRevocations} {
		if _, err := t.change(anyTenant, statement, before.Unix()); err != nil {
			return err
		}
	}
	_, err := t.change(anyTenant, pruneServers, before.Add(-forgotten).Unix())
	return err
}

// forgotten is when a server that told nothing was killed, and is nobody's to
// wait for.
const forgotten = 24 * time.Hour
