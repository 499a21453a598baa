package config_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"onnxgate/internal/config"
	"onnxgate/internal/config/agefile"
)

// sealedDir is a working directory with a sealed .env.age, and what opens it.
func sealedDir(t *testing.T, text string) (identity string) {
	t.Helper()
	t.Chdir(t.TempDir())
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := agefile.Seal([]byte(text), []age.Recipient{id.Recipient()}, true)
	if err != nil {
		t.Fatal(err)
	}
	put(t, ".env.age", string(sealed))
	return write(t, "identity", id.String()+"\n")
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// environment is one with no .env file named.
func environment(t *testing.T, vars map[string]string) config.Source {
	t.Helper()
	src := source(t, vars)
	src.EnvFile = ""
	return src
}

func TestSealedSettingsAreReadBesideOrInsteadOfPlainOnes(t *testing.T) {
	identity := sealedDir(t, "\nONNXGATE_JWT_SECRET="+goodSecret+"\nONNXGATE_MAX_ROWS=5\nONNXGATE_AUDIENCE=sealed\n")
	vars := map[string]string{"ONNXGATE_ENV_IDENTITY_FILE": identity, "ONNXGATE_AUDIENCE": "real"}
	c, err := config.Load(environment(t, vars))
	if err != nil {
		t.Fatal(err)
	}
	if c.JWTSecret.Reveal() != goodSecret || c.MaxRows != 5 || c.Audience != "real" {
		t.Errorf("%+v", c)
	}
	for name, want := range map[string]string{
		"ONNXGATE_JWT_SECRET": ".env.age:2", "ONNXGATE_MAX_ROWS": ".env.age:3",
		"ONNXGATE_AUDIENCE": "environment", "ONNXGATE_ENV_IDENTITY_FILE": "environment",
	} {
		if got := c.Origin(name); got != want {
			t.Errorf("%s is from %s, want %s", name, got, want)
		}
	}
	put(t, ".env", "ONNXGATE_ADDR=127.0.0.1:9443\nONNXGATE_MAX_ROWS=5\n")
	c, err = config.Load(environment(t, vars))
	if err != nil || c.Addr != "127.0.0.1:9443" || c.Origin("ONNXGATE_ADDR") != ".env:1" || c.Origin("ONNXGATE_MAX_ROWS") != ".env.age:3" {
		t.Errorf("both: %+v, %v", c, err)
	}
}

func TestASealedFileMayBeNamed(t *testing.T) {
	identity := sealedDir(t, "ONNXGATE_MAX_ROWS=5\n")
	if err := os.Rename(".env.age", "production.env"); err != nil {
		t.Fatal(err)
	}
	src := environment(t, map[string]string{"ONNXGATE_ENV_IDENTITY_FILE": identity})
	src.EnvFile = "production.env"
	if c, err := config.Load(src); err != nil || c.MaxRows != 5 || c.Origin("ONNXGATE_MAX_ROWS") != "production.env:1" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestSealedSettingsThatCannotBeRightAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		sealed, plain string
		vars          map[string]string // besides the identity
		want          string
	}{
		"no identity":             {"", "", map[string]string{"ONNXGATE_ENV_IDENTITY_FILE": ""}, ".env.age: is encrypted; set ONNXGATE_ENV_IDENTITY_FILE in the environment"},
		"an identity not there":   {"", "", map[string]string{"ONNXGATE_ENV_IDENTITY_FILE": "/no/such/file"}, `"/no/such/file", which ONNXGATE_ENV_IDENTITY_FILE names: no such file`},
		"an identity in .env":     {"", "ONNXGATE_ENV_IDENTITY_FILE=key.txt\n", nil, ".env:1: ONNXGATE_ENV_IDENTITY_FILE is read from the real environment alone"},
		"an identity in itself":   {"ONNXGATE_ENV_IDENTITY_FILE=key.txt\n", "", nil, ".env.age:1: ONNXGATE_ENV_IDENTITY_FILE is read from the real environment alone"},
		"two values":              {"\nONNXGATE_MAX_ROWS=6\n", "ONNXGATE_MAX_ROWS=5\n", nil, ".env.age:2: ONNXGATE_MAX_ROWS has another value in .env:1; keep one of them"},
		"one of them not set":     {"ONNXGATE_MAX_ROWS=6\n", "ONNXGATE_MAX_ROWS=\n", nil, ".env.age:1: ONNXGATE_MAX_ROWS has another value in .env:1"},
		"an unknown setting":      {"ONNXGATE_DOC=on\n", "", nil, ".env.age:1: ONNXGATE_DOC is no setting; did you mean ONNXGATE_DOCS?"},
		"a line that is none":     {"canary\n", "", nil, ".env.age:1: is not NAME=value"},
		"a value out of range":    {"ONNXGATE_MAX_ROWS=0\n", "", nil, "ONNXGATE_MAX_ROWS: 0 is out of range"},
		"a secret that is sample": {"ONNXGATE_JWT_SECRET=canary-changeme\n", "", nil, "ONNXGATE_JWT_SECRET: this looks like a sample"},
	} {
		t.Run(name, func(t *testing.T) {
			vars := map[string]string{"ONNXGATE_ENV_IDENTITY_FILE": sealedDir(t, tc.sealed)}
			maps.Copy(vars, tc.vars)
			if tc.plain != "" {
				put(t, ".env", tc.plain)
			}
			_, err := config.Load(environment(t, vars))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows a value: %v", err)
			}
		})
	}
}

func TestFilesThatAreNotWhatTheirNameSaysAreRefused(t *testing.T) {
	identity := sealedDir(t, "ONNXGATE_MAX_ROWS=5\n")
	vars := map[string]string{"ONNXGATE_ENV_IDENTITY_FILE": identity}
	for name, tc := range map[string]struct{ text, want string }{
		"plain":    {"ONNXGATE_MAX_ROWS=5\n", "is not encrypted, though its name says so"},
		"empty":    {"", "is not encrypted"},
		"cut":      {"age-encryption.org/v1\n-> X25519 x", "cannot be opened with"},
		"too long": {"age-encryption.org/v1\n" + strings.Repeat("x", agefile.MaxFile), "larger than"},
	} {
		put(t, ".env.age", tc.text)
		if _, err := config.Load(environment(t, vars)); err == nil || !strings.Contains(err.Error(), ".env.age: ") || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	if err := os.Remove(".env.age"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(".env.age", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(environment(t, vars)); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
}

func TestOpeningLeavesNothingBehind(t *testing.T) {
	identity := sealedDir(t, "ONNXGATE_MAX_ROWS=5\n")
	if _, err := config.Load(environment(t, map[string]string{"ONNXGATE_ENV_IDENTITY_FILE": identity})); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*")
	if got := strings.Join(files, " "); err != nil || got != ".env.age" {
		t.Errorf("left %q, %v", got, err)
	}
}
