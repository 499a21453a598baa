package accounts_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/accounts"
	"onnxgate/internal/identity"
)

func TestViewsTellWholeSecondsAndNullForWhatThereIsNot(t *testing.T) {
	at := time.Date(2030, 1, 31, 13, 0, 0, 123456789, time.FixedZone("", 3600))
	for want, view := range map[string]any{
		`{"client_id":"ogc_a","client_secret":"s","name":"n","tenant":"default","roles":["user"],"scopes":null,"grants":[],"disabled":true,` +
			`"state":"disabled","certificate":null,"created":"2030-01-31T12:00:00Z","updated":"2030-01-31T12:00:00Z","created_by":"me"}`: (&accounts.Client{
			ID: "ogc_a", Name: "n", Tenant: "default", Roles: []string{"user"}, Disabled: true, CreatedAt: at, UpdatedAt: at, CreatedBy: "me",
			SecretHash: "h", FormerHash: "h", Stamp: "h",
		}).ViewWith("s"),
		`{"id":"a","name":"n","tenant":"default","roles":["user"],"scopes":["models:read"],"models":null,"addresses":[],"rate":null,"quota":null,` +
			`"expires":"2030-01-31T12:00:00Z","disabled":false,"state":"expired","created":"2030-01-31T12:00:00Z","created_by":"me","last_used":null}`: (&accounts.APIKey{
			ID: "a", Name: "n", Tenant: "default", Roles: []string{"user"}, Scopes: []string{"models:read"}, ExpiresAt: at, CreatedAt: at, CreatedBy: "me",
			Hash: "h", FormerHash: "h",
		}).View(at),
		`{"name":"acme","addresses":[],"rate":"5/minute","quota":null,"disabled":true,"state":"disabled","created":"2030-01-31T12:00:00Z","updated":"2030-01-31T12:00:00Z"}`: (&accounts.Tenant{
			Tenant: identity.Tenant{Name: "acme", Disabled: true}, Rate: "5/minute", CreatedAt: at, UpdatedAt: at,
		}).View(),
		`{"name":"ada","tenant":"acme","roles":["user"],"disabled":false,"state":"enabled","created":"2030-01-31T12:00:00Z","updated":"2030-01-31T12:00:00Z"}`: (&accounts.User{
			Name: "ada", Tenant: "acme", Roles: []string{"user"}, CreatedAt: at, UpdatedAt: at,
		}).View(),
	} {
		got, err := json.Marshal(view)
		if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
			t.Error(err, diff)
		}
	}
	revoked := &accounts.APIKey{Bootstrap: true, Disabled: true}
	if got := revoked.State(at); got != accounts.StateRevoked {
		t.Error(got)
	}
}
