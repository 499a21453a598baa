// Package httpapi is the HTTP edge: the public listener's API and the
// administration listener's, built from two route tables. It owns the order in
// which a request is refused, the headers of every answer, and the one way in
// which a fault becomes an answer.
//
// Everything about a request happens in this order, whatever the route: request
// id and client address, host name, form of the path, route, method, rate, the
// connection's certificate, credential, its own rate, permission; then the
// handler, which decodes, calls and encodes. Certificate, credential and
// permission are judged again after a body that was long on its way.
// It must not know how tokens are made or verified, how models run, or where
// anything is stored.
package httpapi

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-playground/validator/v10"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"onnxgate/api"
	"onnxgate/internal/accounts"
	"onnxgate/internal/admission"
	"onnxgate/internal/audit"
	"onnxgate/internal/authn"
	"onnxgate/internal/authz"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/limit"
	"onnxgate/internal/oauth"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/telemetry"
	"onnxgate/internal/telemetry/tracing"
)

// TokenServer is the token endpoint. Faults have a Code of RFC 6749 section
// 5.2, or are Unavailable, Timeout or Canceled.
type TokenServer interface {
	Token(ctx context.Context, req oauth.Request) (*oauth.TokenResponse, error)
	Revoke(ctx context.Context, req oauth.Request) error
	Introspect(ctx context.Context, req oauth.Request) (*oauth.Introspection, error)
	Metadata() oauth.Metadata
}

// PublicKeys are the keys that verify access tokens.
type PublicKeys interface {
	// JWKS returns them as a JWK Set, which must not be changed.
	JWKS() []byte
}

// Catalog opens models to those who may predict with them. Faults: NotFound,
// Unauthenticated when a further credential is needed, Forbidden.
type Catalog interface {
	Open(ctx context.Context, p *identity.Principal, model, version string) (*inference.Call, error)
	Library
	Policies
	// Own is every model that the principal's tenant owns, with all versions that
	// there are, served or not, by name.
	Own(ctx context.Context, p *identity.Principal) []inference.OwnModel
	Repository
	// Statistics are of the versions of a model, of one of them, or of all that
	// the principal may read. Faults: those of Describe.
	Statistics(ctx context.Context, p *identity.Principal, model, version string) ([]inference.Statistics, error)
}

// Repository is the models of the principal's tenant, served or not. Faults:
// NotFound.
type Repository interface {
	// Ready says that a version can predict. Faults: those of Describe.
	Ready(ctx context.Context, p *identity.Principal, model, version string) error
	Index(ctx context.Context, p *identity.Principal) []inference.IndexEntry
	// Manifest is the model.yaml of a model, as it is.
	Manifest(ctx context.Context, p *identity.Principal, model string) ([]byte, error)
}

// Policies are the access rules of the models that a tenant owns. Faults:
// NotFound.
type Policies interface {
	Policy(tenant, model string) (inference.PolicyInfo, error)
	// Judge says what the rules decide about a request, and why.
	Judge(tenant, model string, req authz.Request) (authz.Explanation, error)
}

// Issuers are the outside issuers whose tokens are accepted.
type Issuers interface {
	// All returns them by their names.
	All() []IssuerInfo
	authn.Reach
}

// Library describes the loaded models.
type Library interface {
	// List is what the principal may predict with, by name.
	List(ctx context.Context, p *identity.Principal) []inference.ModelInfo
	// Describe is for who may read the model, and is of the version, the newest
	// when that is empty. Faults: NotFound,
	// Unauthenticated when a further credential is needed, Forbidden.
	Describe(ctx context.Context, p *identity.Principal, model, version string) (inference.ModelInfo, error)
	// SeenBy is every model that a tenant sees, by name.
	SeenBy(tenant string) []inference.ModelInfo
	// Generation changes whenever another set of models is served.
	Generation() uint64
}

// Layers knows how many credentials models ask for.
type Layers interface {
	// Requires returns the kinds of credential that a request must carry, all of
	// them, for the model as the principal's tenant sees it; none for one that
	// asks for no more than a principal, and for one that it does not see.
	Requires(p *identity.Principal, model, version string) []identity.Method
}

