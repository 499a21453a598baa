package app_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/app"
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
			got := doctor.Diagnose(t.Context(), load(t, filepath.Join(dir, "data"), all))
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
	got := doctor.Diagnose(t.Context(), load(t, data, vars))
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
