package app_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
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
	_, checked := app.Check(cfg)
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
	if _, err := app.Check(cfg); err == nil || !strings.Contains(err.Error(), "put it back from a backup") {
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
		"a collector that there is not":     {map[string]string{"OTLP_ENDPOINT": "http://127.0.0.1:1"}, 1 << 40, []string{"error telemetry-unreachable", "error telemetry-unreachable"}, "ONNXGATE_OTLP_ENDPOINT"},
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
