package app_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/accounts"
	"onnxgate/internal/app"
	"onnxgate/internal/config"
	"onnxgate/internal/testkit"
)

// idsOf returns the severities and ids of findings.
func idsOf(all []app.Finding) []string {
	var ids []string
	for i := range all {
		ids = append(ids, string(all[i].Severity)+" "+all[i].ID)
	}
	return ids
}

// operated are settings of a server whose operator brings the certificate, which
// ends at the time.
func operated(t *testing.T, dir string) (vars map[string]string, ends time.Time) {
	t.Helper()
	pair := testkit.NewCA(t, "servers").IssueServer(t, "127.0.0.1")
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: key},
	} {
		var text bytes.Buffer
		if err := pem.Encode(&text, block); err != nil {
			t.Fatal(err)
		}
		write(t, file, text.String())
	}
	return map[string]string{
		"TLS_CERT_FILE": certFile, "TLS_KEY_FILE": keyFile, "RATE_TOKEN": "5/minute", "RATE_PREDICT": "10/minute",
	}, pair.Leaf.NotAfter
}

func TestTheDoctorSaysWhenACertificateEndsAndWhatItDoesNotName(t *testing.T) {
	dir := t.TempDir()
	vars, ends := operated(t, dir)
	const day = 24 * time.Hour
	for name, tc := range map[string]struct {
		left   time.Duration
		issuer string
		want   []string
	}{
		"15 days":         {15 * day, "https://127.0.0.1:8443", nil},
		"13 days":         {13 * day, "https://127.0.0.1:8443", []string{"warning certificate-expires"}},
		"ended":           {-time.Second, "https://127.0.0.1:8443", []string{"error certificate-expires"}},
		"of another name": {15 * day, "https://ml.example.com", []string{"warning certificate-name"}},
	} {
		t.Run(name, func(t *testing.T) {
			all := maps.Clone(vars)
			all["ISSUER"] = tc.issuer
			doctor := app.Doctor{Now: func() time.Time { return ends.Add(-tc.left) }}
			got, _ := doctor.Diagnose(t.Context(), load(t, filepath.Join(dir, "data"), all))
			if diff := cmp.Diff(tc.want, idsOf(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheDoctorFindsWhatOthersMayReadOrAPasswordThatLiesAbout(t *testing.T) {
	dir := t.TempDir()
	vars, ends := operated(t, dir)
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(vars["TLS_KEY_FILE"], 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(data, "initial-admin-password"), "secret")
	doctor := app.Doctor{Now: func() time.Time { return ends.Add(-100 * 24 * time.Hour) }}
	got, _ := doctor.Diagnose(t.Context(), load(t, data, vars))
	want := []string{"warning data-dir-mode", "warning key-file-mode", "warning initial-password"}
	if diff := cmp.Diff(want, idsOf(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, f := range got {
		if f.Fix == "" || f.Detail == "" {
			t.Errorf("%+v", f)
		}
	}
}

// What a start refuses, doctor and config check refuse, too; and they name the record.
func TestADamagedAuditLogIsFoundBeforeAStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := start(t, dir, nil)
	s.stop(t)
	cfg := load(t, dir, nil)
	doctor := app.Doctor{Now: time.Now, Free: plenty}
	if got, looked := doctor.Diagnose(t.Context(), cfg); slices.Contains(idsOf(got), "error audit-damaged") || !strings.Contains(strings.Join(looked, "\n"), "each as its checkpoints sign it") {
		t.Errorf("a log that is whole: %v, %v", got, looked)
	}
	segments, err := filepath.Glob(filepath.Join(dir, "audit", "*.jsonl"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("%v, %v", segments, err)
	}
	text, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	write(t, segments[0], strings.Join(strings.SplitAfter(string(text), "\n")[:2], ""))
	_, refused := app.New(t.Context(), cfg, app.Options{Log: io.Discard, Version: "test"})
	_, checked := app.Check(t.Context(), cfg)
	for what, err := range map[string]error{"a start": refused, "config check": checked} {
		if err == nil || !strings.Contains(err.Error(), "damaged at record ") {
			t.Errorf("%s: %v, want it refused", what, err)
		}
	}
	got, _ := doctor.Diagnose(t.Context(), cfg)
	at := slices.IndexFunc(got, func(f app.Finding) bool { return f.ID == "audit-damaged" })
	if at < 0 || got[at].Severity != app.Error || !strings.Contains(got[at].Detail, "damaged at record ") || !strings.HasPrefix(got[at].Fix, "keep its directory as evidence") {
		t.Errorf("%+v", got)
	}
	if err := os.Remove(filepath.Join(dir, "kek")); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Check(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "put it back from a backup") {
		t.Errorf("without the key: %v", err)
	}
}

// The server tells nobody why it is not ready; what it stands on does.
func TestTheDoctorSaysWhyAServerIsNotReady(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer server.Close()
	for name, tc := range map[string]struct {
		free uint64
		have bool
		want string
	}{
		"no log":      {1 << 40, false, "its audit log is gone"},
		"a full disk": {1 << 20, true, "has 1 MiB left"},
		"a stop":      {1 << 40, true, "it stops, or could not keep a record"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if tc.have {
				start(t, dir, nil).stop(t)
			}
			doctor := app.Doctor{Now: time.Now, Free: func(string) (uint64, error) { return tc.free, nil }}
			got, _ := doctor.Diagnose(t.Context(), load(t, dir, map[string]string{"TLS": "off", "ADDR": server.Listener.Addr().String()}))
			at := slices.IndexFunc(got, func(f app.Finding) bool { return f.ID == "server-not-ready" })
			if at < 0 || !strings.Contains(got[at].Detail, tc.want) {
				t.Errorf("%+v, want %q", got, tc.want)
			}
		})
	}
}

// Nor does it tell why it is degraded.
func TestTheDoctorSaysWhyAServerIsDegraded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"status":"degraded"}`) }))
	defer server.Close()
	dir := t.TempDir()
	start(t, dir, nil).stop(t)
	for name, tc := range map[string]struct {
		audit string
		free  uint64
		want  string
	}{
		"no database":                            {"strict", 1 << 20, "without its database"},
		"no database, and a best-effort log":     {"best-effort", 1 << 40, "without its database"},
		"no room for the best-effort log's disk": {"best-effort", 1 << 20, "has 1 MiB left"},
	} {
		doctor := app.Doctor{Now: time.Now, Free: func(string) (uint64, error) { return tc.free, nil }}
		got, _ := doctor.Diagnose(t.Context(), load(t, dir, map[string]string{"TLS": "off", "ADDR": server.Listener.Addr().String(), "AUDIT": tc.audit}))
		at := slices.IndexFunc(got, func(f app.Finding) bool { return f.ID == "server-degraded" })
		if at < 0 || !strings.Contains(got[at].Detail, tc.want) {
			t.Errorf("%s: %+v, want %q", name, got, tc.want)
		}
	}
}

func plenty(string) (uint64, error) { return 1 << 40, nil }

func TestTheDoctorFindsWhatCannotBeReachedAndWhatRunsOut(t *testing.T) {
	dir := t.TempDir()
	vars, ends := operated(t, dir)
	secret := filepath.Join(dir, "secret")
	write(t, secret, "q7Jm0Y2cVv6mS1cW3r8u0e5bTz4hXk9L")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // it took connections and no more
	for name, tc := range map[string]struct {
		vars map[string]string
		free uint64
		want []string
		fix  string
	}{
		"a syslog server that there is not": {map[string]string{"SYSLOG_URL": "tls://127.0.0.1:1"}, 1 << 40, []string{"error telemetry-unreachable"}, "ONNXGATE_SYSLOG_URL"},
		"a syslog server":                   {map[string]string{"SYSLOG_URL": "tcp://" + listener.Addr().String()}, 1 << 40, nil, ""},
		"a collector that there is not":     {map[string]string{"OTLP_ENDPOINT": "http://127.0.0.1:1"}, 1 << 40, []string{"error telemetry-unreachable"}, "ONNXGATE_OTLP_ENDPOINT"},
		"two collectors that there are not": {map[string]string{"OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://127.0.0.1:2/v1/logs"}, 1 << 40, []string{"error telemetry-unreachable", "error telemetry-unreachable"}, "ONNXGATE_OTLP_ENDPOINT"},
		"no URL of a collector":             {map[string]string{"OTLP_ENDPOINT": "ftp://collector"}, 1 << 40, []string{"error start-refused"}, "fix that"},
		"records that may be lost":          {map[string]string{"AUDIT": "best-effort"}, 1 << 40, []string{"warning audit-best-effort"}, "ONNXGATE_AUDIT=strict"},
		"a secret in a file":                {map[string]string{"JWT_SECRET_FILE": secret}, 1 << 40, []string{"warning hs256"}, "remove ONNXGATE_JWT_SECRET_FILE"},
		"little space":                      {nil, 1<<30 - 1, []string{"warning disk-full"}, "make room"},
		"next to none":                      {nil, 1 << 20, []string{"error disk-full"}, "make room"},
	} {
		t.Run(name, func(t *testing.T) {
			all := maps.Clone(vars)
			maps.Copy(all, tc.vars)
			doctor := app.Doctor{Now: func() time.Time { return ends.Add(-100 * 24 * time.Hour) }, Free: func(string) (uint64, error) { return tc.free, nil }}
			got, _ := doctor.Diagnose(t.Context(), load(t, filepath.Join(dir, "data"), all))
			if diff := cmp.Diff(tc.want, idsOf(got)); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			if len(got) > 0 && !strings.Contains(got[0].Fix, tc.fix) {
				t.Errorf("the fix is %q, want %q in it", got[0].Fix, tc.fix)
			}
		})
	}
}

func TestTheFixOfASettingIsWhole(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.env")
	write(t, empty, "")
	_, err := config.Load(config.Source{EnvFile: empty, Lookup: func(name string) (string, bool) { return "10/fortnight", name == "ONNXGATE_RATE_PREDICT" }})
	problems, ok := errors.AsType[config.SettingErrors](err)
	if !ok {
		t.Fatal(err)
	}
	got := app.DiagnoseSettings(problems)
	if len(got) != 1 || !strings.HasPrefix(got[0].Fix, "write N/second, N/minute") || !strings.HasSuffix(got[0].Fix, "or off") {
		t.Errorf("%+v", got)
	}
}

func TestEveryIDOfAFindingIsInTheClosedList(t *testing.T) {
	source, err := os.ReadFile("finding.go")
	if err != nil {
		t.Fatal(err)
	}
	var ids, listed []string
	for _, found := range regexp.MustCompile(`(?m)^\t\w+ += "([a-z0-9-]+)"$`).FindAllSubmatch(source, -1) {
		ids = append(ids, string(found[1]))
	}
	for _, d := range app.Diagnoses() {
		listed = append(listed, d.ID)
	}
	slices.Sort(ids)
	slices.Sort(listed)
	if diff := cmp.Diff(ids, listed); diff != "" || len(ids) == 0 {
		t.Errorf("(-ids +list):\n%s", diff)
	}
}

// A start refuses a key-encryption key that does not open what is stored; so says the
// doctor, as one finding, with what to do.
func TestTheDoctorFindsAKeyEncryptionKeyThatOpensNothing(t *testing.T) {
	postgres := testkit.StartPostgres(t)
	for name, vars := range map[string]map[string]string{
		"SQLite": nil, "PostgreSQL": {},
	} {
		t.Run(name, func(t *testing.T) {
			if vars != nil {
				vars["DATABASE_URL"] = postgres.Database(t)
			}
			dir := filepath.Join(t.TempDir(), "data")
			s := start(t, dir, vars)
			s.stop(t)
			doctor := app.Doctor{Now: time.Now, Free: plenty}
			got, looked := doctor.Diagnose(t.Context(), load(t, dir, vars))
			if slices.Contains(idsOf(got), "error start-refused") || !regexp.MustCompile(`(?m)^key-encryption key .*: fingerprint [0-9a-f]{8}$`).MatchString(strings.Join(looked, "\n")) ||
				!regexp.MustCompile(`(?m)^database .*: `+strings.ToLower(name[:6])+`.*, version [0-9]+ of the schema$`).MatchString(strings.Join(looked, "\n")) {
				t.Errorf("its own key: %+v, %q", got, looked)
			}
			if checked, err := app.Check(t.Context(), load(t, dir, vars)); err != nil || checked.Untried != "" {
				t.Errorf("config check with its own key: %+v, %v", checked, err)
			}
			write(t, filepath.Join(dir, "kek"), "q7Jm0Y2cVv6mS1cW3r8u0e5bTz4hXk9LpNaQdRfGsEo=\n")
			wantRefusedOnce(t, doctor, load(t, dir, vars), "another key")
			if vars == nil {
				return
			}
			wantRefusedOnce(t, doctor, load(t, filepath.Join(t.TempDir(), "new"), vars), "a new data directory")
		})
	}
}

// wantRefusedOnce wants a start refused, and the doctor to say so once.
func wantRefusedOnce(t *testing.T, doctor app.Doctor, cfg *config.Config, what string) {
	t.Helper()
	got, _ := doctor.Diagnose(t.Context(), cfg)
	var refused []app.Finding
	for _, f := range got {
		if f.ID == "start-refused" && f.Severity == app.Error {
			refused = append(refused, f)
		}
	}
	if len(refused) != 1 || slices.Contains(idsOf(got), "error audit-damaged") || !strings.Contains(refused[0].Detail, "key-encryption key") || strings.Contains(refused[0].Fix, "settings.md") {
		t.Errorf("%s: %+v", what, got)
	}
	before := filesIn(t, cfg.DataDir)
	_, checked := app.Check(t.Context(), cfg)
	if diff := cmp.Diff(before, filesIn(t, cfg.DataDir)); diff != "" {
		t.Errorf("%s: config check changed files: %s", what, diff)
	}
	_, err := app.New(t.Context(), cfg, app.Options{Log: io.Discard, Version: "test"})
	if err == nil {
		t.Fatalf("%s: a server starts", what)
	}
	for who, text := range map[string]string{"config check": fmt.Sprint(checked), "a start": err.Error()} {
		if text != refused[0].Text() {
			t.Errorf("%s: %s says %q, the doctor %q", what, who, text, refused[0].Text())
		}
	}
}

// filesIn returns what is in a folder, and when each file was last written.
func filesIn(t *testing.T, dir string) map[string]time.Time {
	t.Helper()
	found := map[string]time.Time{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			found[path] = info.ModTime()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestACheckSaysWhatItDidNotTry: a database that is not there yet, or away, is no
// error, and nothing is made.
func TestACheckSaysWhatItDidNotTry(t *testing.T) {
	for name, c := range map[string]struct {
		vars map[string]string
		want string
		// missing says that there is known to be no tenant.
		missing bool
	}{
		"no database yet":                {nil, "there is no database ", true},
		"one that is away":               {map[string]string{"DATABASE_URL": "postgres://onnxgate@127.0.0.1:1/onnxgate?sslmode=disable"}, "database 127.0.0.1/onnxgate: ", false},
		"one that no server has yet had": {map[string]string{"DATABASE_URL": testkit.StartPostgres(t).Database(t)}, "no server was started yet with the database ", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir, folder := filepath.Join(t.TempDir(), "data"), t.TempDir()
			vars := map[string]string{"MODELS_DIR": folder}
			maps.Copy(vars, c.vars)
			for _, name := range []string{"iris", "@acme/iris"} { // of which the second asks for a tenant
				if err := os.CopyFS(filepath.Join(folder, name), os.DirFS("../../models/iris")); err != nil {
					t.Fatal(err)
				}
			}
			cfg := load(t, dir, vars)
			checked, err := app.Check(t.Context(), cfg)
			if refused := err != nil && strings.Contains(err.Error(), `there is no tenant "acme"`); refused != c.missing || err != nil && !refused || !strings.HasPrefix(checked.Untried, c.want) {
				t.Errorf("%+v, %v; want %q", checked, err, c.want)
			}
			if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the data directory: %v", err)
			}
			if status, err := app.DatabaseStatus(t.Context(), cfg); err == nil && status.Version > 0 {
				t.Errorf("a check has made version %d of the schema", status.Version)
			}
		})
	}
}

// TestACheckReadsTheFilesOfOurOwnKeys, as a start does.
func TestACheckReadsTheFilesOfOurOwnKeys(t *testing.T) {
	dir := t.TempDir()
	start(t, dir, nil).stop(t)
	signing, err := filepath.Glob(filepath.Join(dir, "keys", "*.pem"))
	if err != nil || len(signing) != 1 {
		t.Fatal(signing, err)
	}
	cfg := load(t, dir, nil)
	for _, path := range []string{signing[0], filepath.Join(dir, "tls", "key.pem"), filepath.Join(dir, "tls", "cert.pem"), filepath.Join(dir, "kek")} {
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, "nothing of use\n")
		_, checked := app.Check(t.Context(), cfg)
		_, refused := app.New(t.Context(), cfg, app.Options{Log: io.Discard, Version: "test"})
		if refused == nil || checked == nil || checked.Error() != refused.Error() || !strings.Contains(checked.Error(), path) {
			t.Errorf("%s: config check says %v, and a start %v", path, checked, refused)
		}
		write(t, path, string(good))
	}
	if _, err := app.Check(t.Context(), cfg); err != nil {
		t.Errorf("with everything as it was: %v", err)
	}
}

func TestTheDoctorNamesRolesThatNobodyHasDefined(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	cfg := load(t, dir, nil)
	service, done, err := app.OpenAccounts(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = service.CreateKey(t.Context(), accounts.Actor{Name: "root", Tenant: accounts.AnyTenant}, accounts.NewKey{Name: "job", Roles: []string{"user", "amdin"}})
	if err = errors.Join(err, done()); err != nil {
		t.Fatal(err)
	}
	doctor := app.Doctor{Now: time.Now, Free: plenty}
	got, _ := doctor.Diagnose(t.Context(), cfg)
	at := slices.IndexFunc(got, func(f app.Finding) bool { return f.ID == "role-undefined" })
	if at < 0 || got[at].Severity != app.Warning || !strings.Contains(got[at].Detail, `the role "amdin"`) || strings.Contains(got[at].Detail, `"user"`) {
		t.Errorf("%+v", got)
	}
}

func TestDoctorNamesKeysThatCannotDoWhatTheyAreFor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	cfg := load(t, dir, map[string]string{"RATE_PREDICT": "10/minute"})
	service, done, err := app.OpenAccounts(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	root := accounts.Actor{Name: "root", Tenant: accounts.AnyTenant}
	_, _, err = service.CreateKey(t.Context(), root, accounts.NewKey{Name: "good", Roles: []string{"user"}, Models: []string{"iris"}, Rate: "10/minute"})
	_, _, other := service.CreateKey(t.Context(), root, accounts.NewKey{Name: "bad", Roles: []string{"user"}, Models: []string{"iirs"}, Rate: "11/minute"})
	if err = errors.Join(err, other, done()); err != nil {
		t.Fatal(err)
	}
	doctor := app.Doctor{Now: time.Now, Free: plenty}
	got, _ := doctor.Diagnose(t.Context(), cfg)
	seen := map[string]string{}
	for _, f := range got {
		if strings.HasPrefix(f.ID, "key-") {
			seen[f.ID] += f.Detail
		}
	}
	if len(seen) != 2 || strings.Count(seen["key-model"], "the model") != 1 || !strings.Contains(seen["key-model"], `the model "iirs"`) || !strings.HasSuffix(seen["key-rate"], "never reach: ONNXGATE_RATE_PREDICT is 10/minute") {
		t.Errorf("%v", seen)
	}
}

// The advice keeps what is there, and asks for nothing that is.
func TestDoctorAdvisesOnRatesByWhatTheyCount(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	cfg := load(t, dir, map[string]string{"RATE_PREDICT": "500 rows/minute", "RATE_PREDICT_PER": "principal"})
	service, done, err := app.OpenAccounts(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	root := accounts.Actor{Name: "root", Tenant: accounts.AnyTenant}
	_, _, err = service.CreateKey(t.Context(), root, accounts.NewKey{Name: "rows", Roles: []string{"user"}, Rate: "600 rows/minute"})
	if err = errors.Join(err, done()); err != nil {
		t.Fatal(err)
	}
	doctor := app.Doctor{Now: time.Now, Free: plenty}
	got, _ := doctor.Diagnose(t.Context(), cfg)
	fix := map[string]string{}
	for _, f := range got {
		fix[f.ID] += f.Fix
	}
	if !strings.Contains(fix["rates-off"], "10/minute, 500 rows/minute") || !strings.Contains(fix["key-rate"], "or leave the key without") || strings.Contains(fix["key-rate"], "per principal") {
		t.Errorf("%v", fix)
	}
}

// A database that is away is one line of the log, and another when it is back; no other
// tells of it as of keys that somebody has to mend.
func TestADatabaseThatIsAwayIsLoggedOnce(t *testing.T) {
	postgres := testkit.StartPostgres(t)
	s := start(t, filepath.Join(t.TempDir(), "data"), map[string]string{"DATABASE_URL": postgres.Database(t)})
	logged := func(line string) {
		t.Helper()
		testkit.Eventually(t, fmt.Sprintf("%q is in the log", line), func() bool { return strings.Contains(s.log.String(), line) })
	}
	postgres.Stop(t)
	logged("the database is away")
	time.Sleep(time.Second) // for those who look at it every second
	postgres.Start(t)
	logged("the database is back")
	if text := s.log.String(); strings.Count(text, "the database is away") != 1 || strings.Contains(text, "kept the old signing keys") {
		t.Error(text)
	}
}
