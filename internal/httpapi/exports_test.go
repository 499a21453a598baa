package httpapi_test

import (
	"context"
	"net/http"
	"testing"

	"onnxgate/internal/audit"
	"onnxgate/internal/authz"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
)

// slowRecords are read until the test lets them end.
type slowRecords struct {
	began chan struct{}
	end   chan struct{}
}

func (r *slowRecords) Read(ctx context.Context, _ audit.Query, _ func(*audit.Entry) error) (int64, error) {
	r.began <- struct{}{}
	select {
	case <-r.end:
	case <-ctx.Done():
	}
	return 0, nil
}

// TestATenantHasTwoExportsAtOnce: each reads the log of all tenants, and the
// processors are everybody's.
func TestATenantHasTwoExportsAtOnce(t *testing.T) {
	records := &slowRecords{began: make(chan struct{}), end: make(chan struct{})}
	f := newAPI(t, func(c *httpapi.Config) {
		c.Records, c.Roles = records, authz.Roles{}
		c.Authenticator = callers{"one": auditor("one"), "other": auditor("other")}
	}).serve()
	export := func(token string) int {
		return f.doAt(f.admin, request{method: http.MethodGet, path: "/admin/v1/audit", token: token}).StatusCode
	}
	answers := make(chan int, 2)
	for range 2 {
		go func() { answers <- export("one") }()
		<-records.began
	}
	if got := export("other"); got != http.StatusServiceUnavailable {
		t.Errorf("the third of the tenant: %d, want 503", got)
	}
	records.end <- struct{}{}
	if got := <-answers; got != http.StatusOK {
		t.Errorf("one of two: %d, want 200", got)
	}
	go func() { answers <- export("other") }()
	<-records.began
	close(records.end)
	for range 2 {
		if got := <-answers; got != http.StatusOK {
			t.Errorf("one of two, and one when another had ended: %d, want 200", got)
		}
	}
}

func auditor(name string) *identity.Principal {
	return &identity.Principal{Subject: name, Tenant: identity.DefaultTenant, Roles: []string{"auditor"}, Scopes: []string{identity.AuditRead}, Method: identity.Bearer}
}
