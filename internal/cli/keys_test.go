package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A shared secret has no moment at which it was made: none is shown.
func TestASharedSecretHasNoTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settings := filepath.Join(dir, "settings.env")
	if err := os.WriteFile(settings, []byte("ONNXGATE_JWT_SECRET=q7Jm0Y2cVv6mS1cW3r8u0e5bTz4hXk9LpNaQdRfGsEo=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run(t, dir, "db", "migrate"); got.code != 0 {
		t.Fatal(got)
	}
	for form, want := range map[string]string{"": "HS256 active unknown", "--json": `"created": null`} {
		got := run(t, dir, strings.Fields("keys list --use token --env-file "+settings+" "+form)...)
		if got.code != 0 || !strings.Contains(strings.Join(strings.Fields(got.out), " "), want) {
			t.Errorf("%s: %+v, want %q", form, got, want)
		}
	}
}
