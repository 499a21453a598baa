package accounts

import (
	"net/netip"
	"time"
)

// The states of a record, as views tell them.
const (
	StateEnabled  = "enabled"
	StateDisabled = "disabled"
	StateRevoked  = "revoked"
	StateExpired  = "expired"
)

// TenantView is what is told of a tenant, by every command and answer. A limit that
// there is not is null.
type TenantView struct {
	Name      string    `json:"name"`
	Addresses []string  `json:"addresses"`
	Rate      *string   `json:"rate"`
	Quota     *string   `json:"quota"`
	Disabled  bool      `json:"disabled"`
	State     string    `json:"state"`
	Created   time.Time `json:"created"`
	Updated   time.Time `json:"updated"`
}

// View returns what is told of the tenant.
func (t *Tenant) View() TenantView {
	return TenantView{
		Name: t.Name, Addresses: texts(t.Addresses), Rate: orNull(t.Rate), Quota: orNull(t.Quota), Disabled: t.Disabled, State: t.State(),
		Created: seconds(t.CreatedAt), Updated: seconds(t.UpdatedAt),
	}
}

// State is StateEnabled or StateDisabled.
func (t *Tenant) State() string { return stateOf(t.Disabled) }

// UserView is what is told of a user, by every command and answer.
type UserView struct {
	Name     string    `json:"name"`
	Tenant   string    `json:"tenant"`
	Roles    []string  `json:"roles"`
	Disabled bool      `json:"disabled"`
	State    string    `json:"state"`
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
}

// View returns what is told of the user.
func (u *User) View() UserView {
	return UserView{
		Name: u.Name, Tenant: u.Tenant, Roles: u.Roles, Disabled: u.Disabled, State: u.State(),
		Created: seconds(u.CreatedAt), Updated: seconds(u.UpdatedAt),
	}
}

// State is StateEnabled or StateDisabled.
func (u *User) State() string { return stateOf(u.Disabled) }

// ClientView is what is told of a service client, by every command and answer.
// What is not narrowed, and what there is not, is null.
type ClientView struct {
	ID string `json:"client_id"`
	// Secret is told only where it was just made.
	Secret   string   `json:"client_secret,omitempty"`
	Name     string   `json:"name"`
	Tenant   string   `json:"tenant"`
	Roles    []string `json:"roles"`
	Scopes   []string `json:"scopes"`
	Grants   []string `json:"grants"`
	Disabled bool     `json:"disabled"`
	State    string   `json:"state"`
	// Certificate is the name in the certificate that proves the client.
	Certificate *string   `json:"certificate"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
	CreatedBy   string    `json:"created_by"`
}

// View returns what is told of the client.
func (c *Client) View() ClientView {
	return ClientView{
		ID: c.ID, Name: c.Name, Tenant: c.Tenant, Roles: c.Roles, Scopes: c.Scopes, Grants: append([]string{}, c.Grants...),
		Disabled: c.Disabled, State: c.State(), Certificate: orNull(c.Certificate),
		Created: seconds(c.CreatedAt), Updated: seconds(c.UpdatedAt), CreatedBy: c.CreatedBy,
	}
}

// ViewWith is View with the secret that was just made.
func (c *Client) ViewWith(secret string) ClientView {
	v := c.View()
	v.Secret = secret
	return v
}

// State is StateEnabled or StateDisabled.
func (c *Client) State() string { return stateOf(c.Disabled) }

// stateOf is the state of what can be disabled, and nothing else.
func stateOf(disabled bool) string {
	if disabled {
		return StateDisabled
	}
	return StateEnabled
}

// KeyView is what is told of an API key, by every command and answer. What is not
// narrowed, and what there is not, is null.
type KeyView struct {
	ID string `json:"id"`
	// Key is the key's text, told only where it was just made.
	Key       string     `json:"key,omitempty"`
	Name      string     `json:"name"`
	Tenant    string     `json:"tenant"`
	Roles     []string   `json:"roles"`
	Scopes    []string   `json:"scopes"`
	Models    []string   `json:"models"`
	Addresses []string   `json:"addresses"`
	Rate      *string    `json:"rate"`
	Quota     *string    `json:"quota"`
	Expires   *time.Time `json:"expires"`
	Disabled  bool       `json:"disabled"`
	State     string     `json:"state"`
	Created   time.Time  `json:"created"`
	CreatedBy string     `json:"created_by"`
	LastUsed  *time.Time `json:"last_used"`
}

// View returns what is told of the key at this moment.
func (k *APIKey) View(now time.Time) KeyView {
	return KeyView{
		ID: k.ID, Name: k.Name, Tenant: k.Tenant, Roles: k.Roles, Scopes: k.Scopes, Models: k.Models,
		Addresses: texts(k.Addresses), Rate: orNull(k.Rate), Quota: orNull(k.Quota), Expires: instant(k.ExpiresAt), Disabled: k.Disabled, State: k.State(now),
		Created: seconds(k.CreatedAt), CreatedBy: k.CreatedBy, LastUsed: instant(k.LastUsed),
	}
}

// ViewWith is View with the key's text, which was just made.
func (k *APIKey) ViewWith(text string, now time.Time) KeyView {
	v := k.View(now)
	v.Key = text
	return v
}

// State is one of the four. The key of the configuration stays in the store when
// it is revoked, disabled.
func (k *APIKey) State(now time.Time) string {
	switch {
	case k.Disabled && k.Bootstrap:
		return StateRevoked
	case k.Disabled:
		return StateDisabled
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return StateExpired
	}
	return StateEnabled
}

// seconds is a time as views tell it: RFC 3339 in whole seconds of UTC.
func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// instant is a time as views tell it, or null.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	whole := seconds(t)
	return &whole
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// texts are networks as views tell them: a list, also of none.
func texts(networks []netip.Prefix) []string {
	all := make([]string, len(networks))
	for i, n := range networks {
		all[i] = n.String()
	}
	return all
}
