package telemetry

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// RPCMetrics counts the calls of one gRPC method. Its series come to be as those of
// RouteMetrics.
type RPCMetrics struct {
	method     string
	requests   *prometheus.CounterVec // its labels but the code are set
	histograms *prometheus.HistogramVec
	durations  atomic.Pointer[prometheus.Observer]
	names      []string
	codes      []atomic.Pointer[prometheus.Counter]
}

// RPC returns the numbers of a method, whose calls end with one of the codes, each
// an index into their names. Method and codes must come from closed lists, never
// from a client.
func (m *Metrics) RPC(method string, codes []string) *RPCMetrics {
	return &RPCMetrics{
		method: method, histograms: m.rpcTimes,
		requests: m.rpcs.MustCurryWith(prometheus.Labels{"method": method}),
		names:    codes, codes: make([]atomic.Pointer[prometheus.Counter], len(codes)),
	}
}

// Observe counts one call.
func (r *RPCMetrics) Observe(code int, took time.Duration) {
	durations := r.durations.Load()
	if durations == nil {
		d := r.histograms.WithLabelValues(r.method)
		durations = &d
		r.durations.Store(durations)
	}
	(*durations).Observe(took.Seconds())
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
