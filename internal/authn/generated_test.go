package authn_test

import (
	"testing"
	"time"

	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/testkit/forged"
)

// Of 2,000 forged tokens of our own none is accepted.
func TestTwoThousandForgedTokensAreRefused(t *testing.T) {
	m := newMint(t)
	key, err := forged.NewKey(m.set.Signer().KID, m.key)
	if err != nil {
		t.Fatal(err)
	}
	f := forged.New(t, 1, forged.Genuine{
		Key: key, Header: forged.Object(m.header()), Claims: forged.Object(m.claims()), Own: true,
		Now: m.now, Slack: 2 * time.Minute, At: "https://127.0.0.1:1",
	})
	a := m.bearer(t, newState())
	accepts := func() {
		t.Helper()
		if _, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: f.Accepted()}); err != nil {
			t.Error(err)
		}
	}
	accepts()
	for _, token := range f.Make(2000) {
		if who, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: token.Text}); who != nil || fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%s (%q) is accepted as %+v (%v)", token.Text, token.Ways, who, err)
		}
	}
	accepts()
}
