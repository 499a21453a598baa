package keys_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/keys"
)

var signing = []keys.Algorithm{keys.EdDSA, keys.ES256, keys.RS256}

func open(t *testing.T, cfg keys.Config) *keys.Set {
	t.Helper()
	set, err := keys.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestAKeyIsMadeOnce(t *testing.T) {
	for _, alg := range signing {
		t.Run(string(alg), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data", "keys")
			first := open(t, keys.Config{Dir: dir, Algorithm: alg})
			second := open(t, keys.Config{Dir: dir, Algorithm: alg})
			signer := first.Signer()
			if signer.Algorithm != alg || signer.KID != second.Signer().KID {
				t.Errorf("the first start signs with %v, the second with %v", signer, second.Signer())
			}
			if diff := cmp.Diff([]string{signer.KID}, second.KIDs()); diff != "" {
				t.Error(diff)
			}
			v, ok := second.Verifier(signer.KID)
			if !ok || v.Algorithm != alg {
				t.Errorf("Verifier = %v, %v", v, ok)
			}
			checkModes(t, dir, signer.KID+".pem")
		})
	}
}

func checkModes(t *testing.T, dir, file string) {
	t.Helper()
	for path, want := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, file): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has the mode %04o, want %04o", filepath.Base(path), got, want)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

// A command would take a name that begins with a hyphen for a flag. One thumbprint in
// 64 does: without the rule, 500 have none in one of 2,600 runs.
func TestNoNewKeyHasANameLikeAFlag(t *testing.T) {
	for range 500 {
		if kid := open(t, keys.Config{Dir: t.TempDir()}).Signer().KID; strings.HasPrefix(kid, "-") {
			t.Fatalf("a key is called %s", kid)
		}
	}
}

func TestEdDSAIsTheDefault(t *testing.T) {
	if alg := open(t, keys.Config{Dir: t.TempDir()}).Signer().Algorithm; alg != keys.EdDSA {
		t.Errorf("the algorithm is %s", alg)
	}
}

func TestProcessesThatStartAtOnceAgreeOnOneKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	const n = 8
	kids := make(chan string, n)
	for range n {
		go func() {
			set, err := keys.Open(t.Context(), keys.Config{Dir: dir, Algorithm: keys.ES256})
			if err != nil {
				kids <- err.Error()
				return
			}
			kids <- fmt.Sprint(set.Signer().KID, set.KIDs())
		}()
	}
	seen := map[string]int{}
	for range n {
		seen[<-kids]++
	}
	if len(seen) != 1 {
		t.Errorf("%d different outcomes: %v", len(seen), seen)
	}
}