// Config is what the API is made of. What has no default is required.
type Config struct {
	Catalog       Catalog
	Authenticator authn.Authenticator
	// Trust is nil where no client certificates are asked for.
	Trust     authn.CertificateTrust
	Tokens    TokenServer
	Keys      PublicKeys
	Passwords Passwords
	// Layers is nil when no model asks for two credentials.
	Layers Layers
	Sealer Sealer
	// Accounts are what is administered.
	Accounts *accounts.Service
	// Delivery changes models.
	Delivery Delivery
	// Access reads the access tokens that are to be revoked.
	Access AccessTokens
	// Usage is what tenants and keys used.
	Usage Usage
	// Issuers is nil where there are none from outside.
	Issuers Issuers
	// Roles says what each role permits.
	Roles authz.Roles
	// Admission is shared with the other protocols.
	Admission *admission.Control
	// Audit keeps the records; nil keeps none.
	Audit *audit.Trail
	// Records reads what was recorded; nil when nothing is.
	Records AuditLog
	// Ready returns why the server cannot serve; nil is always ready.
	Ready func() error
	// Degraded reports whether some requests are refused for want of something that
	// the server depends on, while others are served; nil never does.
	Degraded  func() bool
	Metrics   *telemetry.Metrics
	AccessLog *telemetry.AccessLog
	// Traces is nil where none are sent.
	Traces *tracing.Tracer
	// Log is for defects, with what a client may not see.
	Log *slog.Logger
	// Now is the clock, with monotonic readings.
	Now func() time.Time
	// Rand makes request ids; nil is crypto/rand.
	Rand io.Reader

	// TrustedProxies may say which client a request comes from.
	TrustedProxies []netip.Prefix
	// LoopbackHost refuses public requests for any host name but those of this
	// machine: for a listener on loopback that no proxy stands before.
	LoopbackHost bool
	// AdminLoopback says that the administration listener is on loopback, where
	// its metrics are open and its host names closed.
	AdminLoopback bool
	// Docs opens the documentation to everybody.
	Docs bool
	// Profiles shows those of the Go runtime, on the administration listener.
	Profiles bool
	// MaxBody is the longest body of a prediction, in bytes; 0 is 8 MiB.
	MaxBody int64
	// MaxModel is the longest file of a model that is pushed, in bytes; 0 is 512
	// MiB.
	MaxModel int64
	// Bodies is what all bodies in flight may take beyond the first 64 KiB of each,
	// shared with the other protocols; nil is 64 MiB, or two of the longest.
	Bodies *limit.Bytes
	// Streams are the places of the requests over HTTP/2 that are open; nil are
	// as many without exemptions.
	Streams *limit.Places
	// MaxRows is how many rows one prediction may have; 0 is 10,000.
	MaxRows int
	// Endpoint is what code to paste calls.
	Endpoint Endpoint
	// Version is what the contract says about the server.
	Version string
	// Settings are those that Reload replaces.
	Settings Settings
}

// Settings can change while the server runs.
type Settings struct {
	// CORSOrigins are the exact origins whose pages may call the API; none
	// closes it.
	CORSOrigins []string
}

// The defaults of Config.
const (
	DefaultMaxBody    = 8 << 20
	DefaultMaxRows    = 10_000
	DefaultBodyMemory = 64 << 20
)

// API is the HTTP API of one server.
type API struct {
	cfg     Config
	ids     reqctx.IDs
	dynamic atomic.Pointer[dynamic]
	// policies are those of the answers.
	policies policies

	scrape        http.Handler
	params        sync.Pool // of *chi.Context
	readers       sync.Pool // of *oip.Reader
	contracts     contracts
	sampler       *sampler
	adminDocument document             // the contract of the administration listener
	docs          map[string]*docsFile // by name
	rules         *validator.Validate  // of the members of bodies
	withdrawn     atomic.Bool
	exports       exports // of the audit log
	public, admin *Listener
}

// dynamic is what Reload replaces, prepared for use.
type dynamic struct {
	cors cors
}

