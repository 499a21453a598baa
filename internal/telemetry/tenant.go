package telemetry

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"onnxgate/internal/fault"
)

// Bounds on labels whose values come from outside the program: each one costs
// memory here and in whatever stores the metrics. What comes later than these is
// counted together, as Other.
const (
	MaxTenants       = 50
	MaxModelVersions = 1000
	Other            = "other"
)

// The results of a request.
const (
	resultAnswered = "answered"
	resultRefused  = "refused" // the caller has to change something, or to wait
	resultFailed   = "failed"  // the server, or what it depends on
)

// TenantMetrics counts what the callers of one tenant ask for.
type TenantMetrics struct {
	answered, refused, failed prometheus.Counter
	rows, seconds             prometheus.Counter
}

// Answered counts a request that was served.
func (t *TenantMetrics) Answered() { t.answered.Inc() }

// Refused counts a request that was not.
func (t *TenantMetrics) Refused(kind fault.Kind) {
	if kind == fault.Internal || kind == fault.Unavailable || kind == fault.Timeout {
		t.failed.Inc()
		return
	}
	t.refused.Inc()
}

// Predicted counts one call of a model.
func (t *TenantMetrics) Predicted(rows int, took time.Duration) {
	t.rows.Add(float64(rows))
	t.seconds.Add(took.Seconds())
}

// tenantMetrics are those of all tenants, of which a bounded number has a name.
type tenantMetrics struct {
	requests, rows, seconds *prometheus.CounterVec

	// known is replaced and never changed, so that a request reads it as it is.
	known atomic.Pointer[map[string]*TenantMetrics]
	mu    sync.Mutex // held by who replaces it
}

func newTenantMetrics() *tenantMetrics {
	t := &tenantMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onnxgate_tenant_requests_total",
			Help: "Requests and calls of authenticated callers, by tenant and result: answered, refused or failed.",
		}, []string{"tenant", "result"}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onnxgate_tenant_predictions_total",
			Help: "Rows predicted, by the caller's tenant.",
		}, []string{"tenant"}),
		seconds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onnxgate_tenant_prediction_seconds_total",
			Help: "Time spent in the engine, by the caller's tenant.",
		}, []string{"tenant"}),
	}
	t.known.Store(&map[string]*TenantMetrics{Other: t.labelled(Other)})
	return t
}

func (t *tenantMetrics) labelled(tenant string) *TenantMetrics {
	return &TenantMetrics{
		answered: t.requests.WithLabelValues(tenant, resultAnswered),
		refused:  t.requests.WithLabelValues(tenant, resultRefused),
		failed:   t.requests.WithLabelValues(tenant, resultFailed),
		rows:     t.rows.WithLabelValues(tenant),
		seconds:  t.seconds.WithLabelValues(tenant),
	}
}

// add gives a tenant a name of its own while there is room for one.
func (t *tenantMetrics) add(tenant string) *TenantMetrics {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := *t.known.Load()
	if m := known[tenant]; m != nil {
		return m
	}
	if len(known) > MaxTenants { // Other is one more
		return known[Other]
	}
	next := maps.Clone(known)
	next[tenant] = t.labelled(tenant)
	t.known.Store(&next)
	return next[tenant]
}

// Tenant returns the numbers of a tenant: the first MaxTenants that ask have their
// own until the process ends, all others those of Other. A tenant must be that of
// a proven principal, never what a request says.
func (m *Metrics) Tenant(name string) *TenantMetrics {
	known := *m.tenants.known.Load()
	if t := known[name]; t != nil {
		return t
	}
	if len(known) > MaxTenants {
		return known[Other]
	}
	return m.tenants.add(name)
}
