package telemetry

import (
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"onnxgate/internal/fault"
)

// Metrics are the numbers that the server shows, in a registry of their own.
// What a request touches is looked up beforehand: Route and Model give handles
// that count without a search for labels.
type Metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	rpcs      *prometheus.CounterVec
	rpcTimes  *prometheus.HistogramVec
	models    *modelMetrics
	tenants   *tenantMetrics
	refusals  []prometheus.Counter // by fault.Kind
	reloads   *prometheus.CounterVec

	softQuotas prometheus.Counter
}

// requestBuckets are in seconds.
var requestBuckets = []float64{1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// engineBuckets are in seconds.
var engineBuckets = []float64{2.5e-7, 5e-7, 1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// NewMetrics returns metrics in which nothing has happened yet. Version is
// what build_info shows.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onnxgate_http_requests_total",
			Help: "Requests answered, by method, route pattern and status code.",
		}, []string{"method", "route", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "onnxgate_http_request_duration_seconds",
			Help:    "Time from the end of a request's header to the end of its answer.",
			Buckets: requestBuckets,
		}, []string{"method", "route"}),
		rpcs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onnxgate_grpc_requests_total",
			Help: "gRPC calls answered, and messages of streams, by method and status code.",
		}, []string{"method", "code"}),
		rpcTimes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "onnxgate_grpc_request_duration_seconds",
			Help:    "Time from the end of a gRPC call's header, or of a stream's message, to the end of its answer.",
			Buckets: requestBuckets,
		}, []string{"method"}),
		models:  newModelMetrics(),
		tenants: newTenantMetrics(),
	}
	m.softQuotas = newSoftQuotas()
	m.registry.MustRegister(m.softQuotas)
	m.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "onnxgate_model_reloads_total",
		Help: "Looks at the models folder that found something changed, by result: ok, or failed when a changed version cannot be served.",
	}, []string{"result"})
	for _, result := range []string{reloadOK, reloadFailed} {
		m.reloads.WithLabelValues(result)
	}
	refusals := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "onnxgate_refusals_total",
		Help: "Requests that were not served, by reason.",
	}, []string{"reason"})
	for _, kind := range fault.Kinds() {
		m.refusals = append(m.refusals, refusals.WithLabelValues(Reason(kind)))
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "onnxgate_build_info",
		Help: "1, labelled with what the server was built from.",
	}, []string{"version", "goversion"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(m.requests, m.durations, m.rpcs, m.rpcTimes, m.models.rows, m.models.seconds, m.tenants.requests, m.tenants.rows, m.tenants.seconds, m.reloads, refusals, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Registry returns what a scrape reads.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Refused counts one request that was not served.
func (m *Metrics) Refused(kind fault.Kind) {
	if int(kind) < len(m.refusals) {
		m.refusals[kind].Inc()
	}
}

// The results of a look at the models folder.
const (
	reloadOK     = "ok"
	reloadFailed = "failed"
)

// Reloaded counts a look at the models folder that found something changed, and
// whether all of it could be taken over.
func (m *Metrics) Reloaded(ok bool) {
	result := reloadOK
	if !ok {
		result = reloadFailed
	}
	m.reloads.WithLabelValues(result).Inc()
}

// RouteMetrics counts the requests of one route.
type RouteMetrics struct {
	requests  *prometheus.CounterVec // its labels but the code are set
	durations durations
	// codes are the counters of the first codes of each class, which are all that
	// are answered.
	codes [5][codesOfClass]atomic.Pointer[prometheus.Counter]
}

const codesOfClass = 32

// Route returns the numbers of a route. Method and pattern must come from a
// closed list, never from a client.
func (m *Metrics) Route(method, pattern string) *RouteMetrics {
	return &RouteMetrics{
		requests:  m.requests.MustCurryWith(prometheus.Labels{"method": method, "route": pattern}),
		durations: durations{of: m.durations, labels: []string{method, pattern}},
	}
}

// Observe counts one request.
func (r *RouteMetrics) Observe(status int, took time.Duration) {
	r.durations.observe(took)
	class, code := status/100-1, status%100
	if class < 0 || class >= len(r.codes) || code >= codesOfClass {
		r.requests.WithLabelValues("0").Inc()
		return
	}
	counter := r.codes[class][code].Load()
	if counter == nil {
		c := r.requests.WithLabelValues(strconv.Itoa(status))
		counter = &c
		r.codes[class][code].Store(counter)
	}
	(*counter).Inc()
}

// durations is a histogram whose series come to be with the first observation: most
// routes of a server are asked for by nobody, and each has some twenty.
type durations struct {
	of     *prometheus.HistogramVec
	labels []string
	made   atomic.Pointer[prometheus.Observer]
}

func (d *durations) observe(took time.Duration) {
	histogram := d.made.Load()
	if histogram == nil {
		h := d.of.WithLabelValues(d.labels...)
		histogram = &h
		d.made.Store(histogram)
	}
	(*histogram).Observe(took.Seconds())
}
