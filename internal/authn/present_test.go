package authn_test

import (
	"testing"

	"onnxgate/internal/authn"
)

func TestTextsOfClientsLoseTheirCredentials(t *testing.T) {
	for text, want := range map[string]string{
		"/models/iris/predict":                              "/models/iris/predict",
		"/models/ogk_0123456789ab_secret/predict":           "/models/ogk_",
		"/models/eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1In0.c2ln": "/models/eyJ",
		"/models/ogr_0123456789ab.secret":                   "/models/ogr_",
		"/models/eyJ/predict":                               "/models/eyJ/predict",
		"client/1.0 ogk_0123456789ab eyJhbGciOiJub25lIn0.":  "client/1.0 ogk_",
	} {
		if got := authn.WithoutCredential(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestClaimedIsTheFirstValueOfAnyField(t *testing.T) {
	for want, f := range map[string]authn.Fields{
		"":         {},
		"Bearer a": {Authorization: []string{"Bearer a", "Bearer b"}, APIKey: []string{"c"}},
		"c":        {APIKey: []string{"c"}, OtherAPIKey: []string{"d"}},
		"d":        {OtherAPIKey: []string{"d"}},
	} {
		if got := f.Claimed(); got != want {
			t.Errorf("%+v claims %q, want %q", f, got, want)
		}
	}
}
