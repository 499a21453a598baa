package httpapi_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/httpapi"
	"onnxgate/internal/seal"
)

func TestTextIsSealedAndOpenedForTheCallersTenant(t *testing.T) {
	f := newAPI(t, nil).serve()
	for _, tc := range []struct{ path, token, body, want string }{
		{"/encrypt", "sealer", `{"plaintext":"a\u0000\"<é"}`, `{"ciphertext":"sealer:a\u0000\"<é"}`},
		{"/encrypt/", "acme", ` { "plaintext" : "" } `, `{"ciphertext":"acme:"}`},
		{"/decrypt", "sealer", `{"ciphertext":"sealer:a"}`, fmt.Sprintf(`{"plaintext":"a at most %d old"}`, int64(1<<63-1))},
		{"/decrypt/", "acme", `{"max_age":60,"ciphertext":"acme:\u0061"}`, `{"plaintext":"a at most 60 old"}`},
		{"/decrypt", "acme", `{"ciphertext":"acme:a","max_age":6.0e1}`, `{"plaintext":"a at most 60 old"}`},
		{"/decrypt", "acme", `{"ciphertext":"acme:a","max_age":1e300}`, fmt.Sprintf(`{"plaintext":"a at most %d old"}`, int64(1<<63-2))},
	} {
		got := f.do(request{method: "POST", path: tc.path, token: tc.token, body: tc.body})
		if got.StatusCode != http.StatusOK || got.body != tc.want+"\n" {
			t.Errorf("%s %s: %d %s", tc.path, tc.body, got.StatusCode, got.body)
		}
		if h := got.Header; h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v", tc.path, h)
		}
	}
}

// E02: the permission, its scope included, is asked for before a body is read.
func TestSealingAsksForItsPermission(t *testing.T) {
	f := newAPI(t, nil).serve()
	for _, path := range []string{"/encrypt", "/encrypt/", "/decrypt", "/decrypt/"} {
		for token, want := range map[string]int{"": 401, "wrong": 401, "user": 403, "admin": 403, "noscope": 403} {
			if got := f.do(request{method: "POST", path: path, token: token, body: "{"}); got.StatusCode != want {
				t.Errorf("%s with %q: %d, want %d", path, token, got.StatusCode, want)
			}
		}
		if got := f.do(request{method: "GET", path: path, token: "sealer"}); got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != "POST" {
			t.Errorf("GET %s: %d %v", path, got.StatusCode, got.Header)
		}
	}
}

func TestOnlyTheNamedPathsMayEndWithASlash(t *testing.T) {
	f := newAPI(t, nil).serve()
	for _, path := range []string{"/predict/", "/encrypt//", "//encrypt/", "/encrypt/.", "/./encrypt/", "/encrypt/x/", "/encryp%74/", "/decrypt/;a", "/Encrypt/", "/models/"} {
		if got := f.do(request{method: "POST", path: path, token: "sealer", body: `{"plaintext":""}`}); got.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
		}
	}
}

func TestSealingCountsAgainstTheRateOfPredictions(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) { c.Admission = predictions(perMinute(2)) }).serve()
	f.do(request{method: "POST", path: "/predict", token: "admin", body: row})
	f.do(request{method: "POST", path: "/encrypt/", token: "sealer", body: `{"plaintext":""}`})
	if got := f.do(request{method: "POST", path: "/decrypt", token: "sealer", body: `{"ciphertext":""}`}); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

// E01 at the edge: no two refusals of a token differ in more than their ids.
func TestEveryTokenThatDoesNotOpenHasTheSameAnswer(t *testing.T) {
	f := newAPI(t, nil).serve()
	var first string
	for _, body := range []string{
		`{"ciphertext":""}`, `{"ciphertext":"acme:x"}`, `{"ciphertext":"sealer:x","max_age":0}`, `{"ciphertext":"é\u0000\n"}`,
	} {
		got := f.do(request{method: "POST", path: "/decrypt", token: "sealer", body: body})
		id, _ := got.json(t)["request_id"].(string)
		answer := strings.ReplaceAll(fmt.Sprint(got.StatusCode, got.body), id, "")
		if first == "" {
			first = answer
		}
		if diff := cmp.Diff(first, answer); diff != "" || got.StatusCode != http.StatusBadRequest || got.slug(t) != "decryption-failed" || got.json(t)["detail"] != "Decryption failed" {
			t.Errorf("%s: %s\n%s", body, got.body, diff)
		}
	}
}

