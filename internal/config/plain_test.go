package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"onnxgate/internal/config"
)

func TestFilesWhereASecretInForceStandsAreNamed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text, environment string
		want              bool
	}{
		"a secret":                       {"ONNXGATE_JWT_SECRET=q3J8vLw2ZtR7yXcB5nM1kPdF6hGsA9eU\n", "", true},
		"no secret":                      {"ONNXGATE_LOG_LEVEL=debug\n", "", false},
		"one that the environment hides": {"ONNXGATE_JWT_SECRET=q3J8vLw2ZtR7yXcB5nM1kPdF6hGsA9eU\n", "B5nM1kPdF6hGsA9eUq3J8vLw2ZtR7yXc", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), ".env")
			if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, err := config.Load(config.Source{EnvFile: path, Lookup: func(name string) (string, bool) {
				return tc.environment, name == "ONNXGATE_JWT_SECRET" && tc.environment != ""
			}})
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Contains(cfg.PlainFiles(), path); got != tc.want {
				t.Errorf("named: %v, want %v", got, tc.want)
			}
		})
	}
}
