package inference_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/reqctx"
)

func TestWhatARefusalSays(t *testing.T) {
	c := newCatalog(t, inference.Config{FS: files(
		"open/1/model.onnx", "m", "open/model.yaml", analysts,
		"closed/1/model.onnx", "m", "closed/model.yaml", "access: {roles: [analyst]}\n",
		"two/1/model.onnx", "m", "two/model.yaml", twoLayers,
		"certified/1/model.onnx", "m", "certified/model.yaml", "access: {roles: [user], require: [certificate]}\n",
	)})
	key := func(change func(*identity.Principal)) *identity.Principal {
		p := &identity.Principal{Subject: "apikey:a", Tenant: "default", Roles: []string{"user"}, Method: identity.APIKey}
		if change != nil {
			change(p)
		}
		return p
	}
	with := func(p, second *identity.Principal) *identity.Principal { p.With = second; return p }
	outside := of("default", "user")
	outside.Method, outside.Issuer = identity.Outside, "https://idp.example"
	for name, tc := range map[string]struct {
		p     *identity.Principal
		model string
		want  string
	}{
		"who may see the model is told the role":   {of("default", "user"), "open", "forbidden: Operation not permitted: it needs the role analyst"},
		"who may not, nothing":                     {of("default", "user"), "closed", "forbidden: Operation not permitted"},
		"a key for other models":                   {key(func(p *identity.Principal) { p.Models = []string{"closed"} }), "open", "forbidden: Operation not permitted: the credential is for other models"},
		"a missing key":                            {of("default", "user"), "two", "unauthenticated: This model requires an access token and an API key in one request"},
		"a missing token":                          {key(nil), "two", "unauthenticated: This model requires an access token and an API key in one request"},
		"both":                                     {with(of("default", "user"), key(nil)), "two", ""},
		"both, in the other order":                 {with(key(nil), of("default", "user")), "two", ""},
		"a token of another issuer is one":         {with(outside, key(nil)), "two", ""},
		"both, and the key may not":                {with(of("default", "user"), key(func(p *identity.Principal) { p.Roles = nil })), "two", "forbidden: Operation not permitted"},
		"both, and the user may not":               {with(of("default"), key(nil)), "two", "forbidden: Operation not permitted"},
		"both, and the key is for other models":    {with(of("default", "user"), key(func(p *identity.Principal) { p.Models = []string{"open"} })), "two", "forbidden: Operation not permitted: the credential is for other models"},
		"the key of another tenant is no layer":    {with(of("default", "user"), key(func(p *identity.Principal) { p.Tenant = "acme" })), "two", "unauthenticated: This model requires an access token and an API key in one request"},
		"two tokens are not two layers":            {with(of("default", "user"), of("default", "user")), "two", "unauthenticated: This model requires an access token and an API key in one request"},
		"a missing layer before the role":          {of("default"), "two", "unauthenticated: This model requires an access token and an API key in one request"},
		"a certificate":                            {key(func(p *identity.Principal) { p.Method = identity.Certificate }), "certified", ""},
		"another credential than the one required": {of("default", "user"), "certified", "unauthenticated: This model requires a client certificate in one request"},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := c.Open(t.Context(), tc.p, tc.model, "")
			got := ""
			if err != nil {
				got = fault.KindOf(err).String() + ": " + fault.As(err).Msg
			} else {
				call.Close()
			}
			if got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
	if diff := cmp.Diff([]identity.Method{identity.Bearer, identity.APIKey}, c.Requires(of("default"), "two", "1")); diff != "" {
		t.Error(diff)
	}
	if got := c.Requires(of("default"), "open", ""); got != nil {
		t.Errorf("Requires = %v, want none", got)
	}
	if diff := cmp.Diff([]string{"two"}, names(c, with(of("default", "user"), key(nil)))); diff != "" {
		t.Errorf("listed with both credentials (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"open"}, names(c, of("default", "analyst", "user"))[1:]); diff != "" {
		t.Errorf("a model that asks for two credentials is listed for one (-want +got):\n%s", diff)
	}
	if _, err := c.Describe(t.Context(), of("default", "user"), "two", ""); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("Describe = %v, want unauthenticated", err)
	}
	if _, err := c.Describe(t.Context(), of("default", "user"), "open", ""); err != nil {
		t.Errorf("Describe = %v: reading is allowed", err)
	}
}

func TestRulesSeeTheAddressOfTheRequest(t *testing.T) {
	c := newCatalog(t, inference.Config{FS: files(
		"a/1/model.onnx", "m", "a/model.yaml", "access: {rules: [{allow: [predict], addresses: [10.1.0.0/16]}]}\n",
	)})
	from := func(addr string) context.Context {
		return reqctx.With(t.Context(), &reqctx.Info{ClientAddr: netip.MustParseAddr(addr)})
	}
	p := of("default")
	for ctx, want := range map[context.Context]bool{from("10.1.2.3"): true, from("10.2.2.3"): false, t.Context(): false} {
		call, err := c.Open(ctx, p, "a", "")
		if err == nil {
			call.Close()
		}
		_, described := c.Describe(ctx, p, "a", "")
		if (err == nil) != want || (described == nil) != want || (len(c.List(ctx, p)) == 1) != want {
			t.Errorf("from %v: %v, %v, want %t", reqctx.From(ctx).ClientAddr, err, described, want)
		}
	}
}

func TestAVersionWhoseAccessTestsFailIsNotPublished(t *testing.T) {
	const manifest = "access: {roles: [user], share: [acme], rules: [{deny: [predict], subjects: [mallory]}]}\n"
	good := `- {as: {subject: alice, roles: [user]}, action: predict, expect: allow, rule: 0}
- {as: {subject: alice, roles: [user], tenant: acme}, action: read, expect: allow}
- {as: {subject: mallory, roles: [user]}, expect: deny, rule: 1}
- {as: {subject: mallory, roles: [user], issuer: "https://idp.example"}, expect: allow}
- {as: {subject: alice, roles: [user], tenant: globex}, expect: deny, rule: null}
- {as: {subject: alice}, expect: deny, rule: null}
`
	fsys := files("a/1/model.onnx", "a1", "a/model.yaml", manifest, "a/access_test.yaml", good)
	c := newCatalog(t, inference.Config{FS: fsys})
	open := func(p *identity.Principal) bool {
		call, err := c.Open(t.Context(), p, "a", "")
		if err == nil {
			call.Close()
		}
		return err == nil
	}
	mallory := of("default", "user")
	mallory.Subject = "mallory"

	fsys["a/model.yaml"] = &fstest.MapFile{Data: []byte("access: {roles: [user]}\n")}
	err := c.Reload(t.Context())
	for _, want := range []string{
		`a/access_test.yaml:2: expected allow, but the tenant acme does not see the model`,
		`a/access_test.yaml:3: expected deny by rule 1, but rule 0 (roles) allows predict to "mallory", who holds the role user`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Reload = %v, want %q", err, want)
		}
	}
	if open(mallory) || !open(of("default", "user")) {
		t.Error("the rules of the refused manifest are in force")
	}
	fsys["a/access_test.yaml"] = &fstest.MapFile{Data: []byte("- {as: {subject: mallory, roles: [user]}, expect: allow}\n")}
	if err := c.Reload(t.Context()); err != nil || !open(mallory) {
		t.Errorf("with tests that hold: %v", err)
	}
	fsys["a/access_test.yaml"] = &fstest.MapFile{Data: []byte("- {expect: maybe}\n")}
	_, err = inference.New(t.Context(), inference.Config{FS: fsys, Compile: new(compiled).compile, Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), "model a, version 1: a/access_test.yaml:1: expect must be one of allow, deny") {
		t.Errorf("New = %v, want the broken test named", err)
	}
}

