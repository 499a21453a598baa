package httpapi

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"onnxgate/internal/fault"
	"onnxgate/internal/reqctx"
)

func FuzzOnlyTheOneFormOfAPathPasses(f *testing.F) {
	for _, target := range []string{"/", "/predict", "/models/iris/predict?x=1", "//", "/a/", "/./a", "/a/..", "/%61", "/a;b", "*", "http://a/b", "/a\x00", "/é"} {
		f.Add(target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		got, ok := canonicalPath(target)
		if !ok {
			return
		}
		if path.Clean(got) != got || got[0] != '/' {
			t.Errorf("%q passed as %q, which is not clean", target, got)
		}
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return // net/http refuses it itself
		}
		if u.Path != got || u.RawPath != "" || u.EscapedPath() != got {
			t.Errorf("%q passed as %q, but routing sees %q", target, got, u.Path)
		}
	})
}

// FuzzNobodyChoosesHisOwnAddress puts what a client may send before what the
// trusted proxy adds: the client's part must never decide.
func FuzzNobodyChoosesHisOwnAddress(f *testing.F) {
	for _, forged := range []string{"", "203.0.113.1", "10.0.0.9", "nonsense", ",", "\"", "[::1]:1", "for=203.0.113.1", ";", "a, b, c"} {
		f.Add(forged)
	}
	trusted := proxies{netip.MustParsePrefix("10.0.0.0/8")}
	seen := netip.MustParseAddr("192.0.2.1")
	f.Fuzz(func(t *testing.T, forged string) {
		for name, added := range map[string]string{"X-Forwarded-For": "192.0.2.1, 10.0.0.2", "Forwarded": `for=192.0.2.1, for="10.0.0.2:80"`} {
			for _, lines := range [][]string{{forged, added}, {forged + ", " + added}} {
				r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{name: lines}}
				if got := clientAddr(trusted, r); got != seen {
					t.Errorf("%s: %q makes the client %v", name, lines, got)
				}
			}
		}
	})
}

func FuzzAnswersAreJSONWhateverTheyTell(f *testing.F) {
	f.Add("what to fix", "#/0/a")
	f.Add("\"\\\x00\u2028\xff", strings.Repeat("é", 100))
	f.Fuzz(func(t *testing.T, detail, pointer string) {
		checkJSON(t, detail, pointer)
	})
}

func checkJSON(t *testing.T, detail, pointer string) {
	t.Helper()
	e := &fault.Error{Kind: fault.Content, Msg: detail, Fields: []fault.Field{{Pointer: pointer, Detail: detail}}}
	for _, body := range [][]byte{
		appendProblem(nil, problemOf(e.Kind), e, &reqctx.Info{RequestID: "0123"}),
		appendOAuthError(nil, problemOf(e.Kind), e),
	} {
		if !json.Valid(body) || !utf8.Valid(body) {
			t.Errorf("%q", body)
		}
	}
}

func FuzzMembersAreReadAsStrictlyAsTheyAreChecked(f *testing.F) {
	for _, body := range []string{
		`{"ciphertext":"a","max_age":60}`, ` {"ciphertext":null,"x":[{"y":1}]} `, `{"ciphertext":"\ud800"}`, `{"a":1,"a":2}`,
		`[]`, `"a"`, ``, `{`, `{"ciphertext":"a"}x`, `{"max_age":1e400,"Ciphertext":1}`, "\ufeff{}", `{"~/%":0}`, `{"max_age":-0.0}`,
	} {
		f.Add([]byte(body))
	}
	rules := newRules()
	f.Fuzz(func(t *testing.T, body []byte) {
		if err := checkSyntax(body); err != nil {
			if got := fault.As(err); got.Kind != fault.Syntax || len(got.Fields) != 1 || got.Fields[0].Pointer[0] != '#' {
				t.Errorf("%q: %+v", body, got)
			}
			return
		}
		if !json.Valid(body) {
			t.Errorf("%q passed as JSON", body)
		}
		var req decryptRequest
		m := members{into: reflect.ValueOf(&req).Elem()}
		if err := m.read(body); err != nil {
			t.Errorf("%q: %v", body, err)
		}
		m.check(rules)
		if len(m.faults) == 0 && (req.Ciphertext == nil || req.maxAge() < 0) {
			t.Errorf("%q was read as %+v", body, req)
		}
		for _, field := range m.faults {
			if _, err := url.Parse(field.Pointer); err != nil || !utf8.ValidString(field.Detail) {
				t.Errorf("%q: %+v, %v", body, field, err)
			}
		}
	})
}
