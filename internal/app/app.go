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
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/admission"
	"onnxgate/internal/argon"
	"onnxgate/internal/audit"
	"onnxgate/internal/authz"
	"onnxgate/internal/certs"
	"onnxgate/internal/clock"
	"onnxgate/internal/config"
	"onnxgate/internal/delivery"
	"onnxgate/internal/fault"
	"onnxgate/internal/grpcapi"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/inference"
	"onnxgate/internal/keys"
	"onnxgate/internal/limit"
	"onnxgate/internal/modelstore"
	"onnxgate/internal/oidc"
	"onnxgate/internal/quota"
	"onnxgate/internal/redis"
	"onnxgate/internal/sealing"
	"onnxgate/internal/sqlstore"
	"onnxgate/internal/telemetry"
	"onnxgate/internal/telemetry/otlp"
	"onnxgate/internal/telemetry/tracing"
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
	// Clock is where the time comes from; the zero value is the machine.
	Clock clock.Config
}

// App is one server.
type App struct {
	cfg     *config.Config // of the start; never changed
	opts    Options
	log     *slog.Logger
	level   *slog.LevelVar
	access  *telemetry.AccessLog
	metrics *telemetry.Metrics
	// clock is what judges credentials, limits and quotas by.
	clock *clock.Clock
	// traces, spans, which they are queued in, and spanClient, which sends them, are nil
	// where none are sent.
	traces     *tracing.Tracer
	spans      *otlp.Batcher
	spanClient *otlp.Client
	stopSpans  context.CancelFunc
	lostSpans  time.Time // when it was last told
	shipments  []shipment

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
	folder    *modelstore.Store
	delivery  *delivery.Service
	modelLog  modelLog
	auditLog  *audit.Log    // nil when it is off
	trail     *audit.Trail  // nil when it is off
	redis     *redis.Client // nil without one
	changes   *changes      // nil without Redis
	admission *admission.Control
	api       *httpapi.API
	grpcAPI   *grpcapi.API // nil when its listener is closed

	public, admin *listener     // admin is nil when it is closed; both before New binds them
	grpc          *grpcListener // nil when it is closed
	streams       *limit.Places // of requests over HTTP/2
	background    sync.WaitGroup
	stopWatching  context.CancelFunc
	failed        chan error
	draining      atomic.Bool
	drainDelay    time.Duration
	reloading     sync.Mutex
	inForce       *config.Config // cfg with what reloads took over; guarded by reloading
	reloads       reloads
}

// listener is an address and what serves it.
type listener struct {
	server *http.Server
	net    *drainable
	places *limit.Places
}

// New takes the server's addresses, makes its parts and opens its files, without
// serving. Its error names everything that is wrong; when an address is taken,
// nothing was written.
func New(ctx context.Context, cfg *config.Config, opts Options) (*App, error) {
	a := &App{cfg: cfg, inForce: cfg, opts: opts, clock: clock.New(opts.Clock), level: &slog.LevelVar{}, failed: make(chan error, 3), drainDelay: cfg.DrainDelay}
	a.level.Set(cfg.LogLevel)
	format := a.logFormat()
	a.log = slog.New(telemetry.NewHandler(opts.Log, format, a.level))
	a.access = telemetry.NewAccessLog(telemetry.AccessConfig{Writer: opts.Log, Format: format, Level: a.level})
	a.metrics = telemetry.NewMetrics(opts.Version)
	if err := a.bind(ctx); err != nil {
		_, wrong := Check(ctx, cfg)
		return nil, errors.Join(err, wrong, a.Close())
	}
	if err := makeDataDir(cfg); err != nil {
		_, wrong := Check(ctx, cfg) // this, and everything else
		return nil, errors.Join(cmp.Or(wrong, err), a.Close())
	}
	if err := errors.Join(a.openRedis(ctx), a.openAdmission()); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	traced := a.openTraces()
	stored := sync.OnceValue(func() error { return a.openStored(ctx) })
	err := inParallel(
		a.openRoles,
		stored,
		func() error { return a.openKeys(ctx) },
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

func makeDataDir(cfg *config.Config) error {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return badDataDir(err)
	}
	return checkModes(cfg)
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

// notServed is the fault of a data directory without what a server makes in it.
func notServed(cfg *config.Config, what string) error {
	return fault.Newf(fault.NotFound, "there are no %s in %s, where no server was started yet; "+
		"name the server's own with --data-dir or ONNXGATE_DATA_DIR", what, cfg.DataDir)
}
