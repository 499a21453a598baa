package cli

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"onnxgate/internal/config"
	"onnxgate/internal/inference"
	"onnxgate/internal/testkit"
)

func TestExamplesLeaveOutWhatCannotWork(t *testing.T) {
	usual := examples{
		scheme: "https", addr: "127.0.0.1:8443", cert: "data/tls/cert.pem", names: []string{"gate.example"},
		program: "bin/onnxgate", dataDir: "data", passwordFile: "data/initial-admin-password", path: "/predict", body: `{"x":1}`,
	}
	for name, tc := range map[string]struct {
		change   func(*examples)
		has, not []string
	}{
		"usual": {
			func(*examples) {},
			[]string{"$(cat data/initial-admin-password)", "/predict -H", "is refused (403)", "bin/onnxgate user add example", `-d '{"x":1}'`},
			[]string{"--data-dir", "ADMIN_PASSWORD"},
		},
		"password changed": {func(e *examples) { e.passwordFile = "" }, []string{"ADMIN_PASSWORD=$(read ", `"password=$ADMIN_PASSWORD"`}, []string{"initial-admin"}},
		"words to quote": {
			func(e *examples) { e.dataDir, e.cert, e.body = "my data", "it's/cert.pem", `{"x":"it's"}` },
			[]string{"--data-dir 'my data'", "cat 'my data/example-user-password'", `--cacert 'it'\''s/cert.pem'`, `-d '{"x":"it'\''s"}'`},
			nil,
		},
		"no tokens for passwords": {
			func(e *examples) { e.keys, e.dataDir = true, "d" },
			[]string{"KEY=$(cat d/example-admin-key", "apikey create example-user --role user --secret-file d/example-user-key --data-dir d", `/predict -H "X-API-Key: $USER_KEY"`, "(403)"},
			[]string{"/token", "Bearer", "PASSWORD="},
		},
		"no tokens and no model": {func(e *examples) { e.keys, e.path = true, "" }, []string{`/models -H "X-API-Key: $KEY"`}, []string{"predict", "USER_KEY", "/token"}},
		"user allowed":           {func(e *examples) { e.userMay = true }, []string{"allows too", "USER_TOKEN"}, []string{"403"}},
		"no model":               {func(e *examples) { e.path = "" }, []string{"TOKEN=", "/models -H"}, []string{"predict", "USER_TOKEN"}},
		"one in a minute":        {func(e *examples) { e.wait = "ONNXGATE_RATE_TOKEN=1/minute" }, []string{"ONNXGATE_RATE_TOKEN=1/minute would make them wait"}, []string{"USER_TOKEN"}},
		"certificate alien":      {func(e *examples) { e.addr = "" }, []string{"The certificate is for gate.example"}, []string{"curl"}},
		"without TLS":            {func(e *examples) { e.scheme, e.cert = "http", "" }, []string{"http://127.0.0.1:8443/token"}, []string{"--cacert"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := usual
			tc.change(&e)
			var b strings.Builder
			e.write(&b)
			for _, want := range tc.has {
				if !strings.Contains(b.String(), want) {
					t.Errorf("%q is missing in\n%s", want, &b)
				}
			}
			for _, unwanted := range tc.not {
				if strings.Contains(b.String(), unwanted) {
					t.Errorf("%q is in\n%s", unwanted, &b)
				}
			}
		})
	}
}

func TestTheModelOfTheExamplesIsOneThatTheAdministratorMayCall(t *testing.T) {
	a := inference.ModelInfo{Name: "a", Roles: []string{"admin"}}
	b := inference.ModelInfo{Name: "b", Roles: []string{"user", "admin"}, Default: true}
	c := inference.ModelInfo{Name: "c", Roles: []string{"user"}, Default: true}
	for want, models := range map[string][]inference.ModelInfo{"b": {a, b}, "a": {a, c}, "": {c}} {
		if got, ok := exampleModel(slices.Clone(models)); got.Name != want || ok != (want != "") {
			t.Errorf("%q, %v; want %q", got.Name, ok, want)
		}
	}
}

func TestAnExampleAddressIsOneOfTheCertificate(t *testing.T) {
	for names, want := range map[string]string{"gate.example": "", "localhost": "localhost:8443", "gate.example localhost": "localhost:8443"} {
		cert := &x509.Certificate{DNSNames: strings.Fields(names)}
		if got := named("127.0.0.1:8443", cert.VerifyHostname); got != want {
			t.Errorf("%s: %q, want %q", names, got, want)
		}
	}
}

func TestASecondRequestMustWaitForARateOfOne(t *testing.T) {
	for want, cfg := range map[string]*config.Config{
		"":                               {RatePredict: testkit.Limit("2/minute, 10/day")},
		"ONNXGATE_RATE_TOKEN=1/minute":   {RateToken: testkit.Rates("1/minute"), RatePredict: testkit.Limit("1/day")},
		"ONNXGATE_RATE_PREDICT=1/second": {RateToken: testkit.Rates("10/minute"), RatePredict: testkit.Limit("1/second")},
	} {
		if got := secondMustWait(cfg); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
