package httpapi_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
)

// revocable is an auditor until it is revoked.
type revocable struct{ gone atomic.Bool }

func (r *revocable) Authenticate(context.Context, authn.Credentials) (*identity.Principal, error) {
	if r.gone.Load() {
		return nil, fault.New(fault.Unauthenticated, "The access token was revoked")
	}
	return &identity.Principal{Subject: "eve", Tenant: identity.DefaultTenant, Roles: []string{"auditor"}, Scopes: []string{"audit:read"}, Method: identity.Bearer}, nil
}

// longLog is a log that takes ten seconds to read, or until nobody wants more of it.
type longLog struct{ failed error }

func (l *longLog) Read(_ context.Context, _ audit.Query, do func(*audit.Entry) error) (int64, error) {
	e := audit.Entry{Event: "predict", Actor: strings.Repeat("a", 1000)}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); e.Index++ {
		if l.failed = do(&e); l.failed != nil {
			return e.Index, l.failed
		}
	}
	return e.Index, nil
}

func TestAnExportEndsWithTheRightsOfWhoTakesIt(t *testing.T) {
	t.Parallel()
	auditor, records := &revocable{}, &longLog{}
	f := newAPI(t, func(c *httpapi.Config) { c.Authenticator, c.Records = auditor, records }).serve()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.admin.URL+"/admin/v1/audit", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer any")
	resp, err := f.admin.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read to its end
	if _, err := io.CopyN(io.Discard, resp.Body, 10_000); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	auditor.gone.Store(true)
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("the export was whole, with %d bytes after its token was revoked", n)
	}
	if fault.KindOf(records.failed) != fault.Unauthenticated {
		t.Errorf("the log was read until %v", records.failed)
	}
}