func TestAVersionHasItsOwnAccessTestsOrTheModels(t *testing.T) {
	fails := "- {as: {roles: [user]}, expect: deny}\n"
	_, err := inference.New(t.Context(), inference.Config{Compile: new(compiled).compile, Now: time.Now, FS: files(
		"a/model.yaml", forUsers, "a/access_test.yaml", fails, "a/1/model.onnx", "m",
		"a/2/model.onnx", "m", "a/2/access_test.yaml", "- {as: {roles: [user]}, expect: allow}\n",
	)})
	if err == nil || !strings.Contains(err.Error(), "version 1: a/access_test.yaml:1") || strings.Contains(err.Error(), "version 2") {
		t.Errorf("New = %v, want version 1 alone", err)
	}
}

func TestRulesAreExplainedOfTheVersionThatWasRolledBackTo(t *testing.T) {
	fsys := files("m/1/model.onnx", "m", "m/1/model.yaml", forUsers, "m/2/model.onnx", "m", "m/2/model.yaml", analysts)
	pins := &kept{pins: map[string]inference.Pin{"m": {Folder: "m", Tenant: "default", Version: "1", Newest: "2"}}}
	for name, tc := range map[string]struct {
		pins inference.Pins
		want bool
	}{"the newest": {nil, false}, "rolled back": {pins, true}} {
		r, err := inference.OpenRules(t.Context(), inference.Config{FS: fsys, Pins: tc.pins})
		if err != nil {
			t.Fatal(err)
		}
		if e, _, err := r.Explain(of("default", "user"), "m", "predict", netip.Addr{}); err != nil || e.Allow != tc.want {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}

func TestRulesAreExplainedWithoutTheModels(t *testing.T) {
	fsys := files(
		"a/1/model.onnx", "bad", "a/model.yaml", twoLayers, "a/access_test.yaml", "- {as: {roles: [user]}, expect: deny}\n- {expect: deny}\n",
		"b/1/model.onnx", "m", "b/model.yaml", "access: {}\n", "@acme/x/1/model.onnx", "m",
	)
	r, err := inference.OpenRules(t.Context(), inference.Config{FS: fsys, TenantExists: tenants("acme")})
	if err != nil {
		t.Fatal(err)
	}
	e, required, err := r.Explain(of("default", "user"), "a", "predict", netip.Addr{})
	if err != nil || !e.Allow || e.Rule != 0 || len(required) != 2 {
		t.Errorf("Explain = %+v, %v, %v", e, required, err)
	}
	if e, _, err := r.Explain(of("acme", "admin"), "", "predict", netip.Addr{}); err != nil || !e.Allow {
		t.Errorf("the default model: %+v, %v", e, err)
	}
	if _, _, err := r.Explain(of("default", "user"), "b", "predict", netip.Addr{}); err == nil || !strings.Contains(err.Error(), "b/model.yaml:1: access is empty") {
		t.Errorf("a model that cannot be served: %v", err)
	}
	if _, _, err := r.Explain(of("default", "user"), "x", "predict", netip.Addr{}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a foreign model: %v", err)
	}
	results, err := r.Test("")
	if err == nil || !strings.Contains(err.Error(), "b/model.yaml:1") {
		t.Errorf("Test = %v, want what is wrong with b", err)
	}
	want := []inference.TestResult{
		{Model: "a", Version: "1", Tests: 2, Failed: []string{`a/access_test.yaml:1: expected deny, but rule 0 (roles) allows predict to "", who holds the role user`}},
		{Model: "@acme/x", Version: "1"},
	}
	if diff := cmp.Diff(want, results); diff != "" {
		t.Error(diff)
	}
	if results, err := r.Test("@acme/x"); err != nil || len(results) != 1 {
		t.Errorf("Test(@acme/x) = %v, %v", results, err)
	}
	if _, err := r.Test("nothing"); err == nil {
		t.Error("tests of a model that is not there: no error")
	}
}
