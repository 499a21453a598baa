package seal_test

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/seal"
)

func TestWrappedKeysOpenOnlyWhereTheyBelong(t *testing.T) {
	_, secret := randomKey(t)
	kek, err := seal.NewKEK(secret)
	if err != nil {
		t.Fatal(err)
	}
	home := seal.Binding{Use: "fernet", Tenant: "acme", KID: "1"}
	wrapped := kek.Wrap(home, []byte("the key"))
	if got, err := kek.Unwrap(home, wrapped); err != nil || string(got) != "the key" {
		t.Fatalf("%q, %v", got, err)
	}
	if string(kek.Wrap(home, []byte("the key"))) == string(wrapped) {
		t.Error("wrapped twice under the same nonce")
	}
	for name, b := range map[string]seal.Binding{
		"another use":      {Use: "token", Tenant: "acme", KID: "1"},
		"another tenant":   {Use: "fernet", Tenant: "other", KID: "1"},
		"another key id":   {Use: "fernet", Tenant: "acme", KID: "2"},
		"parts that shift": {Use: "fernet", Tenant: "acme1", KID: ""},
	} {
		if _, err := kek.Unwrap(b, wrapped); !errors.Is(err, seal.ErrNotOpened) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, another := randomKey(t)
	other, err := seal.NewKEK(another)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Unwrap(home, wrapped); !errors.Is(err, seal.ErrNotOpened) {
		t.Errorf("another key: %v", err)
	}
	for i := range wrapped {
		bad := append([]byte(nil), wrapped...)
		bad[i] ^= 1
		if _, err := kek.Unwrap(home, bad); err == nil {
			t.Errorf("opened with byte %d changed", i)
		}
	}
	for n := range wrapped {
		if _, err := kek.Unwrap(home, wrapped[:n]); err == nil {
			t.Errorf("opened with %d bytes", n)
		}
	}
}

const formerKEK = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func TestARotatedKeyEncryptionKeyOpensWhatTheFormerOneWrapped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	read := func() *seal.KEK {
		t.Helper()
		kek, err := seal.ReadKEK(path)
		if err != nil {
			t.Fatal(err)
		}
		return kek
	}
	if err := seal.MakeKEK(path); err != nil {
		t.Fatal(err)
	}
	home, before := seal.Binding{Use: "fernet", Tenant: "acme", KID: "1"}, read()
	old := before.Wrap(home, []byte("the key"))
	for range 2 { // the second goes on with the first
		if err := seal.BeginKEKRotation(path); err != nil {
			t.Fatal(err)
		}
	}
	during := read()
	if got, err := during.Unwrap(home, old); err != nil || string(got) != "the key" {
		t.Errorf("during the rotation the old one does not open: %q, %v", got, err)
	}
	fresh := during.Wrap(home, []byte("the key"))
	if _, err := before.Unwrap(home, fresh); err == nil || during.Wrapped(home, old) || !during.Wrapped(home, fresh) || !during.Rotating() || before.Rotating() {
		t.Error("during the rotation the former one wraps")
	}
	for range 2 {
		if err := seal.EndKEKRotation(path); err != nil {
			t.Fatal(err)
		}
	}
	after := read()
	if _, err := after.Unwrap(home, old); !errors.Is(err, seal.ErrNotOpened) {
		t.Errorf("after the rotation: %v", err)
	}
	if got, err := after.Unwrap(home, fresh); err != nil || string(got) != "the key" || after.Rotating() {
		t.Errorf("after the rotation: %q, %v", got, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := seal.BeginKEKRotation(path + "x"); err == nil || !strings.Contains(err.Error(), path+"x") {
		t.Errorf("of no file: %v", err)
	}
}

func TestKeyEncryptionKeyFiles(t *testing.T) {
	_, secret := randomKey(t)
	std, url := base64.StdEncoding.EncodeToString(secret), base64.URLEncoding.EncodeToString(secret)
	for name, tc := range map[string]struct {
		text string
		mode os.FileMode
		want string // empty: it is read
	}{
		"as openssl writes it":     {std + "\n", 0o600, ""},
		"without a line end":       {std, 0o400, ""},
		"with a long line end":     {std + "\r\n", 0o600, ""},
		"the alphabet of URLs":     {url, 0o600, ""},
		"of a group":               {std, 0o660, ""},
		"others may write to":      {std, 0o602, "run chmod 600"},
		"empty":                    {"", 0o600, "32 bytes in base64"},
		"a former one":             {std + "\n" + formerKEK + "\n", 0o600, ""},
		"a former one, long ends":  {std + "\r\n" + formerKEK + "\r\n", 0o600, ""},
		"the same one twice":       {std + "\n" + std + "\n", 0o600, "the same key twice"},
		"two former ones":          {std + "\n" + formerKEK + "\n" + formerKEK + "\n", 0o600, "32 bytes in base64"},
		"a former one that is bad": {std + "\n" + formerKEK[1:] + "\n", 0o600, "32 bytes in base64"},
		"a line end inside":        {std[:20] + "\n" + std[20:], 0o600, "32 bytes in base64"},
		"two line ends":            {std + "\n\n", 0o600, "32 bytes in base64"},
		"a blank before":           {" " + std, 0o600, "32 bytes in base64"},
		"too short":                {base64.StdEncoding.EncodeToString(secret[1:]), 0o600, "32 bytes in base64"},
		"hexadecimal":              {strings.Repeat("0f", 32), 0o600, "32 bytes in base64"},
		"all bytes alike":          {base64.StdEncoding.EncodeToString(make([]byte, 32)), 0o600, "repeat"},
		"a file that is no key's":  {strings.Repeat(std, 100), 0o600, "32 bytes in base64"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kek")
			if err := errors.Join(os.WriteFile(path, []byte(tc.text), 0o600), os.Chmod(path, tc.mode)); err != nil {
				t.Fatal(err)
			}
			_, err := seal.ReadKEK(path)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path)) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), std[:10]) {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, "/dev/zero", "/", filepath.Join(t.TempDir(), "missing")} {
		if _, err := seal.ReadKEK(path); err == nil || strings.Count(err.Error(), path) != 1 {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestOneKeyEncryptionKeyIsMadeWhoeverComesFirst(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kek")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := seal.MakeKEK(path); err != nil {
				t.Error(err)
			}
			if _, err := seal.ReadKEK(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := seal.MakeKEK(path); err != nil {
		t.Error(err)
	}
	after, err := os.ReadFile(path)
	if diff := cmp.Diff(string(before), string(after)); diff != "" || err != nil {
		t.Error("a key that was there was replaced")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("left %v, %v", files, err)
	}
	if err := seal.MakeKEK(filepath.Join(dir, "missing", "kek")); err == nil {
		t.Error("made without its directory")
	}
}

func TestFingerprintsTellKeysApart(t *testing.T) {
	const first, second = "q7Jm0Y2cVv6mS1cW3r8u0e5bTz4hXk9LpNaQdRfGsEo=\n", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
	path := filepath.Join(t.TempDir(), "kek")
	read := func(text string) []string {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		kek, err := seal.ReadKEK(path)
		if err != nil {
			t.Fatal(err)
		}
		return kek.Fingerprints()
	}
	one, both := read(first), read(second+first)
	if len(one) != 1 || len(one[0]) != 8 || len(both) != 2 || both[1] != one[0] || both[0] == one[0] {
		t.Errorf("%v, then %v", one, both)
	}
}
