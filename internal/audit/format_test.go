package audit_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"onnxgate/internal/audit"
)

// firstFormat is a copy of a log of the first format, of 20 records in which a key
// sealed everything that a person did.
func firstFormat(t *testing.T) audit.Config {
	t.Helper()
	cfg := config(t, t.TempDir())
	if err := os.CopyFS(cfg.Dir, os.DirFS(filepath.Join("testdata", "format-1"))); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// A log of the first format is read and verified as it was, and goes on in the
// present one.
func TestALogOfTheFirstFormatIsReadAndGoesOn(t *testing.T) {
	cfg := firstFormat(t)
	before := entries(t, cfg, audit.AnyTenant)
	want := &audit.Entry{
		Time: noon, Event: audit.Predict, Actor: "ada", Tenant: "acme", Method: "bearer", Address: "192.0.2.7",
		Model: "iris", Version: "1", Digest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		Decision: audit.Allow, Rule: audit.RuleOf(1), Rows: 3, LatencyMS: 12.345, RequestID: "0123456789abcdef0123456789abcdef", Outcome: audit.OK,
	}
	if diff := cmp.Diff(want, before[0], cmpopts.EquateComparable(audit.Rule{})); diff != "" || len(before) != 20 {
		t.Errorf("%d records (-want +got):\n%s", len(before), diff)
	}
	checkpoint, err := audit.NewReader(cfg).Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, cfg)
	appendPredictions(t, l, 20)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if report := verify(t, audit.NewReader(cfg), checkpoint); !report.OK || report.Size != 40 {
		t.Error(show(report))
	}
	if diff := cmp.Diff(before, entries(t, cfg, audit.AnyTenant)[:20], cmpopts.EquateComparable(audit.Rule{})); diff != "" {
		t.Errorf("read otherwise than before:\n%s", diff)
	}
}

// Whoever is erased is erased in records of the first format, too, whose keys knew
// no issuer: with everything, and others of that name as well.
func TestAPersonIsErasedInTheFirstFormat(t *testing.T) {
	for name, issuer := range map[string]string{"of our own": "", "of an issuer": "https://idp.example"} {
		t.Run(name, func(t *testing.T) {
			cfg := firstFormat(t)
			l := open(t, cfg)
			if n, err := l.Erase(t.Context(), "local:root", audit.AnyTenant, issuer, "ada"); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			all := entries(t, cfg, audit.AnyTenant)
			for i, beside := range map[int]bool{0: false, 1: false, 3: true} {
				if e := all[i]; e.Missing != audit.MissingErased || len(e.Beside) > 0 || beside != (e.Actor == "apikey:1") {
					t.Errorf("record %d: %s", i, e.AppendJSON(nil))
				}
			}
			if e := all[2]; e.Actor != "ann" || e.Object != "bob" || e.Missing != "" {
				t.Errorf("others: %s", e.AppendJSON(nil))
			}
			if report := verify(t, audit.NewReader(cfg), nil); !report.OK {
				t.Error(show(report))
			}
		})
	}
}

// U08: what goes with a person is what concerns the person, and what the server did
// stays; of another issuer's the same name is another person.
func TestErasingAPersonLeavesWhatTheServerDid(t *testing.T) {
	const idp = "https://idp.example"
	for name, c := range map[string]struct {
		issuer     string
		gone, left int
	}{
		"of our own":   {"", 0, 1},
		"of an issuer": {idp, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, t.TempDir())
			l := open(t, cfg)
			local, outside := prediction("ada"), prediction("ada")
			outside.Issuer = idp
			for _, rec := range []*audit.Record{local, outside} {
				rec.RequestID, rec.Token, rec.Input, rec.Address = "r", "jti-1", "ab", here
				if err := l.Record(t.Context(), rec); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := l.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := entries(t, cfg, audit.AnyTenant)
			if n, err := l.Erase(t.Context(), "local:root", audit.AnyTenant, c.issuer, "ada"); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			all := entries(t, cfg, audit.AnyTenant)
			if diff := cmp.Diff(before[c.left], all[c.left], cmpopts.EquateComparable(audit.Rule{})); diff != "" {
				t.Errorf("the other person:\n%s", diff)
			}
			want := *before[c.gone]
			want.Actor, want.Issuer, want.Address, want.Token, want.Input, want.Missing = "", "", "", "", "", audit.MissingErased
			if diff := cmp.Diff(&want, all[c.gone], cmpopts.EquateComparable(audit.Rule{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if want.Model == "" || want.RequestID == "" || want.Rows == 0 || want.LatencyMS == 0 || want.Outcome == "" {
				t.Errorf("%+v", want)
			}
			if report := verify(t, audit.NewReader(cfg), nil); !report.OK {
				t.Error(show(report))
			}
		})
	}
}
