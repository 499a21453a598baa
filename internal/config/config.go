// Package config turns the environment, a .env file and flags into one checked
// struct. It reports every problem at once, each with the name of the setting
// and what to write, and never shows a secret.
//
// It owns the names, defaults and forms of the settings. It must not know the
// packages that the values are for, and it does not read the process
// environment itself: the caller hands it a lookup.
package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"onnxgate/internal/identity"
)

// Config is the configuration in force.
type Config struct {
	// Addr is the public listener, host:port.
	Addr string
	// AdminAddr is the administration listener; empty when it is closed.
	AdminAddr string
	// GRPCAddr is the gRPC listener; empty when it is closed.
	GRPCAddr string
	DataDir  string `setting:"ONNXGATE_DATA_DIR" validate:"required"`
	// DatabaseURL is where accounts are kept instead of the data directory.
	DatabaseURL Secret
	// RevocationMaxAge is how long what was last read from there may be relied
	// on while it cannot be reached.
	RevocationMaxAge time.Duration `setting:"ONNXGATE_REVOCATION_MAX_AGE" validate:"min=1s,max=1h"`
	// RedisURL is where rates are counted for several servers; not set: each counts in
	// its own memory.
	RedisURL Secret
	// DrainDelay is how long a server that was told to stop goes on accepting.
	DrainDelay time.Duration `setting:"ONNXGATE_DRAIN_DELAY" validate:"min=0,max=5m"`
	// ModelsDir is empty for the models in the binary.
	ModelsDir    string `setting:"ONNXGATE_MODELS_DIR" validate:"omitempty,dir"`
	DefaultModel string `setting:"ONNXGATE_DEFAULT_MODEL" validate:"excludesall=/\\"`
	// ORTLibrary is empty for the library beside the binary.
	ORTLibrary    string `setting:"ONNXGATE_ORT_LIBRARY" validate:"omitempty,file"`
	SkipBadModels bool
	// ModelsMemory bounds the memory of all loaded models, in bytes; 0: half of
	// what the machine or its container has.
	ModelsMemory int64 `setting:"ONNXGATE_MODELS_MEMORY" validate:"omitempty,min=1048576"`
	// TenantModelsMemory bounds that of the models of one tenant, but for the default
	// one; 0: a quarter of the former.
	TenantModelsMemory int64 `setting:"ONNXGATE_TENANT_MODELS_MEMORY" validate:"omitempty,min=1048576"`
	// RolesFile defines the operator's own roles; empty: there are none.
	RolesFile string `setting:"ONNXGATE_ROLES_FILE" validate:"omitempty,file"`

	TLS bool
	// TLSCertFile and TLSKeyFile are both set or both empty: a self-signed
	// certificate in the data directory.
	TLSCertFile string `setting:"ONNXGATE_TLS_CERT_FILE" validate:"required_with=TLSKeyFile"`
	TLSKeyFile  string `setting:"ONNXGATE_TLS_KEY_FILE" validate:"required_with=TLSCertFile"`
	// ClientCert is off, request or require. The files are those of the
	// authorities and of their revocation lists.
	ClientCert    string `setting:"ONNXGATE_CLIENT_CERT" validate:"oneof=off request require"`
	ClientCAFile  string
	ClientCRLFile string

	Issuer   string
	Audience string
	TokenTTL time.Duration `setting:"ONNXGATE_TOKEN_TTL" validate:"min=1m,max=24h"`
	// JWTAlg is EdDSA, ES256 or RS256; when JWTSecret is set, HS256 is used
	// instead.
	JWTAlg    string `setting:"ONNXGATE_JWT_ALG" validate:"oneof=EdDSA ES256 RS256"`
	JWTSecret Secret
	// JWTRotate is how old a key of the server's own gets; zero: as old as it likes.
	JWTRotate time.Duration `setting:"ONNXGATE_JWT_ROTATE" validate:"omitempty,min=1h,max=87600h"`
	// PasswordGrant opens /token to users with their passwords.
	PasswordGrant bool
	// IssuersFile is empty when only tokens of this server are accepted.
	IssuersFile string `setting:"ONNXGATE_ISSUERS_FILE" validate:"omitempty,file"`
	// AdminPassword is what AdminPasswordFile holds; not set: one is made.
	AdminPassword     Secret
	AdminPasswordFile string

	// BootstrapAPIKey is a key that the configuration holds, and what it may do.
	BootstrapAPIKey     Secret
	BootstrapAPIKeyRole string

	// KEKFile holds the key-encryption key; empty: one that is made in the data
	// directory.
	KEKFile string
	// EnvIdentityFile holds what opens a sealed .env file.
	EnvIdentityFile string

	// RateToken is of one address, and RatePredict of what RatePredictPer says; of an
	// address it has no rows.
	RateToken   identity.Rates
	RatePredict identity.Limit
	// RatePredictPer is address or principal.
	RatePredictPer string `setting:"ONNXGATE_RATE_PREDICT_PER" validate:"oneof=address principal"`
	// Throttle is how long a request over a rate waits; zero: it does not. It is out of
	// the time for the header and a short body together, of which half is left.
	Throttle time.Duration `setting:"ONNXGATE_THROTTLE" validate:"min=0,max=5s"`
	// MaxInFlight is how many predictions are computed at once; 0: by the processors.
	MaxInFlight int `setting:"ONNXGATE_MAX_IN_FLIGHT" validate:"min=0,max=100000"`
	// QueueTimeout is how long a prediction waits for its turn.
	QueueTimeout   time.Duration `setting:"ONNXGATE_QUEUE_TIMEOUT" validate:"min=0,max=30s"`
	TrustedProxies []netip.Prefix
	CORSOrigins    []string
	Docs           bool
	// MaxBody is in bytes.
	MaxBody int64 `setting:"ONNXGATE_MAX_BODY" validate:"min=1024,max=1073741824"`
	// MaxModel is in bytes.
	MaxModel int64 `setting:"ONNXGATE_MAX_MODEL" validate:"min=1024,max=536870912"`
	MaxRows  int   `setting:"ONNXGATE_MAX_ROWS" validate:"min=1,max=10000000"`

	// Audit is strict, best-effort or off.
	Audit string `setting:"ONNXGATE_AUDIT" validate:"oneof=strict best-effort off"`
	// AuditInputHash has each prediction's record hold a keyed hash of its input.
	AuditInputHash bool
	// Pprof shows profiles of the Go runtime on the administration listener.
	Pprof bool

	LogLevel slog.Level
	// LogFormat is "text", "json", or empty: text on a terminal, else json.
	LogFormat string `setting:"ONNXGATE_LOG_FORMAT" validate:"omitempty,oneof=text json"`

	// OTLPEndpoint is the base URL of a collector of traces and log records, empty
	// for none, or what the standard names say. OTel holds those: the variables whose
	// names begin with OTEL_, as they stand.
	OTLPEndpoint string
	OTel         map[string]Secret
	// SyslogURL is where audit records are sent, empty for nowhere.
	SyslogURL string

	// InsecureHTTP allows plain HTTP beyond loopback. It is a flag only, so
	// that it stands in the command that somebody wrote.
	InsecureHTTP bool

	origins map[string]string
	// fromFiles holds the paths of NAME_FILE, from which secrets were read.
	fromFiles map[string]string
	// plain holds the files with settings where a secret in force stands in the clear.
	plain []string
}