// Listener serves the requests of one listener.
type Listener struct {
	api          *API
	router       *router
	unmatched    *telemetry.RouteMetrics
	public       bool
	loopbackOnly bool
	// origins refuses changes that pages of other sites ask for; nil where CORS
	// decides.
	origins *http.CrossOriginProtection
}

// New returns the API. An error is a defect of cfg or of a route table.
func New(cfg Config) (*API, error) {
	if cfg.Catalog == nil || cfg.Authenticator == nil || cfg.Tokens == nil || cfg.Keys == nil || cfg.Passwords == nil || cfg.Sealer == nil ||
		cfg.Accounts == nil || cfg.Delivery == nil || cfg.Access == nil || cfg.Usage == nil || cfg.Metrics == nil || cfg.AccessLog == nil || cfg.Log == nil || cfg.Now == nil || cfg.Admission == nil {
		return nil, errors.New("httpapi: a catalog, an authenticator, a token server, keys, passwords, a sealer, accounts, a delivery of models, access tokens, the usage, metrics, logs, a clock and an admission are needed")
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	if cfg.MaxModel == 0 {
		cfg.MaxModel = DefaultMaxModel
	}
	if cfg.Bodies == nil {
		cfg.Bodies = limit.NewBytes(max(DefaultBodyMemory, 2*cfg.MaxBody), nil)
	}
	if cfg.Streams == nil {
		cfg.Streams = limit.NewPlaces(limit.MaxStreams, limit.MaxAllStreams, nil)
	}
	if cfg.MaxRows == 0 {
		cfg.MaxRows = DefaultMaxRows
	}
	a := &API{cfg: cfg, ids: reqctx.IDs{Rand: cfg.Rand}, docs: loadDocs(), rules: newRules()}
	a.scrape = promhttp.HandlerFor(cfg.Metrics.Registry(), promhttp.HandlerOpts{})
	var err error
	if a.sampler, err = newSampler(cfg.Endpoint); err != nil {
		return nil, err
	}
	var off []string
	if !cfg.Profiles {
		off = []string{profilePath}
	}
	a.contracts.base = readContract(api.OpenAPI, cfg.Version)
	a.adminDocument = readContract(api.Admin, cfg.Version, off...)
	a.Reload(cfg.Settings)
	return a, a.listen()
}

// listen builds both listeners from their route tables.
func (a *API) listen() error {
	options := RouteOptions{Docs: a.cfg.Docs, MaxBody: a.cfg.MaxBody, MaxModel: a.cfg.MaxModel, OpenMetrics: a.cfg.AdminLoopback, Profiles: a.cfg.Profiles}
	public, err := newRouter(a, PublicRoutes(options))
	if err != nil {
		return err
	}
	admin, err := newRouter(a, AdminRoutes(options))
	if err != nil {
		return err
	}
	admin.profilesOff = !a.cfg.Profiles
	unmatched := a.cfg.Metrics.Route("other", "none")
	a.public = &Listener{api: a, router: public, unmatched: unmatched, public: true, loopbackOnly: a.cfg.LoopbackHost}
	a.admin = &Listener{api: a, router: admin, unmatched: unmatched, loopbackOnly: a.cfg.AdminLoopback, origins: http.NewCrossOriginProtection()}
	return nil
}

// Public returns the handler of the public listener.
func (a *API) Public() *Listener { return a.public }

// Admin returns the handler of the administration listener.
func (a *API) Admin() *Listener { return a.admin }

// Reload puts other settings in force for the requests that come.
func (a *API) Reload(s Settings) { a.dynamic.Store(&dynamic{cors: newCORS(s.CORSOrigins)}) }

// Withdraw has every answer from now on end its connection, so that clients come
// back through a balancer that knows of other servers: by Connection: close in
// HTTP/1.1 (RFC 9112 section 9.6), by GOAWAY in HTTP/2 (RFC 9113 section 6.8).
func (a *API) Withdraw() { a.withdrawn.Store(true) }

// newParams returns memory for the parameters of one path.
func (a *API) newParams() *chi.Context {
	if c, ok := a.params.Get().(*chi.Context); ok {
		c.Reset()
		return c
	}
	return chi.NewRouteContext()
}

func join(words []string) string { return strings.Join(words, ", ") }
