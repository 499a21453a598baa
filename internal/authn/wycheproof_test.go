package authn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"math/big"
	"slices"
	"testing"

	"github.com/c2sp/wycheproof"

	"onnxgate/internal/keys"
)

// jwk is a key of the vectors.
type jwk struct {
	KTY, ALG, KID, CRV, N, E, X, Y, K string
}

type jwsGroup struct {
	Comment string
	Public  *jwk
	Private jwk
	Tests   []struct {
		TCID    int `json:"tcId"`
		Comment string
		JWS     json.RawMessage
		Result  string
	}
}

// stricter are the vectors that may be accepted and are refused here, with the
// reason.
var stricter = map[int]string{
	346: "the header says PS384, the key is for PS256",
	347: "the key is for an algorithm that does not exist, ES521",
	350: "the header says PS384, the key is for PS256",
	351: "the key is for an algorithm that does not exist, ES521",
	372: "the header is not base64url",
	373: "the payload is not base64url",
}

// mislabelled are the vectors marked invalid that are the same bytes, for the
// same key, as one marked valid: their padding was lost when the file was
// made. The test proves that.
var mislabelled = map[int]bool{367: true, 370: true}

func TestWycheproofSignatures(t *testing.T) {
	var accepted, refused int
	for _, g := range loadGroups(t) {
		key := &g.Private
		if g.Public != nil {
			key = g.Public
		}
		known := oneKey{kid: key.KID}
		known.key, known.err = key.verifier()
		valid := map[string]bool{}
		for _, tc := range g.Tests {
			token := text(tc.JWS)
			err := verifyJWS(token, known)
			valid[token] = valid[token] || tc.Result == "valid"
			switch {
			case mislabelled[tc.TCID] && valid[token]:
			case err != nil && tc.Result == "invalid":
				refused++
			case err == nil && tc.Result == "valid":
				accepted++
			case err == nil:
				t.Errorf("%d (%s: %s): an invalid one is accepted", tc.TCID, g.Comment, tc.Comment)
			case stricter[tc.TCID] == "":
				t.Errorf("%d (%s: %s): a valid one is refused: %v (key: %v)", tc.TCID, g.Comment, tc.Comment, err, known.err)
			}
		}
	}
	if want := 355 - len(mislabelled); accepted != 40 || refused != want {
		t.Errorf("%d valid ones accepted and %d invalid ones refused, want 40 and %d", accepted, refused, want)
	}
}

func verifyJWS(token string, known oneKey) error {
	t, err := parseJWS(token)
	if err != nil {
		return err
	}
	key, ok := known.Verifier(t.header.kid)
	if !ok {
		return errUnknownKey
	}
	return t.verify(key)
}

func loadGroups(t *testing.T) []jwsGroup {
	t.Helper()
	data, err := fs.ReadFile(wycheproof.TestVectors, "json_web_signature_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ TestGroups []jwsGroup }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.TestGroups
}

// text returns a token that the file holds as a string, or as an object where
// it is in JSON serialization.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// oneKey answers to the kid of the vectors, which is no thumbprint. A vector
// without one is answered too: the group has a single key.
type oneKey struct {
	kid string
	key *keys.Verifier
	err error
}

func (k oneKey) Verifier(kid string) (*keys.Verifier, bool) {
	return k.key, k.err == nil && (kid == k.kid || kid == "")
}

// verifier binds the key to the algorithm that it names; one that names none
// cannot be used.
func (k *jwk) verifier() (*keys.Verifier, error) {
	switch k.KTY {
	case "oct":
		return keys.NewVerifier(keys.Algorithm(k.ALG), unb64(k.K))
	case "RSA":
		public := &rsa.PublicKey{N: new(big.Int).SetBytes(unb64(k.N)), E: int(new(big.Int).SetBytes(unb64(k.E)).Int64())}
		return keys.NewVerifier(keys.Algorithm(k.ALG), public)
	default:
		point := slices.Concat([]byte{4}, unb64(k.X), unb64(k.Y)) // SEC 1 section 2.3.3
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			return nil, err
		}
		return keys.NewVerifier(keys.Algorithm(k.ALG), public)
	}
}

func unb64(s string) []byte {
	data, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return data
}
