// Package grpcapi is the gRPC edge: the Open Inference Protocol's service and
// health checks, built from one table of methods. It owns the order in which a
// call is refused, and the one way in which a fault becomes a status.
//
// Everything about a call happens in this order, whatever the method: request id
// and client address, method, rate, the connection's certificate, credential, its
// own rate, permission; only then is the message read, and the model opened.
// Certificate, credential and permission are judged again after a message that
// was long on its way, and for every message of a stream.
// It must not know how credentials are verified, how models run, or HTTP's side
// of the server.
package grpcapi

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"onnxgate/internal/admission"
	"onnxgate/internal/audit"
	"onnxgate/internal/authn"
	"onnxgate/internal/authz"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/limit"
	"onnxgate/internal/oip"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/telemetry"
	"onnxgate/internal/telemetry/tracing"
)

// Models opens models to those who may predict with them, and describes them to
// those who may read them. An empty version is the one that is served without
// asking. Faults: NotFound, Unauthenticated when a further credential is needed,
// Forbidden.
type Models interface {
	Open(ctx context.Context, p *identity.Principal, model, version string) (*inference.Call, error)
	Describe(ctx context.Context, p *identity.Principal, model, version string) (inference.ModelInfo, error)
	Ready(ctx context.Context, p *identity.Principal, model, version string) error
	// Requires returns the kinds of credential that a request must carry, all of
	// them, for the model as the principal's tenant sees it; none for one that asks
	// for no more than a principal, and for one that it does not see.
	Requires(p *identity.Principal, model, version string) []identity.Method
}

// Delivery takes models of a principal's tenant into service and out of it.
// Faults: NotFound, Content for a model that cannot be served.
type Delivery interface {
	Load(ctx context.Context, p *identity.Principal, model string) error
	Unload(ctx context.Context, p *identity.Principal, model string) error
}

// Repository is what a tenant keeps, for those who may manage it. Faults:
// NotFound.
type Repository interface {
	Index(ctx context.Context, p *identity.Principal) []inference.IndexEntry
	// Statistics is for who may read the models; an empty model is all of them.
	Statistics(ctx context.Context, p *identity.Principal, model, version string) ([]inference.Statistics, error)
}

// Config is what the API is made of. What has no default is required.
type Config struct {
	Models        Models
	Repository    Repository
	Delivery      Delivery
	Authenticator authn.Authenticator
	// Trust is nil where no client certificates are asked for.
	Trust authn.CertificateTrust
	// Issuers are the outside issuers, without whom nothing is changed on their word;
	// nil where none are trusted.
	Issuers authn.Reach
	// Roles says what each role permits.
	Roles authz.Roles
	// Admission is shared with the other protocols.
	Admission *admission.Control
	// Audit keeps the records, and is shared with the other protocols; nil keeps none.
	Audit *audit.Trail
	// Ready returns why the server cannot serve; nil is always ready.
	Ready     func() error
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

	// TrustedProxies may say which client a call comes from.
	TrustedProxies []netip.Prefix
	// Reflection tells everybody the methods and their messages.
	Reflection bool
	// MaxMessage is the longest message that is read, in bytes, after its
	// decompression; 0 is 8 MiB.
	MaxMessage int64
	// Memory is what all messages in flight may take beyond the first 64 KiB of
	// each, shared with the other protocols; nil is 64 MiB. It should hold the
	// longest message.
	Memory *limit.Bytes
	// MaxRows is how many rows one prediction may have; 0 is 10,000.
	MaxRows int
	// Version is what the server says about itself.
	Version string
}

// The defaults of Config.
const (
	DefaultMaxMessage = 8 << 20
	DefaultMemory     = 64 << 20
	DefaultMaxRows    = 10_000
)

// slowMessages is how many messages without tensors may be long on their way at
// once, of the open methods and of the others.
const slowMessages = 4

// API is the gRPC API of one server.
type API struct {
	cfg        Config
	ids        reqctx.IDs
	methods    []*method
	unknown    *method
	readers    sync.Pool // of *oip.Reader
	waiting    waiting
	receptions receptions
	// strangers and small are the memory for messages without tensors that are long
	// on their way: of the open methods, and of the others.
	strangers, small *limit.Bytes
}

// New returns the API. An error is a defect of cfg or of the table of methods.
func New(cfg Config) (*API, error) {
	if cfg.Models == nil || cfg.Repository == nil || cfg.Delivery == nil || cfg.Authenticator == nil || cfg.Admission == nil ||
		cfg.Metrics == nil || cfg.AccessLog == nil || cfg.Log == nil || cfg.Now == nil {
		return nil, errors.New("grpcapi: models, a repository, an authenticator, an admission, metrics, logs and a clock are needed")
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.MaxMessage == 0 {
		cfg.MaxMessage = DefaultMaxMessage
	}
	if cfg.Memory == nil {
		cfg.Memory = limit.NewBytes(max(DefaultMemory, 2*cfg.MaxMessage), nil)
	}
	if cfg.MaxRows == 0 {
		cfg.MaxRows = DefaultMaxRows
	}
	a := &API{cfg: cfg, ids: reqctx.IDs{Rand: cfg.Rand}, waiting: newWaiting()}
	a.receptions = receptions{most: cfg.MaxMessage, now: cfg.Now, all: map[*reception]struct{}{}}
	a.strangers, a.small = limit.NewBytes(slowMessages*cfg.MaxMessage, nil), limit.NewBytes(slowMessages*cfg.MaxMessage, nil)
	for _, m := range methods(cfg.Reflection) {
		if err := m.check(); err != nil {
			return nil, err
		}
		if m.atOnce > 0 {
			m.places = newPlaces()
		}
		m.path, m.metrics = "/"+m.name, cfg.Metrics.RPC(m.name, codeNames)
		a.methods = append(a.methods, &m)
	}
	a.unknown = &method{name: "other", open: true, serve: (*call).noMethod, metrics: cfg.Metrics.RPC("other", codeNames)}
	return a, nil
}

// Withdraw says to who asks for the server's health, or watches it, that it does not
// want more calls; those that come are answered.
func (a *API) Withdraw() { a.waiting.withdraw() }

// Drain withdraws the server, and ends the streams that wait for a message: the
// others are answered.
func (a *API) Drain() {
	a.waiting.withdraw()
	a.waiting.end()
}

// reader returns memory for reading one request.
func (a *API) reader() *oip.Reader {
	if r, ok := a.readers.Get().(*oip.Reader); ok {
		return r
	}
	return new(oip.Reader)
}
