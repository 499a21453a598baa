package oracle

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/open-policy-agent/opa/v1/rego"

	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// perWorld is how many requests are made to one set of models.
const perWorld = 200

// TestTheCatalogAnswersAsTheOracle draws sets of models of several tenants, as
// folders with model.yaml, and asks for them by every action that reaches one.
func TestTheCatalogAnswersAsTheOracle(t *testing.T) {
	count, seed := fromEnv(t, "DECISIONS", 10_000), fromEnv(t, "SEED", 1)
	query, err := rego.New(rego.Query("data.access.outcome"), rego.Module("access.rego", access)).PrepareForEval(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]uint64{}
	var w world
	for i := range count {
		d := draw{rand.New(rand.NewPCG(seed+1<<32, i))}
		if i%perWorld == 0 {
			w = d.world(t)
		}
		req := d.request()
		if req.Principal == nil || req.Action == authz.Write {
			continue
		}
		input := inputOf(authz.Policy{}, req)
		input["models"], input["name"] = w.models, req.Model
		result, err := query.Eval(t.Context(), rego.EvalParsedInput(parsed(t, input)))
		if err != nil || len(result) != 1 {
			t.Fatalf("request %d of seed %d: %v, %v", i, seed, result, err)
		}
		mine := w.ask(t, req)
		if theirs := result[0].Expressions[0].Value; mine != theirs {
			t.Fatalf("request %d of seed %d: %s, the oracle says %v of\n%s", i, seed, mine, theirs, indented(t, input))
		}
		outcomes[mine]++
	}
	t.Logf("%d requests of seed %d: %v", count, seed, outcomes)
	for _, kind := range []string{"not found", "unauthenticated", "forbidden", "iris of default", "wine of acme"} {
		if outcomes[kind] < count/200 {
			t.Errorf("only %d of %d are %s: the draw proves too little", outcomes[kind], count, kind)
		}
	}
}

// world is a catalog, and its models as the oracle knows them.
type world struct {
	catalog *inference.Catalog
	models  []any
}

func (w *world) ask(t *testing.T, req authz.Request) string {
	t.Helper()
	ctx := reqctx.With(t.Context(), &reqctx.Info{ClientAddr: req.Address})
	var name, tenant string
	var err error
	if req.Action == authz.Read {
		var info inference.ModelInfo
		info, err = w.catalog.Describe(ctx, req.Principal, req.Model, "")
		name, tenant = info.Name, info.Tenant
	} else {
		var call *inference.Call
		if call, err = w.catalog.Open(ctx, req.Principal, req.Model, ""); err == nil {
			name, tenant = call.Model(), owner(call.Label())
			call.Close()
		}
	}
	if err != nil {
		return fault.KindOf(err).String()
	}
	return name + " of " + tenant
}

// owner reads a tenant out of the folder of a model.
func owner(label string) string {
	for _, tenant := range tenants {
		if len(label) > len(tenant) && label[0] == '@' && label[1:1+len(tenant)] == tenant {
			return tenant
		}
	}
	return identity.DefaultTenant
}

func (d draw) world(t *testing.T) world {
	t.Helper()
	w := world{models: []any{}}
	files := fstest.MapFS{}
	for _, tenant := range tenants {
		for _, name := range models {
			if d.chance(30) {
				continue
			}
			policy := d.written()
			require := shortened(d.some(30, schema.LayerBearer, schema.LayerAPIKey, schema.LayerCertificate))
			share := shortened(d.some(60, "acme", "globex", schema.ShareAll))
			folder := name
			if tenant != identity.DefaultTenant {
				folder = "@" + tenant + "/" + name
			}
			files[folder+"/1/model.onnx"] = &fstest.MapFile{}
			files[folder+"/model.yaml"] = &fstest.MapFile{Data: manifestOf(t, policy, require, share)}
			w.models = append(w.models, map[string]any{
				"tenant": tenant, "name": name, "require": orEmpty(require), "share": orEmpty(share),
				"policy": inputOf(policy, authz.Request{})["policy"],
			})
		}
	}
	var err error
	w.catalog, err = inference.New(t.Context(), inference.Config{
		FS: files, TenantExists: func(context.Context, string) (bool, error) { return true, nil }, Now: time.Now,
		Compile: func([]byte, schema.Engine) (inference.Program, []string, error) { return nothing{}, nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// written is a policy as a file can say it: no list is empty, and each claim is
// named once in a rule.
func (d draw) written() authz.Policy {
	policy := d.policy()
	policy.Roles = shortened(policy.Roles)
	for i := range policy.Rules {
		r := &policy.Rules[i]
		r.Tenants, r.Roles, r.Scopes, r.Subjects = shortened(r.Tenants), shortened(r.Roles), shortened(r.Scopes), shortened(r.Subjects)
		r.Issuers = shortened(slices.DeleteFunc(r.Issuers, func(s string) bool { return s == "" }))
		r.Addresses = slices.Compact(r.Addresses)
		if len(r.Addresses) == 0 {
			r.Addresses = nil
		}
		seen := map[string]bool{}
		r.When = slices.DeleteFunc(r.When, func(c authz.Claim) bool { twice := seen[c.Name]; seen[c.Name] = true; return twice })
	}
	if policy.Roles == nil && policy.Rules == nil {
		policy.Roles = []string{schema.AdminRole}
	}
	return policy
}

// shortened returns each word once, and nil for none.
func shortened(words []string) []string {
	words = slices.Compact(slices.Sorted(slices.Values(words)))
	if len(words) == 0 {
		return nil
	}
	return words
}

func orEmpty(words []string) []string { return append([]string{}, words...) }

// manifestOf writes a model.yaml. JSON is YAML, too.
func manifestOf(t *testing.T, policy authz.Policy, require, share []string) []byte {
	t.Helper()
	rules := []any{}
	for _, r := range policy.Rules {
		rule := map[string]any{map[bool]string{true: "deny", false: "allow"}[r.Deny]: r.Actions}
		for key, list := range map[string][]string{"tenants": r.Tenants, "roles": r.Roles, "scopes": r.Scopes, "subjects": r.Subjects, "issuers": r.Issuers} {
			maps.Copy(rule, present(key, list))
		}
		maps.Copy(rule, present("addresses", texts(r.Addresses)))
		when := map[string]any{}
		for _, c := range r.When {
			when[c.Name] = c.Values
		}
		if len(when) > 0 {
			rule["when"] = when
		}
		rules = append(rules, rule)
	}
	access := map[string]any{}
	for key, list := range map[string][]string{"roles": policy.Roles, "require": require, "share": share} {
		maps.Copy(access, present(key, list))
	}
	if len(rules) > 0 {
		access["rules"] = rules
	}
	data, err := json.Marshal(map[string]any{"access": access})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// present is a key with its list, nothing when there is none.
func present(key string, list []string) map[string]any {
	if list == nil {
		return nil
	}
	return map[string]any{key: list}
}

func texts(networks []netip.Prefix) []string {
	var all []string
	for _, n := range networks {
		all = append(all, n.String())
	}
	return all
}

// nothing is a program that is never run.
type nothing struct{}

func (nothing) Inputs() []tensor.Spec {
	return []tensor.Spec{{Name: "x", DType: tensor.Float32, Ranked: true, Dims: []tensor.Dim{{Size: -1}, {Size: 1}}}}
}

func (n nothing) Outputs() []tensor.Spec { return n.Inputs() }

func (nothing) Run(context.Context, []*tensor.Tensor, []*tensor.Tensor) error {
	return errors.New("nothing is predicted here")
}