func TestTheNewestKeyOfTheAlgorithmSignsAndAllVerify(t *testing.T) {
	dir := t.TempDir()
	old := open(t, keys.Config{Dir: dir}).Signer().KID
	other := open(t, keys.Config{Dir: dir, Algorithm: keys.ES256}).Signer().KID
	next := writeKey(t, dir, newEd25519(t))
	now := time.Now()
	for kid, age := range map[string]time.Duration{old: time.Hour, next: time.Minute, other: 0} {
		if err := os.Chtimes(filepath.Join(dir, kid+".pem"), now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	set := open(t, keys.Config{Dir: dir})
	if got := set.Signer().KID; got != next {
		t.Errorf("%s signs, want the newest EdDSA key %s", got, next)
	}
	for kid, alg := range map[string]keys.Algorithm{old: keys.EdDSA, next: keys.EdDSA, other: keys.ES256} {
		if v, ok := set.Verifier(kid); !ok || v.Algorithm != alg || v.KID != kid {
			t.Errorf("Verifier(%s) = %v, %v, want one for %s", kid, v, ok, alg)
		}
	}
	for _, kid := range []string{"", "x", old + ".pem", "../" + old, strings.ToLower(old)} {
		if v, ok := set.Verifier(kid); ok {
			t.Errorf("Verifier(%q) = %v", kid, v)
		}
	}
}

func newEd25519(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSA(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEC(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func encodePEM(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// writeKey stores an Ed25519 key as the package would, and returns its name.
func writeKey(t *testing.T, dir string, key ed25519.PrivateKey) string {
	t.Helper()
	v, err := keys.NewVerifier(keys.EdDSA, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, v.KID+".pem"), encodePEM(t, key), 0o600); err != nil {
		t.Fatal(err)
	}
	return v.KID
}

func TestBadKeyFilesStopTheStart(t *testing.T) {
	good := encodePEM(t, newEd25519(t))
	for name, tc := range map[string]struct {
		content []byte
		mode    fs.FileMode
		want    string
	}{
		"empty":                  {nil, 0o600, "exactly one"},
		"text":                   {[]byte("secret"), 0o600, "exactly one"},
		"another PEM block":      {pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte{1}}), 0o600, "exactly one"},
		"two keys":               {append(encodePEM(t, newEd25519(t)), good...), 0o600, "exactly one"},
		"no PKCS#8":              {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}}), 0o600, "no PKCS#8"},
		"RSA with 1024 bits":     {encodePEM(t, newRSA(t, 1024)), 0o600, "1024 bits"},
		"P-384":                  {encodePEM(t, newEC(t, elliptic.P384())), 0o600, "P-256"},
		"a name of another key":  {good, 0o600, "does not fit"},
		"readable by others":     {good, 0o644, "chmod 600"},
		"writable by others":     {good, 0o602, "chmod 600"},
		"too large":              {make([]byte, 1<<20), 0o600, "at most"},
		"a key that never signs": {encodePEM(t, ecdhKey(t)), 0o600, "do not sign"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "key.pem")
			if err := os.WriteFile(path, tc.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tc.mode); err != nil {
				t.Fatal(err)
			}
			_, err := keys.Open(t.Context(), keys.Config{Dir: dir})
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("Open = %v, want %q and the path", err, tc.want)
			}
			if checked := keys.Check(dir); checked == nil || checked.Error() != err.Error() {
				t.Errorf("Check = %v, Open = %v", checked, err)
			}
		})
	}
}

func TestALookAtKeyFilesChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	for _, made := range []bool{false, true} {
		if err := keys.Check(dir); err != nil {
			t.Errorf("with keys %v: %v", made, err)
		}
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) == made {
			t.Fatalf("with keys %v: %v", made, err)
		}
		if _, err := keys.Open(t.Context(), keys.Config{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		left := filepath.Join(dir, ".new-left") // which a start removes
		if err := os.WriteFile(left, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := keys.Check(dir); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(left); err != nil {
			t.Error(err)
		}
	}
}

// ecdhKey returns a key that agrees on secrets.
func ecdhKey(t *testing.T) any {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestOtherFilesInTheDirectoryAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".new-123", ".hidden.pem", "README", "key.pem.bak"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "retired.pem"), 0o700); err != nil {
		t.Fatal(err)
	}
	if n := len(open(t, keys.Config{Dir: dir}).KIDs()); n != 1 {
		t.Errorf("%d keys, want the new one alone", n)
	}
}

func TestADirectoryThatOthersCanWriteToIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Open(t.Context(), keys.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("Open = %v, want a refusal that says chmod 700", err)
	}
}

func TestAPipeInThePlaceOfAKeyIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "key.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Open(t.Context(), keys.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("Open = %v, want a refusal", err)
	}
}

func TestWhatAKilledProcessLeftIsRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "[a-b") // no pattern
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(dir, ".new-123")
	if err := os.WriteFile(left, encodePEM(t, newEd25519(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, keys.Config{Dir: dir})
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", left, err)
	}
}

func TestASecretIsTheOnlyKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	secret := []byte(strings.Repeat("s", keys.MinSecretBytes))
	set := open(t, keys.Config{Dir: dir, Secret: secret})
	signer := set.Signer()
	if signer.Algorithm != keys.HS256 || !cmp.Equal(set.KIDs(), []string{signer.KID}) {
		t.Errorf("%v signs, %v verify", signer, set.KIDs())
	}
	if again := open(t, keys.Config{Secret: secret}).Signer().KID; again != signer.KID {
		t.Errorf("the key is called %s and then %s", signer.KID, again)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a key directory was made")
	}
	if _, err := keys.Open(t.Context(), keys.Config{Secret: secret[1:]}); err == nil || !strings.Contains(err.Error(), "31 bytes") {
		t.Errorf("a short secret: %v", err)
	}
}

