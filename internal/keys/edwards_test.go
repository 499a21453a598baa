package keys_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"testing"

	"onnxgate/internal/keys"
)

func TestEd25519KeysThatAreNoneAreRefused(t *testing.T) {
	for name, encoded := range map[string]string{
		"order 1":                      "0100000000000000000000000000000000000000000000000000000000000000",
		"order 1, sign bit":            "0100000000000000000000000000000000000000000000000000000000000080",
		"order 2":                      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"order 2, sign bit":            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"order 4":                      "0000000000000000000000000000000000000000000000000000000000000000",
		"order 4, sign bit":            "0000000000000000000000000000000000000000000000000000000000000080",
		"order 8":                      "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"order 8, sign bit":            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"order 8, the other":           "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"order 8, the other, sign bit": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"order 4 in another spelling":  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"order 1 in another spelling":  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"not canonical":                "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"no point of the curve":        "0200000000000000000000000000000000000000000000000000000000000000",
		"too short":                    "0102",
	} {
		raw, err := hex.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := keys.NewVerifier(keys.EdDSA, ed25519.PublicKey(raw)); err == nil {
			t.Errorf("%s: accepted as %s", name, v)
		}
	}
}

func TestEd25519KeysThatAreMadeAreAccepted(t *testing.T) {
	for range 100 {
		public, _, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keys.NewVerifier(keys.EdDSA, public); err != nil {
			t.Errorf("%x: %v", public, err)
		}
	}
}
