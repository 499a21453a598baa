package telemetry

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// RPCMetrics counts the calls of one gRPC method.
type RPCMetrics struct {
	requests  *prometheus.CounterVec // its labels but the code are set
	durations durations
	names     []string
	codes     []atomic.Pointer[prometheus.Counter]
}

// RPC returns the numbers of a method, whose calls end with one of the codes, each
// an index into their names. Method and codes must come from closed lists, never
// from a client.
func (m *Metrics) RPC(method string, codes []string) *RPCMetrics {
	return &RPCMetrics{
		requests:  m.rpcs.MustCurryWith(prometheus.Labels{"method": method}),
		durations: durations{of: m.rpcTimes, labels: []string{method}},
		names:     codes, codes: make([]atomic.Pointer[prometheus.Counter], len(codes)),
	}
}

// Observe counts one call.
func (r *RPCMetrics) Observe(code int, took time.Duration) {
	r.durations.observe(took)
	if code < 0 || code >= len(r.codes) {
		return
	}
	counter := r.codes[code].Load()
	if counter == nil {
		c := r.requests.WithLabelValues(r.names[code])
		counter = &c
		r.codes[code].Store(counter)
	}
	(*counter).Inc()
}