func TestBodiesOfSealingAreReadStrictly(t *testing.T) {
	f := newAPI(t, nil).serve()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"a%d":0`, i)
		}
		return b.String()
	}
	for name, tc := range map[string]struct {
		path, body, slug string
		faults           map[string]string
	}{
		"empty":                 {"/encrypt", " ", "invalid-syntax", map[string]string{"#": "the body is empty, or ends too early"}},
		"cut":                   {"/encrypt", `{"plaintext":"a"`, "invalid-syntax", nil},
		"something behind":      {"/encrypt", `{"plaintext":"a"} x`, "invalid-syntax", map[string]string{"#": "something follows the value, at byte 18"}},
		"a second value":        {"/encrypt", `{"plaintext":"a"}{}`, "invalid-syntax", nil},
		"a byte order mark":     {"/encrypt", "\ufeff" + `{"plaintext":"a"}`, "invalid-syntax", nil},
		"not UTF-8":             {"/encrypt", "{\"plaintext\":\"\xff\"}", "invalid-syntax", nil},
		"a lone surrogate":      {"/encrypt", `{"plaintext":"\ud800"}`, "invalid-syntax", nil},
		"NaN":                   {"/decrypt", `{"ciphertext":"","max_age":NaN}`, "invalid-syntax", nil},
		"a name twice":          {"/encrypt", `{"plaintext":"a","plaintext":"a"}`, "invalid-syntax", map[string]string{"#/plaintext": "appears twice"}},
		"twice in disguise":     {"/encrypt", `{"plaintext":"a","plai\u006etext":"a"}`, "invalid-syntax", map[string]string{"#/plaintext": "appears twice"}},
		"unknown and cut":       {"/encrypt", `{"x":1,"plaintext":"a"`, "invalid-syntax", nil},
		"deep":                  {"/encrypt", `{"x":` + deep(32) + `}`, "invalid-syntax", nil},
		"very deep":             {"/encrypt", deep(100_000), "invalid-syntax", nil},
		"as deep as may be":     {"/encrypt", `{"plaintext":"","x":` + deep(31) + `}`, "invalid-content", map[string]string{"#/x": "is not known here"}},
		"a thousand members":    {"/encrypt", `{"plaintext":""` + many(999) + `}`, "invalid-content", nil},
		"more members":          {"/encrypt", `{"plaintext":""` + many(1000) + `}`, "invalid-syntax", map[string]string{"#": "has more than 1000 members"}},
		"more members inside":   {"/encrypt", `{"x":[{"y":""` + many(1000) + `}]}`, "invalid-syntax", map[string]string{"#/x/0": "has more than 1000 members"}},
		"a long array":          {"/encrypt", `{"x":[0` + strings.Repeat(",0", 5000) + `]}`, "invalid-content", nil},
		"an array":              {"/encrypt", `[{"plaintext":"a"}]`, "invalid-content", map[string]string{"#": "must be an object", "#/plaintext": "is required"}},
		"nothing in it":         {"/encrypt", `{}`, "invalid-content", map[string]string{"#/plaintext": "is required"}},
		"null":                  {"/encrypt", `{"plaintext":null}`, "invalid-content", map[string]string{"#/plaintext": "must be a string"}},
		"a number":              {"/encrypt", `{"plaintext":1}`, "invalid-content", map[string]string{"#/plaintext": "must be a string"}},
		"another case":          {"/encrypt", `{"Plaintext":"a"}`, "invalid-content", map[string]string{"#/Plaintext": `is not known here; did you mean "plaintext"?`, "#/plaintext": "is required"}},
		"another tenant":        {"/encrypt", `{"plaintext":"a","tenant/~":"b"}`, "invalid-content", map[string]string{"#/tenant~1~0": "is not known here"}},
		"of the other route":    {"/encrypt", `{"ciphertext":"a"}`, "invalid-content", map[string]string{"#/ciphertext": "is not known here", "#/plaintext": "is required"}},
		"a negative age":        {"/decrypt", `{"ciphertext":"","max_age":-1}`, "invalid-content", map[string]string{"#/max_age": "must be a whole number of seconds, 0 or more"}},
		"a fraction":            {"/decrypt", `{"ciphertext":"","max_age":1.5}`, "invalid-content", map[string]string{"#/max_age": "must be a whole number of seconds, 0 or more"}},
		"an age in quotes":      {"/decrypt", `{"ciphertext":"","max_age":"60"}`, "invalid-content", map[string]string{"#/max_age": "must be a whole number of seconds, 0 or more"}},
		"no age":                {"/decrypt", `{"ciphertext":"","max_age":null}`, "invalid-content", map[string]string{"#/max_age": "must be a whole number of seconds, 0 or more"}},
		"true for an age":       {"/decrypt", `{"ciphertext":"","max_age":true}`, "invalid-content", map[string]string{"#/max_age": "must be a whole number of seconds, 0 or more"}},
		"an age beyond numbers": {"/decrypt", `{"ciphertext":"","max_age":1e999}`, "invalid-content", map[string]string{"#/max_age": "must be a whole number of seconds, 0 or more"}},
		"every fault":           {"/decrypt", `{"ciphertext":1,"max_age":-1,"b":1}`, "invalid-content", map[string]string{"#/ciphertext": "must be a string", "#/max_age": "must be a whole number of seconds, 0 or more", "#/b": "is not known here"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := f.do(request{method: "POST", path: tc.path, token: "sealer", body: tc.body})
			if got.slug(t) != tc.slug {
				t.Fatalf("%d %s, want %s", got.StatusCode, got.body, tc.slug)
			}
			if diff := cmp.Diff(tc.faults, got.faults(t)); tc.faults != nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}

// faults are those of a problem, by their pointers.
func (r *reply) faults(tb testing.TB) map[string]string {
	tb.Helper()
	all := map[string]string{}
	list, _ := r.json(tb)["errors"].([]any)
	for _, item := range list {
		f, _ := item.(map[string]any)
		pointer, _ := f["pointer"].(string)
		all[pointer], _ = f["detail"].(string)
	}
	return all
}

func TestFaultsOfABodyAreBoundedAndEchoLittle(t *testing.T) {
	f := newAPI(t, nil).serve()
	var b strings.Builder
	for i := range 999 {
		fmt.Fprintf(&b, `"%d%s":0,`, i, strings.Repeat("é", 200))
	}
	got := f.do(request{method: "POST", path: "/decrypt", token: "sealer", body: "{" + b.String() + `"ciphertext":""}`})
	if n := len(got.faults(t)); got.StatusCode != http.StatusUnprocessableEntity || n != 100 || got.json(t)["truncated"] != true || len(got.body) > 64<<10 || !utf8.ValidString(got.body) {
		t.Errorf("%d, %d faults in %d bytes", got.StatusCode, n, len(got.body))
	}
}

// U07: nothing of a text or a token is logged, whatever becomes of it.
func TestTextAndTokensAreNotLogged(t *testing.T) {
	const canary = "canary-9317"
	f := newAPI(t, nil).serve()
	for _, body := range []string{
		`{"plaintext":"` + canary + `"}`, `{"ciphertext":"sealer:` + canary + `"}`, `{"ciphertext":"` + canary + `"}`,
		`{"plaintext":["` + canary + `"]}`, `{"plaintext":"` + canary, `{"plaintext":"a"}` + canary,
	} {
		for _, path := range []string{"/encrypt", "/decrypt/"} {
			f.do(request{method: "POST", path: path, token: "sealer", body: body})
		}
	}
	f.accessLines()
	if log := f.lines.String() + f.log.String(); strings.Contains(log, canary) || !strings.Contains(log, `"/encrypt"`) {
		t.Errorf("the log has it:\n%s", log)
	}
}

func TestBodiesOfSealingFitTheLongestTextHoweverItIsWritten(t *testing.T) {
	f := newAPI(t, nil).serve()
	const mib = 1 << 20
	key, err := seal.NewFernetKey(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	token, err := key.Seal(rand.Reader, time.Now(), make([]byte, mib))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		path, body string
		want       int
	}{
		"a text of 1 MiB, escaped":  {"/encrypt", `{"plaintext":"` + strings.Repeat(`\u0041`, mib) + `"}`, 200},
		"a body that is too long":   {"/encrypt", `{"plaintext":"` + strings.Repeat(`\u0041`, mib+200) + `"}`, 413},
		"a token of 1 MiB of text":  {"/decrypt", `{"ciphertext":"sealer:` + string(token) + `"}`, 200},
		"a token that is too long":  {"/decrypt", `{"ciphertext":"` + strings.Repeat("A", 2*mib) + `"}`, 413},
		"many members, none of use": {"/decrypt", `{` + strings.Repeat(`"a":1,`, 100) + `"ciphertext":""}`, 400},
	} {
		if got := f.do(request{method: "POST", path: tc.path, token: "sealer", body: tc.body}); got.StatusCode != tc.want {
			t.Errorf("%s: %d %.300s, want %d", name, got.StatusCode, got.body, tc.want)
		}
	}
}
