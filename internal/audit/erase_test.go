package audit_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
)

// U08: a person's records are unreadable for ever once their key is destroyed, also
// where others did something to them, and the log still verifies.
func TestAnErasedPersonIsNowhereAndTheLogStillVerifies(t *testing.T) {
	cfg := config(t, t.TempDir())
	l := open(t, cfg)
	records := []*audit.Record{
		prediction("bob"), prediction("ann"),
		{Event: audit.UserAdd, Actor: "ann", Tenant: "acme", Object: "bob", Outcome: audit.OK},
		{Event: audit.Predict, Actor: "apikey:1", Tenant: "acme", Beside: [audit.MaxBeside]audit.Credential{{Actor: "bob", Method: "bearer"}}, Outcome: audit.OK},
	}
	for _, rec := range records {
		if err := l.Record(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	checkpoint, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := open(t, cfg) // a server that knows the keys goes on beside the command
	if _, err := l.Erase(t.Context(), "local:root", audit.AnyTenant, "", "nobody"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("erased nobody: %v", err)
	}
	n, err := l.Erase(t.Context(), "local:root", audit.AnyTenant, "", "bob")
	if err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	if err := other.Record(t.Context(), prediction("bob")); err != nil { // who is here again
		t.Fatal(err)
	}
	if _, err := other.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := entries(t, cfg, audit.AnyTenant)
	if e := all[0]; e.Actor != "" || e.Missing != audit.MissingErased {
		t.Errorf("what bob did: %+v", e)
	}
	if e := all[1]; e.Actor != "ann" || e.Missing != "" {
		t.Errorf("what ann did: %+v", e)
	}
	if e := all[2]; e.Actor != "ann" || e.Object != "" || e.Missing != audit.MissingErased {
		t.Errorf("what was done to bob: %+v", e)
	}
	if e := all[3]; e.Actor != "apikey:1" || len(e.Beside) > 0 || e.Missing != audit.MissingErased {
		t.Errorf("what was done with bob's token: %+v", e)
	}
	if e := all[4]; e.Event != audit.AuditErase || e.Actor != "local:root" || strings.Contains(string(e.AppendJSON(nil)), "bob") {
		t.Errorf("on record is %s", e.AppendJSON(nil))
	}
	if e := all[5]; e.Actor != "bob" {
		t.Errorf("afterwards: %+v", e)
	}
	if report := verify(t, audit.NewReader(cfg), checkpoint); !report.OK || report.Size != 6 {
		t.Error(show(report))
	}
}

// A tenant reads its own records and no others.
func TestATenantReadsItsOwnAlone(t *testing.T) {
	cfg := config(t, t.TempDir())
	l := open(t, cfg)
	for _, tenant := range []string{"acme", "globex", "acme", ""} {
		rec := prediction("ann")
		rec.Tenant = tenant
		if err := l.Record(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for tenant, want := range map[string]int{"acme": 2, "globex": 1, "": 1, "nobody": 0, audit.AnyTenant: 4} {
		all := entries(t, cfg, tenant)
		if len(all) != want {
			t.Errorf("%q reads %d, want %d", tenant, len(all), want)
		}
	}
}

func TestRecordsPastTheirAgeAreGone(t *testing.T) {
	cfg := config(t, t.TempDir())
	now := noon
	cfg.Now = func() time.Time { return now }
	l := open(t, cfg)
	for _, month := range []time.Month{time.January, time.February, time.March} {
		for _, tenant := range []string{"acme", "globex"} {
			rec := prediction("ann")
			rec.Tenant, rec.Time = tenant, time.Date(2026, month, 28, 23, 59, 59, 0, time.UTC)
			if err := l.Record(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, err := l.Expire(t.Context(), "local:root", "acme", time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)); n != 4 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	for tenant, want := range map[string]string{"acme": "erased erased  ", "globex": "  "} {
		var got []string
		for _, e := range entries(t, cfg, tenant) {
			got = append(got, e.Missing)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("of %s: %q", tenant, got)
		}
	}
	if report := verify(t, audit.NewReader(cfg), nil); !report.OK {
		t.Error(show(report))
	}
}

// U07: no file shows what is sealed, and no other key-encryption key opens it.
func TestNoFileShowsWhatIsSealed(t *testing.T) {
	cfg := config(t, t.TempDir())
	l := open(t, cfg)
	rec := prediction("canary-actor")
	rec.RequestID, rec.Model, rec.Object = "canary-request", "canary-model", "canary-object"
	if err := l.Record(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(cfg.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %04o", path, info.Mode().Perm())
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte("canary")) {
			t.Errorf("%s shows it", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	cfg.KEK = newKEK(t, 2)
	if l, err := audit.Open(cfg); err == nil {
		t.Errorf("opened under another key: %v", l.Close())
	}
	if _, err := audit.NewReader(cfg).Read(t.Context(), audit.Query{Tenant: audit.AnyTenant}, func(*audit.Entry) error { return nil }); err == nil {
		t.Error("read under another key")
	}
}
