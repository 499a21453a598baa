// Package app puts the server together and runs it: it is the only package that
// knows all others. It owns the order of starting and stopping, what a reload
// takes over, and which file of the data directory belongs to whom. It must not
// decide anything about a request.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/admission"
	"onnxgate/internal/argon"
	"onnxgate/internal/audit"
	"onnxgate/internal/authn"
	"onnxgate/internal/authz"
	"onnxgate/internal/certs"
	"onnxgate/internal/config"
	"onnxgate/internal/fault"
	"onnxgate/internal/grpcapi"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/keys"
	"onnxgate/internal/limit"
	"onnxgate/internal/modelstore"
	"onnxgate/internal/oauth"
	"onnxgate/internal/oidc"
	"onnxgate/internal/quota"
	"onnxgate/internal/repository"
	"onnxgate/internal/sealing"
	"onnxgate/internal/sqlstore"
	"onnxgate/internal/telemetry"
	"onnxgate/internal/telemetry/otlp"
	"onnxgate/internal/telemetry/tracing"
	"onnxgate/models"
)

// Options is what the process gives to the server beside its configuration.
type Options struct {
	// Log receives the log and the access log.
	Log io.Writer
	// Text is the form of the log where the configuration leaves it open.
	Text bool
	// Version is what the server says about itself.
	Version string
	// HashWorker is the path of a program that computes password hashes, as
	// argon.Serve does, and its arguments with the name first; empty computes them
	// in this process.
	HashWorker []string
}

// App is one server.
type App struct {
	cfg     *config.Config // changed by Reload alone
	opts    Options
	log     *slog.Logger
	level   *slog.LevelVar
	access  *telemetry.AccessLog
	metrics *telemetry.Metrics
	// traces and spans, which they are queued in, are nil where none are sent.
	traces    *tracing.Tracer
	spans     *otlp.Batcher
	lostSpans time.Time // when it was last told
	shipments []shipment

	roles    authz.Roles
	store    *sqlstore.Store
	accounts *accounts.Service
	hashes   *argon.Worker // nil when there is none
	quotas   *quota.Service
	sealing  *sealing.Service
	keys     *keys.Set
	issuers  *oidc.Issuers  // nil when there are no outside issuers
	certs    *certs.Manager // nil without TLS
	clients  *certs.Clients // nil without client certificates
	catalog  *inference.Catalog
	// oneTenant says that there is no tenant but the default one, as far as known.
	oneTenant atomic.Bool
	// folder is where models can be written, nil for those in the binary.
	folder     *modelstore.Store
	repository *repository.Service
	modelLog   modelLog
	auditLog   *audit.Log   // nil when it is off
	trail      *audit.Trail // nil when it is off
	admission  *admission.Control
	api        *httpapi.API
	grpcAPI    *grpcapi.API // nil when its listener is closed

	public, admin *listener     // admin is nil when it is closed; both before New binds them
	grpc          *grpcListener // nil when it is closed
	background    sync.WaitGroup
	stopWatching  context.CancelFunc
	failed        chan error
	draining      atomic.Bool
	reloading     sync.Mutex
	reloads       reloads
}

// listener is an address and what serves it.
type listener struct {
	server *http.Server
	net    net.Listener
}