// fromEnvironment is the origin of a variable of the process.
const fromEnvironment = "environment"

// Source is where settings come from. A flag wins over the environment, which
// wins over the files. An empty value counts as not set, and hides those below.
type Source struct {
	// Flags holds the flags that were given, by the name of their setting.
	Flags map[string]string
	// Lookup returns a variable of the process environment, and Names lists
	// those there are. Nil means an empty environment.
	Lookup func(name string) (string, bool)
	Names  []string
	// EnvFile is the .env file to read, sealed by age or not; empty: ".env" and
	// ".env.age", those that there are.
	EnvFile string
	// InsecureHTTP is the flag of that name.
	InsecureHTTP bool
}

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	// Setting is the name of the setting, or a place in the .env file.
	Setting string
	// Detail says what is wrong and what to write.
	Detail string
}

// SettingErrors is the error of Load: everything that is wrong.
type SettingErrors []Problem

// Error returns one line a problem.
func (p SettingErrors) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Setting + ": " + problem.Detail
	}
	return strings.Join(lines, "\n")
}

// Load reads and checks the configuration. Its error is of type SettingErrors.
func Load(src Source) (*Config, error) {
	if src.Lookup == nil {
		src.Lookup = func(string) (string, bool) { return "", false }
	}
	files, problems := readEnvFiles(src)
	problems = append(problems, unknownNames(src, files)...)
	c := &Config{InsecureHTTP: src.InsecureHTTP, origins: map[string]string{}, fromFiles: map[string]string{}}
	wrong := map[string]bool{}
	for _, s := range Settings() {
		if p := c.take(&s, src, files); p != nil {
			wrong[s.Name] = true
			problems = append(problems, *p)
		}
	}
	c.plain = plainFiles(c, files)
	c.OTel = standardNames(src, files)
	c.derive()
	for _, p := range c.problems() {
		if !wrong[p.Setting] { // a value that has no form has no range either
			problems = append(problems, p)
		}
	}
	if len(problems) > 0 {
		return nil, c.placed(problems)
	}
	return c, nil
}

// placed adds to each problem the line of the file that the value came from.
func (c *Config) placed(problems SettingErrors) SettingErrors {
	for i := range problems {
		p := &problems[i]
		switch origin := c.origins[strings.TrimSuffix(p.Setting, fileSuffix)]; {
		case origin == "", origin == fromEnvironment, strings.HasPrefix(origin, "--"):
		default:
			p.Detail += " (" + origin + ")"
		}
	}
	return problems
}

