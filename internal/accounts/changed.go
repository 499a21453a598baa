package accounts

import (
	"time"

	"onnxgate/internal/audit"
)

// What of a record another one has instead. The zero value stands for what is not
// there yet, or not any more; hashes, stamps and dates of the store's own are not
// told.

func userChanges(before, after *Record) (c audit.Changes) {
	c.List(audit.PropertyRoles, before.Roles, after.Roles)
	c.State(before.Disabled, after.Disabled)
	c.Secret(audit.PropertyPassword, before.PasswordHash, after.PasswordHash)
	return c
}

func tenantChanges(before, after *Tenant) (c audit.Changes) {
	c.List(audit.PropertyNetworks, texts(before.Addresses), texts(after.Addresses))
	c.Text(audit.PropertyRate, before.Rate, after.Rate)
	c.Text(audit.PropertyQuota, before.Quota, after.Quota)
	c.State(before.Disabled, after.Disabled)
	return c
}

func clientChanges(before, after *Client) (c audit.Changes) {
	c.Text(audit.PropertyName, before.Name, after.Name)
	c.List(audit.PropertyRoles, before.Roles, after.Roles)
	c.List(audit.PropertyScopes, before.Scopes, after.Scopes)
	c.List(audit.PropertyGrants, before.Grants, after.Grants)
	c.Text(audit.PropertyCertificate, before.Certificate, after.Certificate)
	c.State(before.Disabled, after.Disabled)
	c.Secret(audit.PropertySecret, before.SecretHash, after.SecretHash)
	return c
}

func keyChanges(before, after *APIKey) (c audit.Changes) {
	c.Text(audit.PropertyName, before.Name, after.Name)
	c.List(audit.PropertyRoles, before.Roles, after.Roles)
	c.List(audit.PropertyScopes, before.Scopes, after.Scopes)
	c.List(audit.PropertyModels, before.Models, after.Models)
	c.List(audit.PropertyNetworks, texts(before.Addresses), texts(after.Addresses))
	c.Text(audit.PropertyRate, before.Rate, after.Rate)
	c.Text(audit.PropertyQuota, before.Quota, after.Quota)
	c.Text(audit.PropertyExpiry, timeText(before.ExpiresAt), timeText(after.ExpiresAt))
	c.State(before.Disabled, after.Disabled)
	c.Secret(audit.PropertySecret, before.Hash, after.Hash)
	return c
}

func timeText(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}
