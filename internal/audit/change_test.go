package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
)

func TestTheListOfPropertiesHasEveryOneOnce(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "change.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []audit.Property
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Property") {
			literal, ok := spec.Values[0].(*ast.BasicLit)
			if !ok {
				t.Fatalf("%v is no literal", spec.Names)
			}
			word, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, audit.Property(word))
		}
		return true
	})
	if diff := cmp.Diff(declared, audit.Properties); diff != "" || len(declared) < 10 {
		t.Errorf("(-declared +listed):\n%s", diff)
	}
}

// promotion is what an administrator of the installation does to a user of a tenant.
func promotion() *audit.Record {
	rec := &audit.Record{Event: audit.UserRoles, Actor: "root", Tenant: "default", Object: "bob", Outcome: audit.OK}
	rec.Changes.List(audit.PropertyRoles, []string{"user"}, []string{"user", "admin"})
	rec.Changes.State(true, false)
	rec.Changes.Secret(audit.PropertyPassword, "hash of one", "hash of another")
	rec.In("acme")
	return rec
}

// U08: whoever audits a tenant reads what others did to it, and what became of
// what; the tenant of who did it, and every other, does not.
func TestARecordIsTheTenantsToWhomItWasDone(t *testing.T) {
	cfg := config(t, t.TempDir())
	l := open(t, cfg)
	if err := l.Record(t.Context(), promotion()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []string{"default", "globex", ""} {
		if all := entries(t, cfg, tenant); len(all) > 0 {
			t.Errorf("%q reads %s", tenant, all[0].AppendJSON(nil))
		}
	}
	all := entries(t, cfg, "acme")
	if len(all) != 1 {
		t.Fatalf("%d records", len(all))
	}
	line := string(all[0].AppendJSON(nil))
	const want = `"actor_tenant":"default","object":"bob","changes":[{"what":"roles","old":"user","new":"user admin"},{"what":"state","old":"disabled","new":"enabled"},{"what":"password"}]}`
	if !strings.HasSuffix(line, want) || !json.Valid([]byte(line)) {
		t.Errorf("%s\nwant at its end %s", line, want)
	}
	var table bytes.Buffer
	out := audit.NewExport(&table, audit.CSV)
	if err := out.Write(all[0]); err != nil || out.Close() != nil || !strings.Contains(table.String(), `[{""what"":""roles"",""old"":""user""`) {
		t.Errorf("%v: %s", err, table.String())
	}
	// What became of bob is bob's: it goes with the key of that name.
	if n, err := l.Erase(t.Context(), "local:root", audit.AnyTenant, "", "bob"); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if e := entries(t, cfg, "acme")[0]; e.Actor != "root" || e.Object != "" || len(e.Changes) > 0 || e.Missing != audit.MissingErased {
		t.Errorf("after it was erased: %s", e.AppendJSON(nil))
	}
	if report := verify(t, audit.NewReader(cfg), nil); !report.OK {
		t.Error(show(report))
	}
}

func TestInKeepsWhoseActorItWas(t *testing.T) {
	for name, c := range map[string]struct {
		in                  []string
		tenant, actorTenant string
	}{
		"its own":            {[]string{"default"}, "default", ""},
		"another":            {[]string{"acme"}, "acme", "default"},
		"another, and again": {[]string{"acme", "globex"}, "globex", "default"},
		"there and back":     {[]string{"acme", "default"}, "default", ""},
	} {
		rec := &audit.Record{Tenant: "default"}
		for _, tenant := range c.in {
			rec.In(tenant)
		}
		if rec.Tenant != c.tenant || rec.ActorTenant != c.actorTenant {
			t.Errorf("%s: of %q by one of %q", name, rec.Tenant, rec.ActorTenant)
		}
	}
}

// Nobody hides a word behind others, and no value makes a record too long to keep.
func TestChangesAreBounded(t *testing.T) {
	cfg := config(t, t.TempDir())
	l := open(t, cfg)
	rec := promotion()
	models := strings.TrimSpace(strings.Repeat(strings.Repeat("m", 63)+" ", 256))
	rec.Object, rec.Event = "key", audit.APIKeyUpdate
	rec.Changes = audit.Changes{{What: audit.PropertyModels, Old: models, New: models + " z"}, {What: audit.PropertyRoles, New: "admin"}}
	hostile := promotion()
	hostile.Changes = nil
	for _, what := range slices.Concat(audit.Properties, audit.Properties) {
		hostile.Changes = append(hostile.Changes, audit.Change{What: what, Old: strings.Repeat("\x1b", 1<<20), New: strings.Repeat("a", 1<<20)})
	}
	for _, rec := range []*audit.Record{rec, hostile} {
		if err := l.Record(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	all := entries(t, cfg, "acme")
	if diff := cmp.Diff(rec.Changes, all[0].Changes); diff != "" {
		t.Error("a long list is not there as it was")
	}
	line := string(all[1].AppendJSON(nil))
	if len(all[1].Changes) != len(audit.Properties) || len(line) > 96<<10 || strings.Contains(line, "\x1b") || !strings.Contains(line, "bytes more]") {
		t.Errorf("%d changes in %d bytes", len(all[1].Changes), len(line))
	}
}

// What was decided is what the rule says; why it was refused all the same is the
// outcome.
func TestTheDecisionIsTheRulesOwn(t *testing.T) {
	about := audit.About{Model: "iris", Version: "1", Rule: audit.RuleOf(0)}
	denied := audit.About{Model: "iris", Version: "1", Rule: audit.RuleOf(3)}
	nothing := audit.About{Model: "iris", Version: "1"}
	for name, c := range map[string]struct {
		refusal audit.Refusal
		want    audit.Decision
		rule    audit.Rule
	}{
		"content that a rule let in": {audit.Refusal{About: about, Err: fault.New(fault.Content, "")}, audit.Allow, audit.RuleOf(0)},
		"a quota behind a rule":      {audit.Refusal{About: about, Err: fault.New(fault.QuotaExceeded, "")}, audit.Allow, audit.RuleOf(0)},
		"a rule":                     {audit.Refusal{Err: fault.Wrap(fault.Forbidden, "", &audit.DenialError{About: denied})}, audit.Deny, audit.RuleOf(3)},
		"no rule that matches":       {audit.Refusal{Err: fault.Wrap(fault.Forbidden, "", &audit.DenialError{About: nothing})}, audit.Deny, audit.Rule{}},
		"a permission":               {audit.Refusal{Err: fault.New(fault.Forbidden, "")}, audit.Deny, audit.Rule{}},
		"a rate before any rule":     {audit.Refusal{Err: fault.New(fault.RateLimited, "")}, "", audit.Rule{}},
		"a path that there is not":   {audit.Refusal{Err: fault.New(fault.NotFound, "")}, "", audit.Rule{}},
	} {
		kept := &lastRecord{}
		c.refusal.Principal = ada
		trail := audit.NewTrail(audit.TrailConfig{Log: kept})
		if err := trail.Refuse(request(t, here), &c.refusal); err != nil {
			t.Fatal(err)
		}
		if kept.rec.Decision != c.want || kept.rec.Rule != c.rule || kept.rec.Outcome != audit.Outcome(c.refusal.Err) {
			t.Errorf("%s: %q by %v, %s", name, kept.rec.Decision, kept.rec.Rule, kept.rec.Outcome)
		}
	}
}

// lastRecord keeps the last record.
type lastRecord struct {
	nowhere
	rec audit.Record
}

func (l *lastRecord) Record(_ context.Context, rec *audit.Record) error {
	l.rec = *rec
	return nil
}