// Origin says where the value of a setting came from: "default", "environment",
// a flag such as "--addr", or a line such as ".env:3".
func (c *Config) Origin(name string) string {
	if o := c.origins[name]; o != "" {
		return o
	}
	return "default"
}

// Variable returns the variable that holds the value of a setting: that of its file,
// NAME_FILE, where a secret was read from one.
func (c *Config) Variable(name string) string {
	if c.fromFiles[name] != "" {
		return name + fileSuffix
	}
	return name
}

// SecretFiles returns the path of each file that a secret was read from, by the
// setting that names the file.
func (c *Config) SecretFiles() map[string]string {
	all := make(map[string]string, len(c.fromFiles)+1)
	for name, path := range c.fromFiles {
		all[name+fileSuffix] = path
	}
	if c.AdminPasswordFile != "" {
		all["ONNXGATE_ADMIN_PASSWORD_FILE"] = c.AdminPasswordFile
	}
	return all
}

// PlainFiles returns the paths of the .env files where a secret in force stands in the
// clear.
func (c *Config) PlainFiles() []string { return c.plain }

func plainFiles(c *Config, files []*envFile) []string {
	var all []string
	for _, file := range files {
		holds := func(s Setting) bool {
			return s.Secret && c.origins[s.Name] == file.where(s.Name) && c.fromFiles[s.Name] == ""
		}
		if !file.sealed && slices.ContainsFunc(Settings(), holds) {
			all = append(all, file.path)
		}
	}
	return all
}

// TakeLive returns what is in force after a reload that read next: c, but for the
// settings that a reload takes over. live are the names of those that it took over,
// restart of those that differ and stay as they are in c until a restart.
func (c *Config) TakeLive(next *Config) (inForce *Config, live, restart []string) {
	after := *c
	for _, s := range Settings() {
		switch {
		case s.same(c, next):
		case s.Live && (!s.Stays || (s.show(c) == "") == (s.show(next) == "")):
			s.copy(&after, next)
			live = append(live, s.Name)
		default:
			restart = append(restart, s.Name)
		}
	}
	return &after, live, append(restart, changedNames(c.OTel, next.OTel)...)
}

// take finds the value of one setting and sets it.
func (c *Config) take(s *Setting, src Source, files []*envFile) *Problem {
	value, origin := find(s.Name, s.Flag, src, files)
	parse, name, want := s.set, s.Name, s.Want
	if s.Secret {
		path, pathOrigin := find(s.Name+fileSuffix, "", src, files)
		switch {
		case path == "":
		case value != "":
			return &Problem{s.Name, fmt.Sprintf("is set, and so is %s%s; unset one of them", s.Name, fileSuffix)}
		default:
			value, origin, name = path, pathOrigin, s.Name+fileSuffix
			c.fromFiles[s.Name] = path
			parse, want = fromFile(s), "the path of a file that holds "+s.Want
		}
	}
	if value == "" {
		value = s.Default
	} else {
		c.origins[s.Name] = origin
	}
	if value == "" {
		return nil
	}
	if err := parse(c, value); err != nil {
		return &Problem{name, err.Error() + "; write " + want}
	}
	return nil
}

// fromFile returns the setter that takes the path of a secret.
func fromFile(s *Setting) func(*Config, string) error {
	return func(c *Config, path string) error {
		secret, err := readSecret(path)
		if err != nil {
			return err
		}
		return s.set(c, secret.Reveal())
	}
}

// find returns the value that wins and where it stands.
func find(name, flag string, src Source, files []*envFile) (value, origin string) {
	if v, ok := src.Flags[name]; ok {
		return v, "--" + flag
	}
	if v, ok := src.Lookup(name); ok {
		return v, fromEnvironment
	}
	for _, file := range slices.Backward(files) { // the sealed one, where both agree
		if v, ok := file.values[name]; ok {
			return v, file.where(name)
		}
	}
	return "", ""
}

// unknownNames reports what looks like a setting and is none.
func unknownNames(src Source, files []*envFile) []Problem {
	var problems []Problem
	known := names()
	sorted := slices.Sorted(slices.Values(src.Names))
	for _, name := range slices.Compact(sorted) {
		value, _ := src.Lookup(name)
		if claimsToBeSetting(name) && !slices.Contains(known, name) && !isInjected(name, value) {
			problems = append(problems, Problem{name, unknown(name)})
		}
	}
	for _, file := range files {
		problems = append(problems, unknownInFile(file)...)
	}
	return problems
}

func unknownInFile(file *envFile) []Problem {
	var problems []Problem
	known := names()
	for _, name := range file.names {
		if claimsToBeSetting(name) && !slices.Contains(known, name) {
			problems = append(problems, Problem{file.where(name), name + " " + unknown(name)})
		}
	}
	return problems
}

// derive fills what follows from other settings.
func (c *Config) derive() {
	if c.Issuer == "" {
		_, port, _ := net.SplitHostPort(c.Addr)
		c.Issuer = "https://localhost:" + port
	}
	if c.Audience == "" {
		c.Audience = c.Issuer
	}
}
