package seal_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/seal"
)

// vectors are the facts of the specification's acceptance tests: generate.json,
// verify.json and invalid.json of github.com/fernet/spec.
type vectors struct {
	Secret  string
	Text    string
	Made    time.Time
	Token   string
	Opened  time.Time
	MaxAge  int64 `json:"max_age"`
	Invalid map[string]struct {
		Token  string
		Opened time.Time
		AnyAge bool `json:"any_age"`
	}
}

func readVectors(t *testing.T) (vectors, *seal.FernetKey) {
	t.Helper()
	data, err := os.ReadFile("testdata/fernet.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	secret, err := base64.URLEncoding.DecodeString(v.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return v, newKey(t, secret)
}

func newKey(tb testing.TB, secret []byte) *seal.FernetKey {
	tb.Helper()
	key, err := seal.NewFernetKey(secret)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func randomKey(tb testing.TB) (*seal.FernetKey, []byte) {
	tb.Helper()
	secret := make([]byte, seal.KeySize)
	if _, err := rand.Read(secret); err != nil {
		tb.Fatal(err)
	}
	return newKey(tb, secret), secret
}

func TestFernetMakesTheTokenOfTheSpecification(t *testing.T) {
	v, key := readVectors(t)
	iv := []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	got, err := key.Seal(bytes.NewReader(iv), v.Made, []byte(v.Text))
	if err != nil || string(got) != v.Token {
		t.Errorf("got %s, %v; want %s", got, err, v.Token)
	}
}

func TestFernetOpensTheTokensOfTheSpecification(t *testing.T) {
	v, key := readVectors(t)
	for _, maxAge := range []int64{v.MaxAge, seal.AnyAge} {
		got, err := seal.Open([]*seal.FernetKey{key}, []byte(v.Token), v.Opened, maxAge)
		if err != nil || string(got) != v.Text {
			t.Errorf("at most %d old: %q, %v", maxAge, got, err)
		}
	}
}

func TestFernetRefusesTheInvalidTokensOfTheSpecification(t *testing.T) {
	v, key := readVectors(t)
	if len(v.Invalid) != 10 {
		t.Fatalf("%d cases", len(v.Invalid))
	}
	for name, tc := range v.Invalid {
		maxAge, now := v.MaxAge, v.Opened
		if tc.AnyAge {
			maxAge = seal.AnyAge
		}
		if !tc.Opened.IsZero() {
			now = tc.Opened
		}
		if got, err := seal.Open([]*seal.FernetKey{key}, []byte(tc.Token), now, maxAge); !errors.Is(err, seal.ErrFailed) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// forge makes a token of any parts that is signed as it should be.
func forge(secret []byte, version byte, made uint64, sealed []byte) string {
	b := binary.BigEndian.AppendUint64([]byte{version}, made)
	b = append(b, make([]byte, aes.BlockSize)...)
	b = append(b, sealed...)
	h := hmac.New(sha256.New, secret[:16])
	h.Write(b)
	return base64.URLEncoding.EncodeToString(h.Sum(b))
}

// encrypt encrypts whole blocks under an IV of zeros.
func encrypt(t *testing.T, secret []byte, blocks string) []byte {
	t.Helper()
	block, err := aes.NewCipher(secret[16:])
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, len(blocks))
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(out, []byte(blocks))
	return out
}

// E01: every token but the one that was made is the one refusal, also those that
// are signed by the key itself.
func TestEveryTokenThatIsNotExactlyOneIsTheOneRefusal(t *testing.T) {
	key, secret := randomKey(t)
	now := time.Unix(1_700_000_000, 0)
	made := uint64(now.Unix())
	good, err := key.Seal(rand.Reader, now, []byte("sixteen bytes ok")) // of a length that ends in two equals signs
	if err != nil {
		t.Fatal(err)
	}
	token := string(good)
	full := strings.Repeat("\x10", 16)
	if !strings.HasSuffix(token, "==") && !strings.HasSuffix(token, "=") {
		t.Fatalf("%s has no padding", token)
	}
	bare := strings.TrimRight(token, "=")
	next := string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", bare[len(bare)-1])+1])
	for name, bad := range map[string]string{
		"nothing":                 "",
		"blanks":                  "    ",
		"a line end behind":       token + "\n",
		"a line end before":       "\n" + token,
		"line ends inside":        token[:40] + "\r\n" + token[40:],
		"a blank behind":          token + " ",
		"four blanks behind":      token + "    ",
		"a tab inside":            token[:8] + "\t" + token[8:],
		"twice":                   token + token,
		"behind the padding":      token + "AAAA",
		"more padding":            token + "====",
		"no padding":              bare,
		"padding before the end":  "=" + token[1:],
		"only padding":            "====",
		"another last digit":      bare[:len(bare)-1] + next + token[len(bare):],
		"the other alphabet":      strings.NewReplacer("-", "+", "_", "/").Replace(forge(secret, 0x80, made, encrypt(t, secret, strings.Repeat("\xff", 15)+"\x01"))),
		"a NUL":                   token + "\x00",
		"not ASCII":               "é" + token[2:],
		"cut":                     token[:len(token)-4],
		"version 0x81":            forge(secret, 0x81, made, encrypt(t, secret, full)),
		"no block":                forge(secret, 0x80, made, nil),
		"half a block":            forge(secret, 0x80, made, encrypt(t, secret, full)[:8]),
		"padding of 0":            forge(secret, 0x80, made, encrypt(t, secret, strings.Repeat("\x00", 16))),
		"padding of 17":           forge(secret, 0x80, made, encrypt(t, secret, strings.Repeat("\x11", 32))),
		"padding of 255":          forge(secret, 0x80, made, encrypt(t, secret, strings.Repeat("\xff", 16))),
		"padding that differs":    forge(secret, 0x80, made, encrypt(t, secret, "aaaaaaaaaaaaa\x02\x03\x03")),
		"made in the far future":  forge(secret, 0x80, made+61, encrypt(t, secret, full)),
		"made beyond all time":    forge(secret, 0x80, 1<<63+made, encrypt(t, secret, full)),
		"made too long ago":       forge(secret, 0x80, made-61, encrypt(t, secret, full)),
		"made at the beginning":   forge(secret, 0x80, 0, encrypt(t, secret, full)),
		"signed by another key":   forge(make([]byte, 32), 0x80, made, encrypt(t, secret, full)),
		"half of the key swapped": forge(append(secret[16:], secret[:16]...), 0x80, made, encrypt(t, secret, full)),
	} {
		if got, err := seal.Open([]*seal.FernetKey{key}, []byte(bad), now, 60); err != seal.ErrFailed || got != nil { //nolint:errorlint // the very same
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, token := range map[string]string{
		"as it was made":      token,
		"a full block of pad": forge(secret, 0x80, made, encrypt(t, secret, full)),
		"a minute old":        forge(secret, 0x80, made-60, encrypt(t, secret, full)),
		"a minute ahead":      forge(secret, 0x80, made+60, encrypt(t, secret, full)),
	} {
		if _, err := seal.Open([]*seal.FernetKey{key}, []byte(token), now, 60); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoSingleBitOfATokenMayDiffer(t *testing.T) {
	key, _ := randomKey(t)
	for n := range 20 {
		token, err := key.Seal(rand.Reader, time.Unix(0, 0), make([]byte, n))
		if err != nil {
			t.Fatal(err)
		}
		for i := range len(token) * 8 {
			bad := bytes.Clone(token)
			bad[i/8] ^= 1 << (i % 8)
			if _, err := seal.Open([]*seal.FernetKey{key}, bad, time.Unix(0, 0), seal.AnyAge); err == nil {
				t.Errorf("opened with bit %d of %s flipped", i, token)
			}
		}
	}
}

func TestAnyOfSeveralKeysOpens(t *testing.T) {
	first, _ := randomKey(t)
	second, _ := randomKey(t)
	other, _ := randomKey(t)
	token, err := second.Seal(rand.Reader, time.Unix(9, 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := seal.Open([]*seal.FernetKey{first, second}, token, time.Unix(9, 0), 0); err != nil || len(text) != 0 {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := seal.Open([]*seal.FernetKey{first, other}, token, time.Unix(9, 0), 0); err == nil {
		t.Error("opened without its key")
	}
}

func TestKeysNeverShow(t *testing.T) {
	fernet, secret := randomKey(t)
	kek, err := seal.NewKEK(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		if got := fmt.Sprintf(verb+" "+verb, fernet, kek); got != "[fernet key] [key-encryption key]" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
	if _, err := seal.NewFernetKey(secret[1:]); err == nil {
		t.Error("a key of 31 bytes was accepted")
	}
	if _, err := seal.NewKEK(append(secret, 0)); err == nil {
		t.Error("a key-encryption key of 33 bytes was accepted")
	}
}

func FuzzOpenNeverPanicsOrAcceptsWhatBase64Refuses(f *testing.F) {
	key := newKey(f, []byte("0123456789abcdef0123456789abcdef"))
	for _, n := range []int{0, 1, 15, 16, 31} {
		token, err := key.Seal(rand.Reader, time.Unix(0, 0), make([]byte, n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(token))
		f.Add(string(token[1:]))
	}
	f.Fuzz(func(t *testing.T, token string) {
		_, err := seal.Open([]*seal.FernetKey{key}, []byte(token), time.Unix(0, 0), seal.AnyAge)
		raw, wrong := base64.URLEncoding.Strict().DecodeString(token)
		if err == nil && (wrong != nil || base64.URLEncoding.EncodeToString(raw) != token) {
			t.Errorf("opened %q", token)
		}
	})
}
