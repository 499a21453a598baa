package httpapi

import (
	"context"
	"time"

	"onnxgate/internal/authn"
	"onnxgate/internal/identity"
)

// IssuerInfo is an outside issuer and how it is doing.
type IssuerInfo struct {
	*authn.Issuer

	// Live is how many keys verify its tokens now.
	Live int
	// Fetched is when they were; zero for those of a file, and before the first
	// time.
	Fetched time.Time
	// Failing says that the last attempt to fetch them failed.
	Failing bool
}

// issuerView is what is told of an outside issuer. Why it cannot be reached is in
// the log.
type issuerView struct {
	Issuer     string            `json:"issuer"`
	Audience   []string          `json:"audience"`
	Algorithms []string          `json:"algorithms"`
	Types      []string          `json:"typ"`
	Token      string            `json:"token"`
	Claims     claimsView        `json:"claims"`
	Roles      map[string]string `json:"roles"`
	Tenant     string            `json:"tenant"`
	State      string            `json:"state"`
	Keys       int               `json:"keys"`
	Fetched    string            `json:"fetched,omitempty"`
}

// claimsView says which claims a principal is made of.
type claimsView struct {
	Subject string   `json:"subject"`
	Tenant  string   `json:"tenant,omitempty"`
	Roles   []string `json:"roles"`
	Scopes  string   `json:"scopes,omitempty"`
}

func viewIssuer(i *IssuerInfo) issuerView {
	v := issuerView{
		Issuer: i.Name, Audience: i.Audience, Algorithms: make([]string, len(i.Algorithms)), Types: i.Types, Token: "access",
		Claims: claimsView{Subject: i.Claims.Subject, Tenant: i.Claims.Tenant, Roles: list(i.Claims.Roles), Scopes: i.Claims.Scopes},
		Roles:  i.Roles, Tenant: i.Tenant, State: "ok", Keys: i.Live, Fetched: timestamp(i.Fetched),
	}
	for n, alg := range i.Algorithms {
		v.Algorithms[n] = string(alg)
	}
	if i.IDToken {
		v.Token = "id"
	}
	if v.Roles == nil {
		v.Roles = map[string]string{}
	}
	switch {
	case i.Live == 0:
		v.State = "down"
	case i.Failing:
		v.State = "cached"
	}
	return v
}

// list returns the words, [] in JSON when there are none.
func list(words []string) []string {
	if words == nil {
		return []string{}
	}
	return words
}

// listIssuers lists the outside issuers: all to callers of the default tenant,
// to any other those whose tokens are of its tenant alone.
func (a *API) listIssuers(_ context.Context, x *exchange) error {
	views := []issuerView{}
	if a.cfg.Issuers != nil {
		for _, i := range a.cfg.Issuers.All() {
			if own := x.principal.Tenant; own == identity.DefaultTenant || i.Claims.Tenant == "" && i.Tenant == own {
				views = append(views, viewIssuer(&i))
			}
		}
	}
	return x.encode(map[string]any{"issuers": views})
}
