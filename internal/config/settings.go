package config

import (
	"log/slog"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Setting describes one setting. Everything that knows the settings (Load,
// `config check`, the test of .env.example) reads the same table.
type Setting struct {
	// Name is the environment variable.
	Name string
	// Flag is the flag of `serve` that wins over the environment, if any.
	Flag string
	// Default is the text that holds when nothing is set.
	Default string
	// Doc is one sentence for the operator.
	Doc string
	// Want says what to write.
	Want string
	// Secret values have a second form, Name+"_FILE", and are never shown.
	Secret bool
	// Live settings are taken over by a reload; the others need a restart.
	Live bool
	// Stays says of a Live setting that a reload neither sets nor unsets it.
	Stays bool

	binding
}

// binding ties a setting to its field.
type binding struct {
	set  func(*Config, string) error
	show func(*Config) string
	same func(a, b *Config) bool
	copy func(to, from *Config)
}

// Show returns the value in force as text, a secret redacted.
func (s *Setting) Show(c *Config) string { return s.show(c) }

func bind[T any](field func(*Config) *T, parse func(string) (T, error), format func(T) string) binding {
	return binding{
		set: func(c *Config, text string) error {
			v, err := parse(text)
			if err == nil {
				*field(c) = v
			}
			return err
		},
		show: func(c *Config) string { return format(*field(c)) },
		same: func(a, b *Config) bool { return reflect.DeepEqual(*field(a), *field(b)) },
		copy: func(to, from *Config) { *field(to) = *field(from) },
	}
}

func asIs(s string) string { return s }

func orOff(s string) string {
	if s == "" {
		return off
	}
	return s
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return off
}

func joined[T any](format func(T) string) func([]T) string {
	return func(all []T) string {
		parts := make([]string, len(all))
		for i, v := range all {
			parts[i] = format(v)
		}
		return strings.Join(parts, ",")
	}
}

func text(field func(*Config) *string) binding { return bind(field, parseText, asIs) }

// Settings returns every setting, in the order of the documentation.
func Settings() []Setting {
	all := append(listenerSettings(), databaseSettings()...)
	all = append(all, modelSettings()...)
	all = append(all, tlsSettings()...)
	all = append(all, tokenSettings()...)
	all = append(all, roleSettings()...)
	all = append(all, sealSettings()...)
	all = append(all, requestSettings()...)
	return append(all, telemetrySettings()...)
}

func listenerSettings() []Setting {
	return []Setting{
		{
			Name: "ONNXGATE_ADDR", Flag: "addr", Default: "127.0.0.1:8443",
			Doc:     "Public listener (HTTPS).",
			Want:    "host:port, such as 127.0.0.1:8443, or 0.0.0.0:8443 for every interface",
			binding: bind(func(c *Config) *string { return &c.Addr }, parseAddr, asIs),
		},
		{
			Name: "ONNXGATE_ADMIN_ADDR", Default: "127.0.0.1:8444",
			Doc:     "Administration listener (metrics, health; HTTPS); off closes it.",
			Want:    "host:port, such as 127.0.0.1:8444, or off",
			binding: bind(func(c *Config) *string { return &c.AdminAddr }, parseAddrOrOff, orOff),
		},
		{
			Name: "ONNXGATE_GRPC_ADDR", Default: "127.0.0.1:8445",
			Doc:     "gRPC listener (Open Inference Protocol; TLS as on the public one); off closes it.",
			Want:    "host:port, such as 127.0.0.1:8445, or off",
			binding: bind(func(c *Config) *string { return &c.GRPCAddr }, parseAddrOrOff, orOff),
		},
		{
			Name: "ONNXGATE_DATA_DIR", Flag: "data-dir", Default: "data",
			Doc:     "Folder for everything that the server writes: users, keys, certificate (mode 0700).",
			Want:    "a folder that this user may write to",
			binding: text(func(c *Config) *string { return &c.DataDir }),
		},
		{
			Name: "ONNXGATE_DRAIN_DELAY", Default: "0s",
			Doc:     "How long a server that was told to stop keeps accepting requests while GET /readyz answers 503, so that a balancer notices before connections are refused.",
			Want:    "a duration from 0s to 5m, such as 10s",
			binding: bind(func(c *Config) *time.Duration { return &c.DrainDelay }, ParseDuration, formatDuration),
		},
	}
}

func databaseSettings() []Setting {
	return []Setting{
		{ //nolint:gosec // the form of a password, and none
			Name: "ONNXGATE_DATABASE_URL", Secret: true, Live: true, Stays: true,
			Doc:     "PostgreSQL database for users, keys and tenants, which several servers can share; empty: a SQLite file in the data directory. A reload takes over another way to the same database; another database needs a restart.",
			Want:    "postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full, or nothing",
			binding: bind(func(c *Config) *Secret { return &c.DatabaseURL }, parseSecret, Secret.String),
		},
		{ //nolint:gosec // the form of a password, and none
			Name: "ONNXGATE_REDIS_URL", Secret: true, Live: true, Stays: true,
			Doc:     "Redis server where rates and wrong passwords are counted for several servers together; empty: each server counts in its own memory. Having one, or none any more, needs a restart.",
			Want:    "rediss://USER:PASSWORD@HOST:6379/0, with ?ca_file=PATH where the system does not trust its certificate (redis:// is not encrypted), or nothing",
			binding: bind(func(c *Config) *Secret { return &c.RedisURL }, parseSecret, Secret.String),
		},
		{
			Name: "ONNXGATE_REVOCATION_MAX_AGE", Default: "60s",
			Doc:     "How long tokens and keys that the server knows keep working while the database cannot be reached; after that, requests are refused (503).",
			Want:    "a duration from 1s to 1h, such as 60s",
			binding: bind(func(c *Config) *time.Duration { return &c.RevocationMaxAge }, ParseDuration, formatDuration),
		},
	}
}

func modelSettings() []Setting {
	return []Setting{
		{
			Name: "ONNXGATE_MODELS_DIR", Flag: "models",
			Doc:     "Folder with NAME/model.yaml and NAME/VERSION/model.onnx; empty: the models in the binary.",
			Want:    "a folder that exists, or nothing",
			binding: text(func(c *Config) *string { return &c.ModelsDir }),
		},
		{
			Name:    "ONNXGATE_DEFAULT_MODEL",
			Doc:     "Name of the model that POST /predict serves, and of a model.onnx at the top of the folder; empty: the only model, or none if there are several.",
			Want:    "the name of a model",
			binding: text(func(c *Config) *string { return &c.DefaultModel }),
		},
		{
			Name: "ONNXGATE_SKIP_BAD_MODELS", Default: "false",
			Doc:     "true: start without the models that cannot be served. false: such models of the tenant default stop the start; those of other tenants never do.",
			Want:    "true or false",
			binding: bind(func(c *Config) *bool { return &c.SkipBadModels }, parseSwitch, strconv.FormatBool),
		},
		{
			Name:    "ONNXGATE_MODELS_MEMORY",
			Doc:     "Most memory that all loaded models together may take, by an estimate; a model beyond it cannot be served. Empty: half of what the machine or the container has.",
			Want:    "a size of at least 1MiB, such as 4GiB, or nothing",
			binding: bind(func(c *Config) *int64 { return &c.ModelsMemory }, parseSizeOrNone, formatSizeOrNone),
		},
		{
			Name:    "ONNXGATE_TENANT_MODELS_MEMORY",
			Doc:     "Most of that memory that the models of one tenant together may take; the tenant default is exempt. Empty: a quarter.",
			Want:    "a size of at least 1MiB, such as 1GiB, or nothing",
			binding: bind(func(c *Config) *int64 { return &c.TenantModelsMemory }, parseSizeOrNone, formatSizeOrNone),
		},
		{
			Name:    "ONNXGATE_ORT_LIBRARY",
			Doc:     "ONNX Runtime's shared library, for a build that has that engine; empty: libonnxruntime beside the binary.",
			Want:    "a file that exists, or nothing",
			binding: text(func(c *Config) *string { return &c.ORTLibrary }),
		},
	}
}

func roleSettings() []Setting {
	return []Setting{
		{
			Name:    "ONNXGATE_ROLES_FILE",
			Doc:     "YAML file with roles of your own, each with its permissions (role: [permission, …]); empty: only the built-in roles grant any.",
			Want:    "a file that exists, or nothing",
			binding: text(func(c *Config) *string { return &c.RolesFile }),
		},
	}
}

func tlsSettings() []Setting {
	return []Setting{
		{
			Name: "ONNXGATE_TLS", Default: "on",
			Doc:     "off: plain HTTP, on loopback only (elsewhere only with the flag --insecure-http).",
			Want:    "on or off",
			binding: bind(func(c *Config) *bool { return &c.TLS }, parseSwitch, onOff),
		},
		{
			Name:    "ONNXGATE_TLS_CERT_FILE",
			Doc:     "PEM file with the certificate chain, the server's own first; empty: a self-signed one in <data dir>/tls.",
			Want:    "the path of a PEM file, together with ONNXGATE_TLS_KEY_FILE",
			binding: text(func(c *Config) *string { return &c.TLSCertFile }),
		},
		{
			Name:    "ONNXGATE_TLS_KEY_FILE",
			Doc:     "PEM file with the private key of that certificate.",
			Want:    "the path of a PEM file, together with ONNXGATE_TLS_CERT_FILE",
			binding: text(func(c *Config) *string { return &c.TLSKeyFile }),
		},
		{
			Name: "ONNXGATE_CLIENT_CERT", Default: "off",
			Doc:     "Whether clients are asked for a certificate: request accepts one if it is shown, require refuses connections without one.",
			Want:    "off, request or require",
			binding: text(func(c *Config) *string { return &c.ClientCert }),
		},
		{
			Name:    "ONNXGATE_CLIENT_CA_FILE",
			Doc:     "PEM file with the authorities that sign client certificates; read again at a reload.",
			Want:    "the path of a PEM file, together with ONNXGATE_CLIENT_CERT",
			binding: text(func(c *Config) *string { return &c.ClientCAFile }),
		},
		{
			Name:    "ONNXGATE_CLIENT_CRL_FILE",
			Doc:     "PEM file with the revocation lists of these authorities; read again at a reload.",
			Want:    "the path of a PEM file, or nothing",
			binding: text(func(c *Config) *string { return &c.ClientCRLFile }),
		},
	}
}

func tokenSettings() []Setting {
	return []Setting{
		{
			Name:    "ONNXGATE_ISSUER",
			Doc:     "Issuer (iss) of the tokens; empty: https://localhost:<port of ONNXGATE_ADDR>.",
			Want:    "the https:// URL under which clients reach this server, without query or fragment",
			binding: bind(func(c *Config) *string { return &c.Issuer }, parseIssuer, asIs),
		},
		{
			Name:    "ONNXGATE_AUDIENCE",
			Doc:     "Audience (aud) of the tokens; empty: the issuer.",
			Want:    "the name by which tokens address this service",
			binding: text(func(c *Config) *string { return &c.Audience }),
		},
		{
			Name: "ONNXGATE_TOKEN_TTL", Default: "15m",
			Doc:     "How long an access token is valid.",
			Want:    "a duration from 1m to 24h, such as 15m",
			binding: bind(func(c *Config) *time.Duration { return &c.TokenTTL }, ParseDuration, formatDuration),
		},
		{
			Name: "ONNXGATE_JWT_ALG", Default: "EdDSA",
			Doc:     "Signature of the tokens: EdDSA, ES256 or RS256, with a key made in <data dir>/keys.",
			Want:    "EdDSA, ES256 or RS256",
			binding: text(func(c *Config) *string { return &c.JWTAlg }),
		},
		{
			Name: "ONNXGATE_JWT_SECRET", Secret: true, Live: true, Stays: true,
			Doc:     "Shared secret of 32 bytes or more; when it is set, tokens are signed with it (HS256). After a reload with another one, tokens of the former are good until they end. To set or remove it needs a restart.",
			Want:    "the output of: openssl rand -base64 32",
			binding: bind(func(c *Config) *Secret { return &c.JWTSecret }, parseSecret, Secret.String),
		},
		{
			Name: "ONNXGATE_JWT_ROTATE", Default: "90d",
			Doc:     "Age at which a key that signs tokens gets a successor; off: never by itself.",
			Want:    "a duration from 1h to 3650d, such as 90d, or off",
			binding: bind(func(c *Config) *time.Duration { return &c.JWTRotate }, parseDurationOrOff, formatDurationOrOff),
		},
		{
			Name: "ONNXGATE_PASSWORD_GRANT", Default: "on",
			Doc:     "off: no tokens for user names and passwords at /token, only for service clients and refresh tokens.",
			Want:    "on or off",
			binding: bind(func(c *Config) *bool { return &c.PasswordGrant }, parseSwitch, onOff),
		},
		{
			Name:    "ONNXGATE_ISSUERS_FILE",
			Doc:     "YAML file of the outside issuers (OpenID Connect) whose tokens are accepted; a reload reads it again. Empty: none.",
			Want:    "a file that exists, or nothing",
			binding: text(func(c *Config) *string { return &c.IssuersFile }),
		},
		{
			Name:    "ONNXGATE_ADMIN_PASSWORD_FILE",
			Doc:     "File with the password that admin gets at the first start; empty: a random one in <data dir>/initial-admin-password.",
			Want:    "the path of a file with a password of 15 characters or more",
			binding: adminPassword(),
		},
		{
			Name: "ONNXGATE_BOOTSTRAP_API_KEY", Secret: true, Live: true,
			Doc:     "API key that is valid as long as it stands here; another one, or none, ends it at the next reload or start.",
			Want:    "the output of: onnxgate apikey generate",
			binding: bind(func(c *Config) *Secret { return &c.BootstrapAPIKey }, parseSecret, Secret.String),
		},
		{
			Name: "ONNXGATE_BOOTSTRAP_API_KEY_ROLE", Default: "user",
			Doc:     "Role of that key.",
			Want:    "a role, such as user or admin",
			binding: text(func(c *Config) *string { return &c.BootstrapAPIKeyRole }),
		},
	}
}

func sealSettings() []Setting {
	return []Setting{
		{
			Name:    "ONNXGATE_KEK_FILE",
			Doc:     "File with the key-encryption key, which wraps the keys in the database; empty: <data dir>/kek, made at the first start; its content is read again at a reload.",
			Want:    "the path of a file with 32 bytes in base64 on one line: openssl rand -base64 32",
			binding: text(func(c *Config) *string { return &c.KEKFile }),
		},
		{
			Name:    "ONNXGATE_ENV_IDENTITY_FILE",
			Doc:     "File with the age identities, or the passphrase, that open .env.age; its content is read again at a reload; the setting itself is taken only from the real environment.",
			Want:    "the path of a file that age-keygen wrote, or that holds the passphrase",
			binding: text(func(c *Config) *string { return &c.EnvIdentityFile }),
		},
	}
}

// adminPassword binds a setting that names the file of a secret, which has no
// form of its own in the environment.
func adminPassword() binding {
	path := text(func(c *Config) *string { return &c.AdminPasswordFile })
	return binding{
		set: func(c *Config, file string) error {
			var err error
			if c.AdminPassword, err = readSecret(file); err != nil {
				return err
			}
			return path.set(c, file)
		},
		show: path.show,
		same: path.same,
	}
}

func requestSettings() []Setting {
	return append(rateSettings(), []Setting{
		{
			Name:    "ONNXGATE_TRUSTED_PROXIES",
			Doc:     "Networks of proxies whose X-Forwarded-For is believed, separated by commas; empty: nobody's, and a server on loopback answers only to names of this machine.",
			Want:    "networks in CIDR form, such as 10.0.0.0/8,fd00::/8",
			binding: bind(func(c *Config) *[]netip.Prefix { return &c.TrustedProxies }, list(parseNetwork), joined(netip.Prefix.String)),
		},
		{
			Name: "ONNXGATE_CORS_ORIGINS", Live: true,
			Doc:     "Origins of web pages that may call the API, exact, separated by commas; empty: none.",
			Want:    "exact origins, such as https://app.example.com (no path, no *, no null)",
			binding: bind(func(c *Config) *[]string { return &c.CORSOrigins }, list(parseOrigin), joined(asIs)),
		},
		{
			Name: "ONNXGATE_DOCS", Default: "off",
			Doc:     "on: /docs and /openapi.json are open to everybody. off: no /docs, and /openapi.json needs a token.",
			Want:    "on or off",
			binding: bind(func(c *Config) *bool { return &c.Docs }, parseSwitch, onOff),
		},
		{
			Name: "ONNXGATE_MAX_BODY", Default: "8MiB",
			Doc:     "Largest body of a prediction.",
			Want:    "a size from 1KiB to 1GiB, such as 8MiB",
			binding: bind(func(c *Config) *int64 { return &c.MaxBody }, parseSize, formatSize),
		},
		{
			Name: "ONNXGATE_MAX_MODEL", Default: "512MiB",
			Doc:     "Largest model file that can be pushed to the server.",
			Want:    "a size from 1KiB to 512MiB, such as 100MiB",
			binding: bind(func(c *Config) *int64 { return &c.MaxModel }, parseSize, formatSize),
		},
		{
			Name: "ONNXGATE_MAX_ROWS", Default: "10000",
			Doc:     "Most rows in one prediction.",
			Want:    "a whole number from 1 to 10000000",
			binding: bind(func(c *Config) *int { return &c.MaxRows }, parseCount, strconv.Itoa),
		},
		{
			Name: "ONNXGATE_AUDIT", Default: "strict",
			Doc:     "strict: nothing is done that is not in the audit log; while the log cannot be written, everything but health is 503. best-effort: predictions and requests that only read go on without it. off: there are no records.",
			Want:    "strict, best-effort or off",
			binding: text(func(c *Config) *string { return &c.Audit }),
		},
		{
			Name: "ONNXGATE_AUDIT_INPUT_HASH", Default: "off",
			Doc:     "on: the record of a prediction holds a hash of its input (HMAC-SHA-256 under a key of the tenant), so that you can tell records of the same input, and match a disputed input with its record.",
			Want:    "on or off",
			binding: bind(func(c *Config) *bool { return &c.AuditInputHash }, parseSwitch, onOff),
		},
		{
			Name: "ONNXGATE_PPROF", Default: "off",
			Doc:     "on: profiles of the Go runtime at /debug/pprof/ on the administration listener, which always need a token with debug:read.",
			Want:    "on or off",
			binding: bind(func(c *Config) *bool { return &c.Pprof }, parseSwitch, onOff),
		},
		{
			Name: "ONNXGATE_LOG_LEVEL", Default: "info", Live: true,
			Doc:  "Lowest level that is logged: debug, info, warn or error.",
			Want: "debug, info, warn or error",
			binding: bind(func(c *Config) *slog.Level { return &c.LogLevel }, parseLevel,
				func(l slog.Level) string { return strings.ToLower(l.String()) }),
		},
		{
			Name:    "ONNXGATE_LOG_FORMAT",
			Doc:     "Form of the log: text or json; empty: text on a terminal, else json.",
			Want:    "text or json",
			binding: text(func(c *Config) *string { return &c.LogFormat }),
		},
	}...)
}

// names returns every name that may be set, the second form of secrets among
// them.
func names() []string {
	var all []string
	for _, s := range Settings() {
		all = append(all, s.Name)
		if s.Secret {
			all = append(all, s.Name+fileSuffix)
		}
	}
	return all
}