func TestNoVerbPrintsAKey(t *testing.T) {
	secret := []byte("a secret of thirty-two bytes, here")
	set := open(t, keys.Config{Secret: secret})
	v, _ := set.Verifier(set.Signer().KID)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, value := range []any{set.Signer(), v} {
			if got, want := fmt.Sprintf(format, value), "HS256 key "+v.KID; got != want {
				t.Errorf("%s prints %q, want %q", format, got, want)
			}
		}
	}
}

func TestOnlySigningAlgorithmsOpen(t *testing.T) {
	for _, alg := range []keys.Algorithm{"none", "eddsa", "HS256", "PS256", "RS384", "ES384", "x"} {
		if _, err := keys.Open(t.Context(), keys.Config{Dir: t.TempDir(), Algorithm: alg}); err == nil {
			t.Errorf("%s: no error", alg)
		}
	}
	if _, err := keys.Open(t.Context(), keys.Config{}); err == nil {
		t.Error("no directory: no error")
	}
}

func TestWeakAndMismatchedKeysAreRefused(t *testing.T) {
	rsaKey, p256 := newRSA(t, 2048), newEC(t, elliptic.P256())
	public := newEd25519(t).Public()
	tall := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 8192), E: 65537}
	for name, tc := range map[string]struct {
		alg    keys.Algorithm
		public any
	}{
		"an algorithm that does not exist": {"none", public},
		"no algorithm":                     {"", public},
		"RSA for EdDSA":                    {keys.EdDSA, &rsaKey.PublicKey},
		"Ed25519 for RS256":                {keys.RS256, public},
		"Ed25519 for HS256":                {keys.HS256, public},
		"a secret for EdDSA":               {keys.EdDSA, make([]byte, 32)},
		"a short Ed25519 key":              {keys.EdDSA, ed25519.PublicKey(make([]byte, 31))},
		"P-384 for ES256":                  {keys.ES256, &newEC(t, elliptic.P384()).PublicKey},
		"P-521 for ES256":                  {keys.ES256, &newEC(t, elliptic.P521()).PublicKey},
		"RSA with 1024 bits":               {keys.RS256, &newRSA(t, 1024).PublicKey},
		"RSA with 8193 bits":               {keys.RS256, tall},
		"RSA with exponent 1":              {keys.RS256, &rsa.PublicKey{N: rsaKey.N, E: 1}},
		"RSA with exponent 3":              {keys.PS256, &rsa.PublicKey{N: rsaKey.N, E: 3}},
		"RSA with an even exponent":        {keys.RS256, &rsa.PublicKey{N: rsaKey.N, E: 65538}},
		"a private key":                    {keys.ES256, p256},
		"a short secret":                   {keys.HS256, make([]byte, 31)},
		"nothing":                          {keys.EdDSA, nil},
	} {
		if v, err := keys.NewVerifier(tc.alg, tc.public); err == nil {
			t.Errorf("%s: %v", name, v)
		}
	}
}

func TestTheNameIsTheThumbprintOfTheRFC(t *testing.T) {
	decode := func(s string) []byte {
		data, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	// RFC 7638 section 3.1.
	modulus := decode("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs" +
		"tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6" +
		"qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw")
	rsaPublic := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 65537}
	// RFC 8037 appendix A.3.
	edPublic := ed25519.PublicKey(decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"))
	for _, tc := range []struct {
		alg    keys.Algorithm
		public any
		want   string
	}{
		{keys.RS256, rsaPublic, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		{keys.EdDSA, edPublic, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
	} {
		v, err := keys.NewVerifier(tc.alg, tc.public)
		if err != nil {
			t.Fatal(err)
		}
		if v.KID != tc.want {
			t.Errorf("%s: %s, want %s", tc.alg, v.KID, tc.want)
		}
	}
}
