package apikey_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"

	"onnxgate/internal/apikey"
)

// good was made, with its checksum and hashes, by Python's zlib and hashlib.
const (
	id         = "3fPq8Zt1LmXa"
	secret     = "7Yb2Nc9Qw4Er6Ty8Ui0Op1As3Df5Gh7J"
	good       = "ogk_" + id + "_" + secret + "1qRSa3"
	padded     = "ogk_" + id + "_7Yb2Nc9Qw4Er6Ty8Ui0Op1As00000142009auD" // its checksum begins with two zeros
	hashed     = "ogk_" + id + "_sha256:21a636a4a80dc0534a82132331b37f5e69b97dee5b899301beb7919a837ca0a9"
	hashOfHash = "3aba30e11d1610b0d65c967ff37d7a5940977e18bf4d0a1cb3b4dceb1665e6e3"
)

func TestBothFormsOfAKeySayTheSame(t *testing.T) {
	for _, text := range []string{good, hashed, hashed[:len(hashed)-64] + strings.ToUpper(hashed[len(hashed)-64:])} {
		got, err := apikey.Parse(text)
		if err != nil || got.ID != id || apikey.FormatHash(got.Hash) != hashOfHash {
			t.Errorf("Parse(%s) = %s %x, %v", text, got.ID, got.Hash, err)
		}
	}
	if _, err := apikey.Parse(padded); err != nil {
		t.Error(err)
	}
}

func TestParseRefusesAllElse(t *testing.T) {
	for name, text := range map[string]string{
		"empty":                   "",
		"prefix alone":            "ogk_",
		"another prefix":          "ogx_3fPq8Zt1LmXa_7Yb2Nc9Qw4Er6Ty8Ui0Op1As3Df5Gh7J4eqT3x",
		"prefix in capitals":      strings.Replace(good, "ogk", "OGK", 1),
		"a blank before":          " " + good,
		"a line end behind":       good + "\n",
		"cut off":                 good[:len(good)-1],
		"one character changed":   strings.Replace(good, "Ty8", "Ty9", 1),
		"checksum changed":        good[:len(good)-1] + "4",
		"two characters swapped":  strings.Replace(good, "7Y", "Y7", 1),
		"checksum not padded":     strings.Replace(padded, "009auD", "9auD", 1),
		"a short secret":          "ogk_3fPq8Zt1LmXa_7Yb2Nc9Qw4Er6Ty8Ui0Op1As3Df5Gh73DMfP3",
		"no base62 in the secret": "ogk_3fPq8Zt1LmXa_7Yb2Nc9Qw4Er6Ty8Ui0Op1As3Df5Gh-J3tjHBI",
		"no base62 in the id":     "ogk_3fPq8Zt1LmX-_7Yb2Nc9Qw4Er6Ty8Ui0Op1As3Df5Gh7J2v4QHW",
		"the id alone":            "ogk_" + id + "_",
		"no separator":            strings.Replace(good, "_7", "7", 1),
		"long":                    "ogk_" + id + "_" + strings.Repeat("a", 1<<20),
		"hash cut off":            hashed[:len(hashed)-1],
		"hash too long":           hashed + "0",
		"hash of no hex":          hashed[:len(hashed)-1] + "g",
		"another hash":            strings.Replace(hashed, "sha256", "sha512", 1),
		"hash without its name":   strings.Replace(hashed, "sha256:", "", 1),
		"hash of a bad id":        strings.Replace(hashed, id, "3fPq8Zt1LmX:", 1),
	} {
		if got, err := apikey.Parse(text); err == nil {
			t.Errorf("%s: Parse(%.80q) = %v, want an error", name, text, got)
		} else if len(text) > 20 && strings.Contains(err.Error(), text[17:20]) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

func TestNewKeysAreWholeAndDiffer(t *testing.T) {
	form := regexp.MustCompile(`^ogk_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}$`)
	ids, secrets := map[string]bool{}, map[string]bool{}
	for range 1000 {
		text, err := apikey.New(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		p, err := apikey.Whole(text)
		if err != nil || !form.MatchString(text) {
			t.Fatalf("New() = %s: %v", text, err)
		}
		ids[p.ID], secrets[text[17:]] = true, true
	}
	if len(ids) != 1000 || len(secrets) != 1000 {
		t.Errorf("%d ids and %d secrets of 1000 keys differ", len(ids), len(secrets))
	}
	if _, err := apikey.New(bytes.NewReader(nil)); err == nil {
		t.Error("a key was made without randomness")
	}
	if _, err := apikey.WithID(rand.Reader, "short"); err == nil {
		t.Error("a key was made with a bad id")
	}
}

func TestEveryDigitIsAsLikely(t *testing.T) {
	var counts [256]int
	const keys = 4000
	for range keys {
		text, err := apikey.New(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 32 {
			counts[text[17+i]]++
		}
	}
	const mean = keys * 32 / 62
	for c := range counts {
		if n := counts[c]; n != 0 && (n < mean*8/10 || n > mean*12/10) { // nine standard deviations
			t.Errorf("%q came %d times, about %d were to be expected", rune(c), n, mean)
		}
	}
}

func TestWholeRefusesWhatNobodyDrew(t *testing.T) {
	if _, err := apikey.Whole(hashed); err == nil {
		t.Error("a hash was taken for a key")
	}
	if p, err := apikey.Whole(good); err != nil || p.ID != id {
		t.Errorf("Whole = %v, %v", p, err)
	}
}

func TestParseTakesNoMemory(t *testing.T) {
	for _, text := range []string{good, hashed, good[:len(good)-1], strings.Repeat("x", 1<<20)} {
		if n := testing.AllocsPerRun(100, func() { _, _ = apikey.Parse(text) }); n != 0 {
			t.Errorf("Parse(%.20s…) allocates %v times", text, n)
		}
	}
}

func TestParseHashIsStrict(t *testing.T) {
	for _, digits := range []string{"", hashOfHash[1:], hashOfHash + "0", hashOfHash[1:] + "x"} {
		if _, err := apikey.ParseHash(digits); err == nil {
			t.Errorf("ParseHash(%q) is no error", digits)
		}
	}
	if h, err := apikey.ParseHash(hashOfHash); err != nil || hex.EncodeToString(h[:]) != hashOfHash {
		t.Errorf("ParseHash = %x, %v", h, err)
	}
}

// FuzzParse: what is accepted has the one form, and nothing crashes.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{good, padded, hashed, "", "ogk_", good + "x", strings.Repeat("_", 60)} {
		f.Add(seed)
	}
	form := regexp.MustCompile(`^ogk_[0-9A-Za-z]{12}_([0-9A-Za-z]{38,134}|sha256:[0-9A-Fa-f]{64})$`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := apikey.Parse(text)
		if err == nil && (!form.MatchString(text) || p.ID != text[4:16]) {
			t.Errorf("Parse(%q) = %v", text, p)
		}
	})
}