// New takes the server's addresses, makes its parts and opens its files, without
// serving. Its error names everything that is wrong; when an address is taken,
// nothing was written.
func New(ctx context.Context, cfg *config.Config, opts Options) (*App, error) {
	a := &App{cfg: cfg, opts: opts, level: &slog.LevelVar{}, failed: make(chan error, 3)}
	a.level.Set(cfg.LogLevel)
	format := a.logFormat()
	a.log = slog.New(telemetry.NewHandler(opts.Log, format, a.level))
	a.access = telemetry.NewAccessLog(telemetry.AccessConfig{Writer: opts.Log, Format: format, Level: a.level})
	a.metrics = telemetry.NewMetrics(opts.Version)
	if err := a.bind(ctx); err != nil {
		_, wrong := Check(cfg) //nolint:contextcheck // reads files, and is over in a moment
		return nil, errors.Join(err, wrong, a.Close())
	}
	if err := makeDataDir(cfg.DataDir); err != nil {
		_, wrong := Check(cfg) //nolint:contextcheck // as above; this, and everything else
		return nil, errors.Join(cmp.Or(wrong, err), a.Close())
	}
	if err := a.openAdmission(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	traced := a.openTraces()
	stored := sync.OnceValue(func() error { return a.openStored(ctx) })
	err := inParallel(
		a.openRoles,
		stored,
		a.openKeys,
		a.openIssuers,
		a.openCerts,
		func() error { return a.openCatalog(ctx, stored) },
	)
	if err = errors.Join(traced, err); err == nil {
		err = a.openAPI()
	}
	if err == nil {
		err = a.recordStart(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	a.showGauges()
	a.logStart(ctx)
	return a, nil
}

// inParallel runs parts of the start that do not need each other, and returns
// all their errors.
func inParallel(parts ...func() error) error {
	errs := make([]error, len(parts))
	var wg sync.WaitGroup
	for i, part := range parts {
		wg.Go(func() { errs[i] = part() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (a *App) logFormat() telemetry.Format {
	switch {
	case a.cfg.LogFormat != "":
		return telemetry.Format(a.cfg.LogFormat)
	case a.opts.Text:
		return telemetry.Text
	default:
		return telemetry.JSON
	}
}

func makeDataDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return badDataDir(err)
	}
	return checkDataDir(dir)
}

func badDataDir(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot make or use the data directory: %w; name another with ONNXGATE_DATA_DIR or --data-dir", err)
}

// What is in the data directory.
const (
	databaseFile = "onnxgate.db"
	passwordFile = "initial-admin-password"
	kekFile      = "kek"
	keysDir      = "keys"
	certsDir     = "tls"
)

func inDataDir(cfg *config.Config, name string) string { return filepath.Join(cfg.DataDir, name) }

// AdminPasswordFile returns the file that holds the password of the first
// administrator as it is now; empty when the password was changed.
func (a *App) AdminPasswordFile(ctx context.Context) string {
	initial := inDataDir(a.cfg, passwordFile)
	if _, err := os.Stat(initial); err == nil {
		return initial
	}
	if !a.cfg.AdminPassword.IsSet() {
		return ""
	}
	if _, _, err := a.accounts.VerifyPassword(ctx, accounts.AdminName, a.cfg.AdminPassword.Reveal()); err != nil {
		return ""
	}
	return a.cfg.AdminPasswordFile
}

func (a *App) openKeys() (err error) {
	c := signingKeys(a.cfg)
	c.Changed = a.keyChanged
	a.keys, err = keys.Open(c)
	return err
}

func signingKeys(cfg *config.Config) keys.Config {
	return keys.Config{
		Dir: inDataDir(cfg, keysDir), Algorithm: keys.Algorithm(cfg.JWTAlg), Secret: []byte(cfg.JWTSecret.Reveal()),
		TokenTTL: cfg.TokenTTL, RotateEvery: cfg.JWTRotate, Now: time.Now,
	}
}

// OpenKeys opens the signing keys of the data directory, for a command that
// works beside the server. The fault is NotFound where no server was started: the
// command makes nothing that a server could take for its own.
func OpenKeys(cfg *config.Config) (*keys.Set, error) {
	c := signingKeys(cfg)
	c.Existing = true
	set, err := keys.Open(c)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notServed(cfg, "keys that sign tokens with "+cfg.JWTAlg)
	}
	return set, err
}

// RecordKey puts on record what a command is about to do to the keys that sign
// tokens, of which a rotation names none.
func RecordKey(ctx context.Context, cfg *config.Config, actor string, event audit.Event, kid string) error {
	kept := commandRecordsOf(cfg)
	err := kept.Record(ctx, &audit.Record{
		Event: event, Actor: actor, Tenant: identity.DefaultTenant, Object: kid, Decision: audit.Allow, Outcome: audit.OK,
	})
	return errors.Join(err, kept.Close())
}

// notServed is the fault of a data directory without what a server makes in it.
func notServed(cfg *config.Config, what string) error {
	return fault.Newf(fault.NotFound, "there are no %s in %s, where no server was started yet; "+
		"name the server's own with --data-dir or ONNXGATE_DATA_DIR", what, cfg.DataDir)
}

func (a *App) keyChanged(kid string, err error) {
	ctx := context.Background()
	if err != nil {
		a.log.ErrorContext(ctx, "kept the old signing keys", slog.Any("error", err))
		return
	}
	a.noted(ctx, &audit.Record{Event: audit.KeyRotate, Object: kid})
	a.log.InfoContext(ctx, "another key signs tokens", slog.String("kid", kid))
}

func (a *App) openCerts() (err error) {
	if !a.cfg.TLS {
		return nil
	}
	if a.certs, err = newCerts(a.cfg, a.certificateChanged); err != nil {
		return err
	}
	a.clients, err = newClients(a.cfg)
	return err
}

// newClients returns what judges client certificates, nil when none is asked
// for.
func newClients(cfg *config.Config) (*certs.Clients, error) {
	if cfg.ClientCAFile == "" {
		return nil, nil //nolint:nilnil // it is off
	}
	clients, err := certs.NewClients(certs.ClientConfig{
		CAFile: cfg.ClientCAFile, CRLFile: cfg.ClientCRLFile, Now: time.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("ONNXGATE_CLIENT_CA_FILE, ONNXGATE_CLIENT_CRL_FILE: %w", err)
	}
	return clients, nil
}

func newCerts(cfg *config.Config, changed func(*certs.Certificate, error)) (*certs.Manager, error) {
	m, err := certs.New(certs.Config{
		CertFile: cfg.TLSCertFile, KeyFile: cfg.TLSKeyFile,
		Dir: inDataDir(cfg, certsDir), Hosts: certificateHosts(cfg),
		Now: time.Now, Changed: changed,
	})
	if err != nil && cfg.TLSCertFile != "" {
		return nil, fmt.Errorf("ONNXGATE_TLS_CERT_FILE, ONNXGATE_TLS_KEY_FILE: %w", err)
	}
	return m, err
}

// certificateHosts are the names, beside the loopback ones, under which this
// server can be reached as far as it can know.
func certificateHosts(cfg *config.Config) []string {
	host, _, _ := net.SplitHostPort(cfg.Addr)
	hosts := []string{host}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	return hosts
}

func (a *App) certificateChanged(cert *certs.Certificate, err error) {
	ctx := context.Background()
	if err != nil {
		a.log.ErrorContext(ctx, "kept the old certificate", slog.Any("error", err))
		return
	}
	a.noted(ctx, &audit.Record{Event: audit.ServerCertificate, Object: cert.Fingerprint})
	a.log.InfoContext(ctx, "took over a new certificate", slog.String("sha256_fingerprint", cert.Fingerprint))
}

func (a *App) openRoles() (err error) {
	a.roles, err = readRoles(a.cfg)
	return err
}

// openCatalog asks for a tenant once the accounts are open.
func (a *App) openCatalog(ctx context.Context, accounts func() error) (err error) {
	//nolint:contextcheck // a start that is given up ends its process
	a.catalog, err = newCatalog(a.cfg, inference.Config{
		Observer: a.observe, Admit: a.admit, Audit: a.predictions(), Pins: &storedPins{app: a, opened: accounts},
		TenantExists: func(name string) (bool, error) {
			if err := accounts(); err != nil {
				return false, err
			}
			return tenantExists(ctx, a.accounts, name)
		},
	})
	return err
}

// newCatalog reads the models of the configuration. What asks for them, and is told
// of them, comes with the caller.
func newCatalog(cfg *config.Config, with inference.Config) (*inference.Catalog, error) {
	// A large batch leaves one processor to the requests that come meanwhile.
	engines := NewEngines(cfg.ORTLibrary, runtime.GOMAXPROCS(0)-1)
	with.FS, with.Compile, with.DefaultModel = modelFiles(cfg), engines.Compile, cfg.DefaultModel
	with.SkipBad, with.MaxMemory, with.Now = cfg.SkipBadModels, modelsMemory(cfg), time.Now
	with.MaxTenantMemory = cfg.TenantModelsMemory
	return inference.New(with)
}

func modelFiles(cfg *config.Config) fs.FS {
	if cfg.ModelsDir != "" {
		return os.DirFS(cfg.ModelsDir)
	}
	return models.FS
}

// observe counts the predictions of one version of a model.
func (a *App) observe(model, version string) inference.Observe {
	m := a.metrics.Model(model, version)
	return func(tenant string, rows int, took time.Duration, err error) {
		if err == nil {
			m.Observe(rows, took)
			a.metrics.Tenant(tenant).Predicted(rows, took)
		}
	}
}

func (a *App) openAPI() error {
	bearer, err := a.newBearer()
	if err != nil {
		return err
	}
	authenticator, err := a.newAuthenticator(bearer)
	if err != nil {
		return err
	}
	tokens, err := a.newTokenServer(bearer)
	if err != nil {
		return err
	}
	if err := a.openRepository(); err != nil {
		return err
	}
	var trust authn.CertificateTrust // a nil *certs.Clients in it would not be nil
	if a.clients != nil {
		trust = a.clients
	}
	var kept httpapi.AuditLog
	if a.auditLog != nil {
		kept = a.auditLog
	}
	var issuers httpapi.Issuers
	if a.issuers != nil {
		issuers = issuerList{a.issuers}
	}
	memory := limit.NewBytes(max(httpapi.DefaultBodyMemory, 2*a.cfg.MaxBody), a.oneTenant.Load)
	a.api, err = httpapi.New(httpapi.Config{
		Admission: a.admission, Bodies: memory,
		Catalog: a.catalog, Layers: a.catalog, Authenticator: authenticator, Trust: trust, Tokens: tokens, Keys: a.keys, Passwords: a.accounts,
		Accounts: a.accounts, Delivery: a.repository, Access: bearer, Usage: a.quotas, Sealer: a.sealing, Issuers: issuers, Roles: a.roles, Audit: a.trail, Records: kept, Ready: a.ready, Degraded: a.degraded,
		Metrics: a.metrics, AccessLog: a.access, Traces: a.traces, Log: a.log, Now: time.Now,
		TrustedProxies: a.cfg.TrustedProxies,
		LoopbackHost:   config.IsLoopback(a.cfg.Addr) && len(a.cfg.TrustedProxies) == 0,
		AdminLoopback:  config.IsLoopback(a.cfg.AdminAddr),
		Docs:           a.cfg.Docs, Profiles: a.cfg.Pprof, MaxBody: a.cfg.MaxBody, MaxModel: a.cfg.MaxModel, MaxRows: a.cfg.MaxRows,
		Endpoint: a.endpoint(), Version: a.opts.Version, Settings: settings(a.cfg),
	})
	if err != nil {
		return err
	}
	return a.openGRPC(authenticator, memory)
}

// endpoint is how clients reach the public listener: at the URL that its tokens
// name as their issuer, but for one that is not told and without TLS.
func (a *App) endpoint() httpapi.Endpoint {
	e := httpapi.Endpoint{URL: a.cfg.Issuer}
	switch {
	case a.certs == nil:
		if _, port, _ := net.SplitHostPort(a.cfg.Addr); e.URL == "https://localhost:"+port {
			e.URL = "http://localhost:" + port
		}
	case a.certs.SelfSigned():
		e.CAFile = a.certs.CertFile()
	}
	return e
}

func (a *App) newTokenServer(bearer *authn.Bearer) (*oauth.Server, error) {
	cfg := oauth.Config{
		Issuer: a.cfg.Issuer, Audience: a.cfg.Audience, TTL: a.cfg.TokenTTL,
		Keys: a.keys, Published: !a.cfg.JWTSecret.IsSet(), Clients: a.accounts, Certificates: a.clients != nil, Roles: a.roles,
		Refresh: a.accounts, Access: bearer, Revocations: a.accounts, Audit: records{a}, Now: time.Now,
	}
	if a.cfg.PasswordGrant {
		cfg.Passwords = a.accounts
	}
	return oauth.New(cfg)
}

// newAuthenticator returns the chain of everything that proves who calls.
func (a *App) newAuthenticator(bearer *authn.Bearer) (authn.Authenticator, error) { //nolint:ireturn // a chain is an authenticator and nothing else
	apiKeys, err := authn.NewAPIKey(authn.APIKeyConfig{Keys: a.accounts, Roles: a.roles, Now: time.Now})
	if err != nil {
		return nil, err
	}
	chain := []authn.Authenticator{bearer, apiKeys}
	if a.clients != nil {
		certificate, err := authn.NewCertificate(authn.CertificateConfig{Trust: a.clients, Clients: a.accounts, Roles: a.roles, Now: time.Now})
		if err != nil {
			return nil, err
		}
		chain = append(chain, certificate)
	}
	return authn.Chain(a.accounts, chain...), nil
}

// settings are those of the API that a reload takes over.
func settings(cfg *config.Config) httpapi.Settings {
	return httpapi.Settings{CORSOrigins: cfg.CORSOrigins}
}

// degraded says whether some requests are refused, or will be, for want of the
// database.
func (a *App) degraded() bool {
	_, err := a.accounts.Reached()
	return err != nil
}

// ready says whether the server wants requests.
func (a *App) ready() error {
	if a.draining.Load() {
		return errors.New("the server is stopping")
	}
	return a.trail.Err()
}
