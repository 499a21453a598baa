package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"onnxgate/internal/config"
	"onnxgate/internal/testkit"
)

var update = flag.Bool("update", false, "rewrite golden files")

const goodSecret = "q7Jm0Y2cVv6mS1cW3r8u0e5bTz4hXk9LpNaQdRfGsEo="

// goodKey has a right checksum; it opens nothing.
const goodKey = "ogk_3fPq8Zt1LmXa_7Yb2Nc9Qw4Er6Ty8Ui0Op1As3Df5Gh7J1qRSa3"

// source is an environment of nothing but vars, with an empty .env.
func source(t *testing.T, vars map[string]string) config.Source {
	t.Helper()
	return config.Source{
		Lookup:  func(name string) (string, bool) { v, ok := vars[name]; return v, ok },
		Names:   slices.Collect(maps.Keys(vars)),
		EnvFile: write(t, "empty.env", ""),
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsAreThoseOfTheDocumentation(t *testing.T) {
	got, err := config.Load(source(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		Addr: "127.0.0.1:8443", AdminAddr: "127.0.0.1:8444", GRPCAddr: "127.0.0.1:8445", DataDir: "data", TLS: true, ClientCert: "off",
		Issuer: "https://localhost:8443", Audience: "https://localhost:8443",
		TokenTTL: 15 * time.Minute, JWTAlg: "EdDSA", JWTRotate: 90 * 24 * time.Hour, PasswordGrant: true, RateToken: testkit.Rates("5/minute"), RatePredict: testkit.Limit("10/minute"),
		RatePredictPer: "address", QueueTimeout: 2 * time.Second,
		BootstrapAPIKeyRole: "user",
		MaxBody:             8 << 20, MaxModel: 512 << 20, MaxRows: 10000, Audit: "strict", RevocationMaxAge: time.Minute,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(config.Config{}, config.Secret{})); diff != "" {
		t.Error(diff)
	}
	if got.Origin("ONNXGATE_ADDR") != "default" {
		t.Errorf("Origin = %q, want default", got.Origin("ONNXGATE_ADDR"))
	}
}

func TestEverySettingIsTakenFromTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	password := write(t, "password", "a long password for admin\n")
	roles := write(t, "roles.yaml", "analyst: [models:read]\n")
	issuers := write(t, "issuers.yaml", "issuers: []\n")
	got, err := config.Load(source(t, map[string]string{
		"ONNXGATE_ADDR": "[::1]:9443", "ONNXGATE_ADMIN_ADDR": "off", "ONNXGATE_GRPC_ADDR": "[::1]:9444", "ONNXGATE_DATA_DIR": "/var/lib/x",
		"ONNXGATE_DATABASE_URL": "postgres://u:p@db/x", "ONNXGATE_REVOCATION_MAX_AGE": "10s", "ONNXGATE_DRAIN_DELAY": "7s", "ONNXGATE_REDIS_URL": "rediss://u:p@r/1",
		"ONNXGATE_MODELS_DIR": dir, "ONNXGATE_DEFAULT_MODEL": "iris", "ONNXGATE_SKIP_BAD_MODELS": "true", "ONNXGATE_MODELS_MEMORY": "3GiB", "ONNXGATE_TENANT_MODELS_MEMORY": "1GiB",
		"ONNXGATE_ROLES_FILE": roles,
		"ONNXGATE_TLS":        "on", "ONNXGATE_TLS_CERT_FILE": "c.pem", "ONNXGATE_TLS_KEY_FILE": "k.pem",
		"ONNXGATE_CLIENT_CERT": "request", "ONNXGATE_CLIENT_CA_FILE": "ca.pem", "ONNXGATE_CLIENT_CRL_FILE": "crl.pem",
		"ONNXGATE_ISSUER": "https://ml.example", "ONNXGATE_AUDIENCE": "ml", "ONNXGATE_TOKEN_TTL": "1h",
		"ONNXGATE_JWT_ROTATE": "off", "ONNXGATE_PASSWORD_GRANT": "off",
		"ONNXGATE_JWT_SECRET": goodSecret, "ONNXGATE_ADMIN_PASSWORD_FILE": password, "ONNXGATE_ISSUERS_FILE": issuers,
		"ONNXGATE_BOOTSTRAP_API_KEY": goodKey, "ONNXGATE_BOOTSTRAP_API_KEY_ROLE": "scorer",
		"ONNXGATE_RATE_TOKEN": " off", "ONNXGATE_RATE_PREDICT": "10/second, 1000000000/day,5000 rows/minute", "ONNXGATE_RATE_PREDICT_PER": "principal",
		"ONNXGATE_THROTTLE": "3s", "ONNXGATE_MAX_IN_FLIGHT": "9", "ONNXGATE_QUEUE_TIMEOUT": "500ms",
		"ONNXGATE_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.7,fd00::/8", "ONNXGATE_CORS_ORIGINS": "https://a.example,http://localhost:3000",
		"ONNXGATE_DOCS": "on", "ONNXGATE_MAX_BODY": "64KiB", "ONNXGATE_MAX_MODEL": "1MiB", "ONNXGATE_MAX_ROWS": "7",
		"ONNXGATE_AUDIT": "best-effort", "ONNXGATE_AUDIT_INPUT_HASH": "on",
		"ONNXGATE_PPROF":     "on",
		"ONNXGATE_LOG_LEVEL": "debug", "ONNXGATE_LOG_FORMAT": "json",
		"ONNXGATE_OTLP_ENDPOINT": "grpcs://c.example:4317", "ONNXGATE_SYSLOG_URL": "tls://s.example:6514",
		"OTEL_EXPORTER_OTLP_HEADERS": "api-key=hush", "OTEL_TRACES_SAMPLER": "",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		Addr: "[::1]:9443", GRPCAddr: "[::1]:9444", DataDir: "/var/lib/x", RevocationMaxAge: 10 * time.Second, DrainDelay: 7 * time.Second, ModelsDir: dir, DefaultModel: "iris", SkipBadModels: true, ModelsMemory: 3 << 30, TenantModelsMemory: 1 << 30, RolesFile: roles,
		TLS: true, TLSCertFile: "c.pem", TLSKeyFile: "k.pem", ClientCert: "request", ClientCAFile: "ca.pem", ClientCRLFile: "crl.pem",
		Issuer: "https://ml.example", Audience: "ml", TokenTTL: time.Hour, JWTAlg: "EdDSA",
		AdminPasswordFile: password, BootstrapAPIKeyRole: "scorer", IssuersFile: issuers, RatePredict: testkit.Limit("10/second, 1000000000/day, 5000 rows/minute"),
		RatePredictPer: "principal", Throttle: 3 * time.Second, MaxInFlight: 9, QueueTimeout: 500 * time.Millisecond,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("fd00::/8")},
		CORSOrigins:    []string{"https://a.example", "http://localhost:3000"},
		Docs:           true, MaxBody: 64 << 10, MaxModel: 1 << 20, MaxRows: 7, Audit: "best-effort", AuditInputHash: true, Pprof: true, LogLevel: slog.LevelDebug, LogFormat: "json",
		OTLPEndpoint: "grpcs://c.example:4317", SyslogURL: "tls://s.example:6514",
		OTel: map[string]config.Secret{"OTEL_EXPORTER_OTLP_HEADERS": config.NewSecret("api-key=hush")},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(config.Config{}, config.Secret{}), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	if got.DatabaseURL.Reveal() != "postgres://u:p@db/x" || got.RedisURL.Reveal() != "rediss://u:p@r/1" || got.JWTSecret.Reveal() != goodSecret || got.BootstrapAPIKey.Reveal() != goodKey || got.AdminPassword.Reveal() != "a long password for admin" {
		t.Error("a secret did not arrive as it was written")
	}
}

func TestWhatCannotBeRightIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		set  map[string]string
		want []string // each must be in the error
	}{
		"no file of roles":               {set("ROLES_FILE", "/nowhere/roles.yaml"), []string{"ONNXGATE_ROLES_FILE", "is no file"}},
		"address without port":           {set("ADDR", "localhost"), []string{"ONNXGATE_ADDR", "host:port"}},
		"port too large":                 {set("ADDR", "127.0.0.1:70000"), []string{"ONNXGATE_ADDR", "70000"}},
		"named port":                     {set("ADDR", "127.0.0.1:https"), []string{"ONNXGATE_ADDR"}},
		"API key of another form":        {set("BOOTSTRAP_API_KEY", "my-secret-key"), []string{"ONNXGATE_BOOTSTRAP_API_KEY: an API key has the form", "onnxgate apikey generate"}},
		"API key cut off":                {set("BOOTSTRAP_API_KEY", goodKey[:len(goodKey)-1]), []string{"ONNXGATE_BOOTSTRAP_API_KEY"}},
		"API key mistyped":               {set("BOOTSTRAP_API_KEY", goodKey[:20]+"x"+goodKey[21:]), []string{"ONNXGATE_BOOTSTRAP_API_KEY", "checksum"}},
		"API key of little chance":       {set("BOOTSTRAP_API_KEY", "ogk_3fPq8Zt1LmXa_abababababababababababababababab4CYnCW"), []string{"ONNXGATE_BOOTSTRAP_API_KEY", "not random"}},
		"API key as its hash":            {set("BOOTSTRAP_API_KEY", "ogk_3fPq8Zt1LmXa_sha256:"+strings.Repeat("0f", 32)), []string{"ONNXGATE_BOOTSTRAP_API_KEY"}},
		"gRPC at the public address":     {set("GRPC_ADDR", "127.0.0.1:8443"), []string{"ONNXGATE_GRPC_ADDR", "another port"}},
		"gRPC at the other address":      {set("GRPC_ADDR", "127.0.0.1:8444"), []string{"ONNXGATE_GRPC_ADDR", "administration"}},
		"gRPC public without TLS":        {set("TLS", "off", "GRPC_ADDR", "0.0.0.0:82"), []string{"ONNXGATE_GRPC_ADDR", "--insecure-http"}},
		"both listeners alike":           {set("ADMIN_ADDR", "127.0.0.1:8443"), []string{"ONNXGATE_ADMIN_ADDR", "another port"}},
		"a delay of an hour":             {set("DRAIN_DELAY", "1h"), []string{"ONNXGATE_DRAIN_DELAY", "5m"}},
		"models folder missing":          {set("MODELS_DIR", "/no/such/folder"), []string{"ONNXGATE_MODELS_DIR", "folder"}},
		"model name is a path":           {set("DEFAULT_MODEL", "../iris"), []string{`ONNXGATE_DEFAULT_MODEL: "../iris" is a path; write the name of a model`}},
		"models in no memory":            {set("MODELS_MEMORY", "1KiB"), []string{"ONNXGATE_MODELS_MEMORY"}},
		"a tenant's models in none":      {set("TENANT_MODELS_MEMORY", "1KiB"), []string{"ONNXGATE_TENANT_MODELS_MEMORY"}},
		"neither true nor false":         {set("SKIP_BAD_MODELS", "maybe"), []string{`ONNXGATE_SKIP_BAD_MODELS: "maybe" is not a switch; write true or false`}},
		"certificate without key":        {set("TLS_CERT_FILE", "c.pem"), []string{"ONNXGATE_TLS_KEY_FILE", "is not set"}},
		"client certificates of nobody":  {set("CLIENT_CERT", "require"), []string{"ONNXGATE_CLIENT_CA_FILE", "is not set"}},
		"authorities that nobody asks":   {set("CLIENT_CA_FILE", "ca.pem"), []string{"ONNXGATE_CLIENT_CERT", "is off"}},
		"revocations of no authority":    {set("CLIENT_CRL_FILE", "crl.pem"), []string{"ONNXGATE_CLIENT_CRL_FILE"}},
		"client certificates, sometimes": {set("CLIENT_CERT", "sometimes"), []string{"ONNXGATE_CLIENT_CERT", "require"}},
		"key without certificate":        {set("TLS_KEY_FILE", "k.pem"), []string{"ONNXGATE_TLS_CERT_FILE", "is not set"}},
		"certificate but TLS off":        {set("TLS", "off", "TLS_CERT_FILE", "c.pem", "TLS_KEY_FILE", "k.pem"), []string{"ONNXGATE_TLS", "unset one"}},
		"public without TLS":             {set("TLS", "off", "ADDR", "0.0.0.0:80"), []string{"ONNXGATE_ADDR", "--insecure-http"}},
		"any interface without TLS":      {set("TLS", "off", "ADDR", ":80"), []string{"ONNXGATE_ADDR", "--insecure-http"}},
		"a name without TLS":             {set("TLS", "off", "ADDR", "gate.example:80"), []string{"ONNXGATE_ADDR", "--insecure-http"}},
		"admin public without TLS":       {set("TLS", "off", "ADMIN_ADDR", "[::]:81"), []string{"ONNXGATE_ADMIN_ADDR", "--insecure-http"}},
		"issuer is no URL":               {set("ISSUER", "gate"), []string{"ONNXGATE_ISSUER"}},
		"issuer with query":              {set("ISSUER", "https://gate.example?x=1"), []string{"ONNXGATE_ISSUER"}},
		"issuer in the clear":            {set("ISSUER", "http://gate.example"), []string{"ONNXGATE_ISSUER", "https://"}},
		"no time without database":       {set("REVOCATION_MAX_AGE", "0s"), []string{"ONNXGATE_REVOCATION_MAX_AGE", "from 1s to 1h"}},
		"long without database":          {set("REVOCATION_MAX_AGE", "2h"), []string{"ONNXGATE_REVOCATION_MAX_AGE", "from 1s to 1h"}},
		"lifetime too short":             {set("TOKEN_TTL", "1s"), []string{"ONNXGATE_TOKEN_TTL", "from 1m to 24h"}},
		"lifetime too long":              {set("TOKEN_TTL", "2d"), []string{"ONNXGATE_TOKEN_TTL", "from 1m to 24h"}},
		"lifetime without unit":          {set("TOKEN_TTL", "900"), []string{"ONNXGATE_TOKEN_TTL", "from 1m to 24h"}},
		"rotation too often":             {set("JWT_ROTATE", "1m"), []string{"ONNXGATE_JWT_ROTATE", "from 1h to 3650d"}},
		"rotation at once":               {set("JWT_ROTATE", "0s"), []string{"ONNXGATE_JWT_ROTATE", "or off"}},
		"algorithm none":                 {set("JWT_ALG", "none"), []string{`ONNXGATE_JWT_ALG: "none" is not one of the choices; write EdDSA`}},
		"algorithm in small":             {set("JWT_ALG", "es256"), []string{"ONNXGATE_JWT_ALG", "ES256"}},
		"secret and algorithm":           {set("JWT_ALG", "ES256", "JWT_SECRET", goodSecret), []string{"ONNXGATE_JWT_ALG", "HS256"}},
		"issuers' file missing":          {set("ISSUERS_FILE", "/no/such/file"), []string{`ONNXGATE_ISSUERS_FILE: "/no/such/file" is no file; write a file that exists`}},
		"password file missing":          {set("ADMIN_PASSWORD_FILE", "/no/such/file"), []string{"ONNXGATE_ADMIN_PASSWORD_FILE", "/no/such/file"}},
		"password file is folder":        {set("ADMIN_PASSWORD_FILE", "/"), []string{"ONNXGATE_ADMIN_PASSWORD_FILE"}},
		"password in the variable":       {set("ADMIN_PASSWORD", "hunter2"), []string{"ONNXGATE_ADMIN_PASSWORD_FILE?"}},
		"rate without unit":              {set("RATE_TOKEN", "5"), []string{"ONNXGATE_RATE_TOKEN", "N/minute"}},
		"rate per week":                  {set("RATE_PREDICT", "5/week"), []string{"ONNXGATE_RATE_PREDICT", "N/minute"}},
		"rate of zero":                   {set("RATE_PREDICT", "0/minute"), []string{"ONNXGATE_RATE_PREDICT"}},
		"rate beyond counting":           {set("RATE_PREDICT", "1000000001/day"), []string{"ONNXGATE_RATE_PREDICT", "1000000000"}},
		"two windows of one length":      {set("RATE_PREDICT", "5/minute, 9/minute"), []string{"ONNXGATE_RATE_PREDICT", "5/minute and 9/minute are alike"}},
		"a longer window with less":      {set("RATE_PREDICT", "10/second, 5/minute"), []string{"ONNXGATE_RATE_PREDICT", "5/minute is less than 10/second"}},
		"predictions per user":           {set("RATE_PREDICT_PER", "user"), []string{"ONNXGATE_RATE_PREDICT_PER", "address or principal"}},
		"a throttle of a minute":         {set("THROTTLE", "1m"), []string{"ONNXGATE_THROTTLE", "0s to 5s"}},
		"no time left for a body":        {set("THROTTLE", "5001ms"), []string{"ONNXGATE_THROTTLE", "0s to 5s", "the header and a short body together have 10s"}},
		"fewer than none in flight":      {set("MAX_IN_FLIGHT", "-1"), []string{"ONNXGATE_MAX_IN_FLIGHT", "100000"}},
		"a queue of a minute":            {set("QUEUE_TIMEOUT", "1m"), []string{"ONNXGATE_QUEUE_TIMEOUT", "30s"}},
		"negative rate":                  {set("RATE_PREDICT", "-1/minute"), []string{"ONNXGATE_RATE_PREDICT"}},
		"proxy by name":                  {set("TRUSTED_PROXIES", "proxy.example"), []string{"ONNXGATE_TRUSTED_PROXIES", "CIDR"}},
		"proxy with host bits":           {set("TRUSTED_PROXIES", "10.1.2.3/8"), []string{"ONNXGATE_TRUSTED_PROXIES", "10.0.0.0/8"}},
		"proxy mapped":                   {set("TRUSTED_PROXIES", "::ffff:10.0.0.0/104"), []string{"ONNXGATE_TRUSTED_PROXIES"}},
		"proxy prefix too long":          {set("TRUSTED_PROXIES", "10.0.0.0/33"), []string{"ONNXGATE_TRUSTED_PROXIES"}},
		"an empty part of a list":        {set("TRUSTED_PROXIES", "10.0.0.0/8,"), []string{"ONNXGATE_TRUSTED_PROXIES"}},
		"any origin":                     {set("CORS_ORIGINS", "*"), []string{"ONNXGATE_CORS_ORIGINS", "exact"}},
		"null origin":                    {set("CORS_ORIGINS", "null"), []string{"ONNXGATE_CORS_ORIGINS", "exact"}},
		"origin with path":               {set("CORS_ORIGINS", "https://a.example/"), []string{"ONNXGATE_CORS_ORIGINS", "exact"}},
		"origin with wildcard":           {set("CORS_ORIGINS", "https://*.example"), []string{"ONNXGATE_CORS_ORIGINS"}},
		"origin with capitals":           {set("CORS_ORIGINS", "https://A.example"), []string{"ONNXGATE_CORS_ORIGINS"}},
		"origin scheme in capitals":      {set("CORS_ORIGINS", "HTTPS://a.example"), []string{"ONNXGATE_CORS_ORIGINS"}},
		"origin with default port":       {set("CORS_ORIGINS", "https://a.example:443"), []string{"ONNXGATE_CORS_ORIGINS", "leave out"}},
		"origin with port zero":          {set("CORS_ORIGINS", "https://a.example:0"), []string{"ONNXGATE_CORS_ORIGINS"}},
		"origin with user":               {set("CORS_ORIGINS", "https://u@a.example"), []string{"ONNXGATE_CORS_ORIGINS"}},
		"origin of a file":               {set("CORS_ORIGINS", "file:///x"), []string{"ONNXGATE_CORS_ORIGINS"}},
		"audit perhaps":                  {set("AUDIT", "on"), []string{"ONNXGATE_AUDIT", "strict, best-effort or off"}},
		"a hash of inputs perhaps":       {set("AUDIT_INPUT_HASH", "hmac"), []string{"ONNXGATE_AUDIT_INPUT_HASH", "on or off"}},
		"pprof perhaps":                  {set("PPROF", "yes"), []string{"ONNXGATE_PPROF", "on or off"}},
		"docs perhaps":                   {set("DOCS", "yes please"), []string{"ONNXGATE_DOCS", "on or off"}},
		"body below a kibibyte":          {set("MAX_BODY", "10"), []string{"ONNXGATE_MAX_BODY", "1KiB"}},
		"body beyond a gibibyte":         {set("MAX_BODY", "2GiB"), []string{"ONNXGATE_MAX_BODY", "1GiB"}},
		"body overflows":                 {set("MAX_BODY", "9999999999999GiB"), []string{"ONNXGATE_MAX_BODY"}},
		"model beyond what is loaded":    {set("MAX_MODEL", "513MiB"), []string{"ONNXGATE_MAX_MODEL", "512MiB"}},
		"body of unknown unit":           {set("MAX_BODY", "8Mb"), []string{"ONNXGATE_MAX_BODY", "8MiB"}},
		"no rows":                        {set("MAX_ROWS", "0"), []string{"ONNXGATE_MAX_ROWS"}},
		"rows as a fraction":             {set("MAX_ROWS", "1.5"), []string{"ONNXGATE_MAX_ROWS"}},
		"level unknown":                  {set("LOG_LEVEL", "trace"), []string{"ONNXGATE_LOG_LEVEL", "debug, info"}},
		"level in capitals":              {set("LOG_LEVEL", "INFO"), []string{"ONNXGATE_LOG_LEVEL", "debug, info"}},
		"level with an offset":           {set("LOG_LEVEL", "info+1"), []string{"ONNXGATE_LOG_LEVEL", "debug, info"}},
		"format unknown":                 {set("LOG_FORMAT", "xml"), []string{"ONNXGATE_LOG_FORMAT", "text or json"}},
		"misspelled":                     {set("ADRR", "127.0.0.1:1"), []string{"ONNXGATE_ADRR", "did you mean ONNXGATE_ADDR?"}},
		"in small letters":               {map[string]string{"onnxgate_docs": "on"}, []string{"onnxgate_docs", "did you mean ONNXGATE_DOCS?"}},
		"nothing like any":               {set("FROBNICATE_THE_FLUX", "1"), []string{"ONNXGATE_FROBNICATE_THE_FLUX", "docs/settings.md"}},
		"a rate in rows of addresses":    {set("RATE_PREDICT", "10/minute, 50 rows/minute"), []string{"ONNXGATE_RATE_PREDICT", "counts rows", "write ONNXGATE_RATE_PREDICT_PER=principal"}},
		"a rate in rows for tokens":      {set("RATE_TOKEN", "50 rows/minute"), []string{"ONNXGATE_RATE_TOKEN", `must be without the word "rows"`}},
		"a service port by hand":         {set("ADMIN_PORT", "9000"), []string{"ONNXGATE_ADMIN_PORT"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load(source(t, tc.set))
			var problems config.SettingErrors
			if !errors.As(err, &problems) || len(problems) != 1 {
				t.Fatalf("error = %v, want exactly one problem", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

// set builds an environment from names without their prefix.
func set(pairs ...string) map[string]string {
	vars := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		vars["ONNXGATE_"+pairs[i]] = pairs[i+1]
	}
	return vars
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	src := source(t, set("ADDR", "nowhere", "TOKEN_TTL", "1s", "MAX_ROWS", "x", "JWT_SECRET", "secret", "RATE_TOKN", "1/minute"))
	src.EnvFile = write(t, "bad.env", "ONNXGATE_DOCS=$X\n\nONNXGATE_LOGLEVEL=info\n")
	_, err := config.Load(src)
	var problems config.SettingErrors
	if !errors.As(err, &problems) {
		t.Fatalf("error = %v", err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, strings.TrimPrefix(p.Setting, filepath.Dir(src.EnvFile)+"/"))
	}
	want := []string{
		"bad.env:1", "ONNXGATE_RATE_TOKN", "bad.env:3",
		"ONNXGATE_ADDR", "ONNXGATE_MAX_ROWS", "ONNXGATE_TOKEN_TTL", "ONNXGATE_JWT_SECRET",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != len(want) {
		t.Errorf("%d lines, want one for each of %d problems", n, len(want))
	}
}

func TestWeakSecretsStopTheStart(t *testing.T) {
	for name, secret := range map[string]string{
		"31 bytes":              goodSecret[:31],
		"one word":              "tr0ub4dor",
		"jwt.io":                "a-string-secret-at-least-256-bits-long",
		"jwt.io before":         "your-256-bit-secret",
		"FastAPI":               "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
		"FastAPI in capitals":   "09D25E094FAA6CA2556C818166B7A9563B93F7099F6F0F4CAA6CF63B88E8D3E7",
		"RFC 7515":              "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
		"changeme and more":     "changeme-" + goodSecret,
		"to be replaced":        "please_CHANGE_ME_in_production_0123456789",
		"long words":            "your-super-secret-jwt-token-with-at-least-32-characters-long",
		"one letter":            strings.Repeat("a", 64),
		"a unit over and over":  strings.Repeat("kX9$vB2!mQ7z", 6),
		"a unit, the last cut":  strings.Repeat("kX9$vB2!mQ7z", 6) + "kX9$",
		"ascending":             "0123456789012345678901234567890123456789",
		"two letters at random": "abbabaabbaababbabaababbaabbabaabab",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load(source(t, set("JWT_SECRET", secret)))
			if err == nil || !strings.Contains(err.Error(), "openssl rand -base64 32") {
				t.Errorf("error = %v, want the command that makes a good secret", err)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestGoodSecretsAreAccepted(t *testing.T) {
	for name, secret := range map[string]string{
		"base64 of 32 bytes": goodSecret,
		"hex of 16 bytes":    "f3a91c07be52d86450ac1e9f7b28d3e6",
		"a phrase":           "seventeen purple tractors drift over a quiet harbour",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := config.Load(source(t, set("JWT_SECRET", secret))); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSecretFilesLoseOneNewlineOnly(t *testing.T) {
	for text, want := range map[string]string{
		goodSecret:          goodSecret,
		goodSecret + "\n":   goodSecret,
		goodSecret + "\r\n": goodSecret,
		goodSecret + "\n\n": goodSecret + "\n",
		goodSecret + " ":    goodSecret + " ",
	} {
		c, err := config.Load(source(t, set("JWT_SECRET_FILE", write(t, "secret", text))))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if got := c.JWTSecret.Reveal(); got != want {
			t.Errorf("file %q gives %q, want %q", text, got, want)
		}
	}
}

// pipe makes a named pipe that nobody writes to.
func pipe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEnvFilesThatAreNoneAreRefused(t *testing.T) {
	for want, file := range map[string]string{
		"not a regular file":        pipe(t),
		"larger than 1048576 bytes": write(t, "huge.env", strings.Repeat("# comment\n", 1<<17)),
	} {
		src := source(t, nil)
		src.EnvFile = file
		if _, err := config.Load(src); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %q", err, want)
		}
	}
}

func TestALongValueThatIsRefusedIsNotShown(t *testing.T) {
	const secret = goodSecret
	for _, s := range config.Settings() {
		if s.Secret {
			continue
		}
		src := source(t, map[string]string{s.Name: secret})
		if _, err := config.Load(src); err != nil && strings.Contains(err.Error(), secret[8:]) {
			t.Errorf("%s: the error shows what may be a secret: %v", s.Name, err)
		}
	}
	for value, want := range map[string]string{"HS256": `"HS256" is not`, secret: `"q7Jm0Y2c"… (44 bytes) is not`} {
		if _, err := config.Load(source(t, set("JWT_ALG", value))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %q", err, want)
		}
	}
}

func TestSecretFilesThatHoldNoneAreRefused(t *testing.T) {
	for name, vars := range map[string]map[string]string{
		"both forms": set("JWT_SECRET", goodSecret, "JWT_SECRET_FILE", write(t, "s", goodSecret)),
		"empty":      set("JWT_SECRET_FILE", write(t, "s", "")),
		"newline":    set("JWT_SECRET_FILE", write(t, "s", "\n")),
		"missing":    set("JWT_SECRET_FILE", "/no/such/file"),
		"a folder":   set("JWT_SECRET_FILE", t.TempDir()),
		"huge":       set("JWT_SECRET_FILE", write(t, "s", strings.Repeat(goodSecret, 2000))),
		"weak":       set("JWT_SECRET_FILE", write(t, "s", "secret\n")),
		"endless":    set("JWT_SECRET_FILE", "/dev/zero"),
		"a pipe":     set("JWT_SECRET_FILE", pipe(t)),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load(source(t, vars))
			if err == nil || !strings.Contains(err.Error(), "ONNXGATE_JWT_SECRET") {
				t.Errorf("error = %v, want one that names the setting", err)
			}
		})
	}
}

func TestASecretFileThatCannotBeReadSaysToNameAFile(t *testing.T) {
	_, err := config.Load(source(t, set("JWT_SECRET_FILE", "/no/such/file")))
	const want = "ONNXGATE_JWT_SECRET_FILE: cannot read \"/no/such/file\": no such file or directory; write the path of a file that holds the output of: openssl"
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error = %v, want %s", err, want)
	}
}

func TestSettingsAreShownAsTheyAreWritten(t *testing.T) {
	for name, values := range map[string][]string{
		"ONNXGATE_TOKEN_TTL":          {"60s", "90s", "2m", "15m", "1h", "1h30m", "24h", "1h0m1s"},
		"ONNXGATE_JWT_ROTATE":         {"off", "1h", "36h", "49h", "90d"},
		"ONNXGATE_REVOCATION_MAX_AGE": {"60s"},
		"ONNXGATE_THROTTLE":           {"0s", "1.5s", "5s"},
		"ONNXGATE_MAX_BODY":           {"8MiB", "8MB", "1KiB", "64KB", "1GiB", "1025"},
	} {
		for _, value := range values {
			c, err := config.Load(source(t, map[string]string{name: value}))
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range config.Settings() {
				if got := s.Show(c); s.Name == name && got != value {
					t.Errorf("%s=%s is shown as %s", name, value, got)
				}
			}
		}
	}
}

func TestInsecureHTTPNeedsItsFlag(t *testing.T) {
	src := source(t, set("TLS", "off", "ADDR", "0.0.0.0:8080", "ADMIN_ADDR", "off"))
	src.InsecureHTTP = true
	if _, err := config.Load(src); err != nil {
		t.Errorf("with --insecure-http: %v", err)
	}
	for _, addr := range []string{"127.0.0.1:1", "127.8.9.10:1", "[::1]:1", "localhost:1", "[::ffff:127.0.0.1]:1"} {
		if _, err := config.Load(source(t, set("TLS", "off", "ADDR", addr))); err != nil {
			t.Errorf("plain HTTP on %s: %v", addr, err)
		}
	}
}

func TestFlagBeatsEnvironmentBeatsFile(t *testing.T) {
	src := source(t, set("ADDR", "127.0.0.1:2", "MAX_ROWS", "2"))
	src.EnvFile = write(t, "all.env", "ONNXGATE_ADDR=127.0.0.1:3\nONNXGATE_MAX_ROWS=3\nONNXGATE_TOKEN_TTL=3m\n")
	src.Flags = map[string]string{"ONNXGATE_ADDR": "127.0.0.1:1"}
	c, err := config.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Addr, " ", c.MaxRows, c.TokenTTL)
	if want := "127.0.0.1:1 2 3m0s"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	origins := []string{c.Origin("ONNXGATE_ADDR"), c.Origin("ONNXGATE_MAX_ROWS"), c.Origin("ONNXGATE_TOKEN_TTL"), c.Origin("ONNXGATE_DOCS")}
	if diff := cmp.Diff([]string{"--addr", "environment", src.EnvFile + ":3", "default"}, origins); diff != "" {
		t.Error(diff)
	}
}

func TestAnEmptyVariableHidesTheFileAndMeansTheDefault(t *testing.T) {
	src := source(t, set("MAX_ROWS", ""))
	src.EnvFile = write(t, "rows.env", "ONNXGATE_MAX_ROWS=3\n")
	c, err := config.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	if c.MaxRows != 10000 {
		t.Errorf("MaxRows = %d, want the default", c.MaxRows)
	}
}

func TestWhatKubernetesAndDockerInjectIsIgnored(t *testing.T) {
	vars := map[string]string{}
	for _, name := range []string{
		"ONNXGATE_PORT", "ONNXGATE_PORT_8443_TCP", "ONNXGATE_PORT_8443_TCP_PROTO", "ONNXGATE_PORT_8443_TCP_PORT",
		"ONNXGATE_PORT_8443_TCP_ADDR", "ONNXGATE_SERVICE_HOST", "ONNXGATE_SERVICE_PORT", "ONNXGATE_SERVICE_PORT_HTTPS",
		"ONNXGATE_NAME", "ONNXGATE_ENV_ONNXGATE_ADDR", "ONNXGATE_ENV_PATH",
		"ONNXGATE_ADMIN_SERVICE_HOST", "ONNXGATE_ADMIN_SERVICE_PORT", "ONNXGATE_ADMIN_PORT", "ONNXGATE_ADMIN_PORT_8444_TCP_ADDR",
	} {
		vars[name] = "tcp://10.96.0.7:8443"
	}
	if _, err := config.Load(source(t, vars)); err != nil {
		t.Error(err)
	}
	src := source(t, nil)
	src.EnvFile = write(t, "port.env", "ONNXGATE_PORT=tcp://10.96.0.7:8443\n")
	if _, err := config.Load(src); err == nil {
		t.Error("ONNXGATE_PORT in .env, where nobody injects anything, was accepted")
	}
}

func TestEnvFileIsReadAsWritten(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"plain":               {"ONNXGATE_AUDIENCE=ml", "ml"},
		"exported":            {"export ONNXGATE_AUDIENCE=ml\n", "ml"},
		"byte order mark":     {"\ufeffONNXGATE_AUDIENCE=ml\n", "ml"},
		"CR LF":               {"# c\r\nONNXGATE_AUDIENCE=ml\r\n", "ml"},
		"comment":             {"# costs $5\n  # and more\nONNXGATE_AUDIENCE='m l' # said '$5'\n", "m l"},
		"blanks":              {"ONNXGATE_AUDIENCE = a b\n", "a b"},
		"single quotes":       {"ONNXGATE_AUDIENCE='a$B\\n #c'\n", `a$B\n #c`},
		"double quotes":       {"ONNXGATE_AUDIENCE=\"a b\"\n", "a b"},
		"over lines":          {"ONNXGATE_AUDIENCE='a\nb=c\nd'\nONNXGATE_DOCS=on\n", "a\nb=c\nd"},
		"colon in the value":  {"ONNXGATE_AUDIENCE=https://ml.example:9\n", "https://ml.example:9"},
		"others are let be":   {"PATH=/x\nONNXGATE_AUDIENCE=ml\n", "ml"},
		"equals in the value": {"ONNXGATE_AUDIENCE=a=b\n", "a=b"},
	} {
		t.Run(name, func(t *testing.T) {
			src := source(t, nil)
			src.EnvFile = write(t, "f.env", tc.text)
			c, err := config.Load(src)
			if err != nil {
				t.Fatal(err)
			}
			if c.Audience != tc.want {
				t.Errorf("audience = %q, want %q", c.Audience, tc.want)
			}
			if v, ok := os.LookupEnv("ONNXGATE_AUDIENCE"); ok {
				t.Errorf("the process environment was changed to %q", v)
			}
		})
	}
}

func TestEnvFileThatWouldBeMisreadIsRefusedWithItsLine(t *testing.T) {
	const s = "hunter2$TAIL"
	for name, tc := range map[string]struct {
		text string
		line string
	}{
		"dollar":                  {"\nONNXGATE_JWT_SECRET=" + s, ":2: ONNXGATE_JWT_SECRET has a $"},
		"dollar in double quotes": {"ONNXGATE_JWT_SECRET=\"" + s + "\"", ":1: ONNXGATE_JWT_SECRET has a $"},
		"escaped dollar":          {"ONNXGATE_JWT_SECRET=\"hunter2\\$TAIL\"", ":1: ONNXGATE_JWT_SECRET has a $"},
		"dollar in braces":        {"A=1\nB=2\nX=hunter2${A}", ":3: X has a $"},
		"repeated":                {"ONNXGATE_DOCS=on\n#\nONNXGATE_DOCS=off", ":3: ONNXGATE_DOCS is set again (first on line 1)"},
		"repeated after lines":    {"A='x\ny'\nA=hunter2", ":3: A is set again"},
		"no equals sign":          {"ONNXGATE_DOCS", ":1: is not NAME=value"},
		"blank in the name":       {"ONNXGATE DOCS=on", ":1: is not NAME=value"},
		"dash in the name":        {"ONNXGATE-DOCS=hunter2", ":1: is not NAME=value"},
		"quote never ends":        {"A=1\nONNXGATE_AUDIENCE='hunter2\nB=2\n", ":2: is not NAME=value"},
		"two on one line":         {"A='1' B='hunter2'", ":1: holds more than one"},
		"text behind the quote":   {"A='1'hunter2", ":1: "},
		"hash behind a blank":     {"ONNXGATE_AUDIENCE=hunter2 # c", ":1: ONNXGATE_AUDIENCE has a # or a quote"},
		"hash in the value":       {"A=1\nONNXGATE_AUDIENCE=hunter2#c", ":2: ONNXGATE_AUDIENCE has a # or a quote"},
		"hash alone":              {"ONNXGATE_AUDIENCE=#hunter2", ":1: ONNXGATE_AUDIENCE has a # or a quote"},
		"quote in the middle":     {"ONNXGATE_AUDIENCE=hunter2'x'", ":1: ONNXGATE_AUDIENCE has a # or a quote"},
		"double quote in it":      {"ONNXGATE_AUDIENCE=hunter2\"x", ":1: ONNXGATE_AUDIENCE has a # or a quote"},
		"colon":                   {"ONNXGATE_AUDIENCE: hunter2", ":1: is not NAME=value; write = between"},
		"colon before quotes":     {"ONNXGATE_AUDIENCE: 'hunter2=x'", ":1: is not NAME=value; write = between"},
		"unknown":                 {"X=1\nONNXGATE_DOC=on", ":2: ONNXGATE_DOC is no setting; did you mean ONNXGATE_DOCS?"},
	} {
		t.Run(name, func(t *testing.T) {
			src := source(t, nil)
			src.EnvFile = write(t, "f.env", tc.text)
			_, err := config.Load(src)
			if err == nil || !strings.Contains(err.Error(), src.EnvFile+tc.line) {
				t.Errorf("error = %v, want one at %q", err, tc.line)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a value: %v", err)
			}
		})
	}
}

func TestEnvFileIsOptionalUnlessNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, err := config.Load(config.Source{}); err != nil {
		t.Errorf("no .env: %v", err)
	}
	if _, err := config.Load(config.Source{EnvFile: "missing.env"}); err == nil {
		t.Error("a file that was named and is not there was accepted")
	}
	if err := os.WriteFile(".env", []byte("ONNXGATE_MAX_ROWS=5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Source{})
	if err != nil || c.MaxRows != 5 {
		t.Errorf("rows = %v, error = %v; want 5 from .env", c, err)
	}
}

func TestSecretsNeverShow(t *testing.T) {
	c, err := config.Load(source(t, set("JWT_SECRET", goodSecret)))
	if err != nil {
		t.Fatal(err)
	}
	type hidden struct{ s config.Secret }
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).InfoContext(t.Context(), "x", slog.Any("config", c), slog.Any("secret", c.JWTSecret))
	slog.New(slog.NewTextHandler(&log, nil)).InfoContext(t.Context(), "x", slog.Any("config", c), slog.Any("secret", c.JWTSecret))
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	out := log.String() + string(asJSON)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		out += fmt.Sprintf(verb, c.JWTSecret) + fmt.Sprintf(verb, *c) + fmt.Sprintf(verb, hidden{c.JWTSecret}) + fmt.Sprintf(verb, &c.JWTSecret)
	}
	for _, form := range []string{goodSecret, fmt.Sprintf("%x", goodSecret), fmt.Sprintf("%q", goodSecret), fmt.Sprintf("%d", []byte(goodSecret))} {
		if strings.Contains(out, form) {
			t.Errorf("the secret shows in:\n%s", out)
		}
	}
	for _, s := range config.Settings() {
		if strings.Contains(s.Show(c), goodSecret) {
			t.Errorf("%s shows the secret", s.Name)
		}
	}
	if !strings.Contains(out, "[redacted]") {
		t.Error("nothing says that a secret is set")
	}
}

func TestChangesAreLiveOrNeedARestart(t *testing.T) {
	before, err := config.Load(source(t, set("JWT_SECRET", goodSecret)))
	if err != nil {
		t.Fatal(err)
	}
	after, err := config.Load(source(t, set("JWT_SECRET", goodSecret[1:]+"x", "RATE_PREDICT", "1/second",
		"CORS_ORIGINS", "https://a.example", "LOG_LEVEL", "warn", "ADDR", "127.0.0.1:1")))
	if err != nil {
		t.Fatal(err)
	}
	inForce, live, restart := before.TakeLive(after)
	if diff := cmp.Diff([]string{"ONNXGATE_JWT_SECRET", "ONNXGATE_RATE_PREDICT", "ONNXGATE_CORS_ORIGINS", "ONNXGATE_LOG_LEVEL"}, live); diff != "" {
		t.Error(diff)
	}
	want := []string{"ONNXGATE_ADDR", "ONNXGATE_ISSUER", "ONNXGATE_AUDIENCE"}
	if diff := cmp.Diff(want, restart); diff != "" {
		t.Error(diff)
	}
	// Every one that is told to be taken over is, and no other.
	if _, again, still := inForce.TakeLive(after); len(again) > 0 || !slices.Equal(still, restart) {
		t.Errorf("read once more: %v would be taken over, and %v need a restart", again, still)
	}
}

func TestAReloadChangesWhatIsSetButNotWhetherItIs(t *testing.T) {
	with := func(value string) *config.Config {
		secret := config.NewSecret(value)
		return &config.Config{DatabaseURL: secret, RedisURL: secret, JWTSecret: secret, BootstrapAPIKey: secret}
	}
	stay := []string{"ONNXGATE_DATABASE_URL", "ONNXGATE_REDIS_URL", "ONNXGATE_JWT_SECRET"}
	key := []string{"ONNXGATE_BOOTSTRAP_API_KEY"}
	for name, c := range map[string]struct {
		before, after string
		live, restart []string
	}{
		"changed": {"a", "b", append(slices.Clone(stay), key...), nil},
		"set":     {"", "b", key, stay},
		"unset":   {"a", "", key, stay},
		"as ever": {"a", "a", nil, nil},
	} {
		inForce, live, restart := with(c.before).TakeLive(with(c.after))
		if !slices.Equal(live, c.live) || !slices.Equal(restart, c.restart) || inForce.BootstrapAPIKey.Reveal() != c.after {
			t.Errorf("%s: %v were taken over, and %v need a restart", name, live, restart)
		}
		if kept := inForce.JWTSecret.Reveal() == c.before; kept != (c.restart != nil || c.before == c.after) {
			t.Errorf("%s: the secret is %q", name, inForce.JWTSecret.Reveal())
		}
	}
}

func TestAChangeOfAStandardNameNeedsARestart(t *testing.T) {
	with := func(names map[string]string) *config.Config {
		c := &config.Config{OTel: map[string]config.Secret{}}
		for name, value := range names {
			c.OTel[name] = config.NewSecret(value)
		}
		return c
	}
	before := with(map[string]string{"OTEL_SERVICE_NAME": "a", "OTEL_TRACES_SAMPLER": "always_on", "OTEL_PROPAGATORS": "none"})
	_, live, restart := before.TakeLive(
		with(map[string]string{"OTEL_SERVICE_NAME": "a", "OTEL_TRACES_SAMPLER": "always_off", "OTEL_LOGS_EXPORTER": "none"}),
	)
	if diff := cmp.Diff([]string{"OTEL_LOGS_EXPORTER", "OTEL_PROPAGATORS", "OTEL_TRACES_SAMPLER"}, restart); diff != "" || len(live) > 0 {
		t.Errorf("live %v (-want +got):\n%s", live, diff)
	}
}

func TestExampleFileListsEverySetting(t *testing.T) {
	const path = "../../.env.example"
	want := example()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is not what the settings say; run the test with -update\n%s", path, diff)
	}
}

func example() string {
	var b strings.Builder
	b.WriteString("# Settings of onnxgate. Copy this file to .env and uncomment what should differ from the default.\n" +
		"# The real environment wins over .env, and a flag wins over both. A value with quotes, # or $ needs single quotes.\n")
	for _, s := range config.Settings() {
		fmt.Fprintf(&b, "\n# %s\n# Write %s.\n", s.Doc, s.Want)
		fmt.Fprintf(&b, "#%s=%s\n", s.Name, s.Default)
		if s.Secret {
			fmt.Fprintf(&b, "# Or the path of a file that holds it.\n#%s_FILE=\n", s.Name)
		}
	}
	return b.String()
}

func TestExampleFileIsItselfValid(t *testing.T) {
	example, err := os.ReadFile("../../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	src := source(t, nil)
	src.EnvFile = write(t, "example.env", strings.ReplaceAll(string(example), "\n#ONNXGATE_", "\nONNXGATE_"))
	got, err := config.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	want, err := config.Load(source(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(config.Config{}, config.Secret{})); diff != "" {
		t.Error(diff)
	}
}

func FuzzEnvFileNeverPanicsOrShowsValues(f *testing.F) {
	for _, seed := range []string{"A=1\nB='x$y'\n", "A=\"$\"", "export A: b # c\n", "A='\n'\nA=2", "\ufeffA=\r\n", "A"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path := write(t, "f.env", text)
		c, err := config.Load(config.Source{EnvFile: path})
		if (c == nil) == (err == nil) {
			t.Errorf("config = %v with error %v", c, err)
		}
	})
}
