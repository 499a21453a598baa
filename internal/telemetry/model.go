package telemetry

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// modelMetrics are those of the versions of models, of which a bounded number has
// a name: versions come and go, and a series stays.
type modelMetrics struct {
	rows    *prometheus.CounterVec
	seconds *prometheus.HistogramVec

	mu    sync.Mutex // guards known
	known map[[2]string]*ModelMetrics
}

func newModelMetrics() *modelMetrics {
	return &modelMetrics{
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onnxgate_predictions_total",
			Help: "Rows predicted, by model and version.",
		}, []string{"model", "version"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "onnxgate_prediction_duration_seconds",
			Help:    "Time that one call of a model took in the engine, whatever its rows.",
			Buckets: engineBuckets,
		}, []string{"model", "version"}),
		known: map[[2]string]*ModelMetrics{},
	}
}

// ModelMetrics counts the predictions of one version of a model.
type ModelMetrics struct {
	rows     prometheus.Counter
	duration prometheus.Observer
}

// Model returns the numbers of a version of a model that is loaded: the first
// MaxModelVersions have their own until the process ends, all others those of
// Other.
func (m *Metrics) Model(name, version string) *ModelMetrics {
	all := m.models
	all.mu.Lock()
	defer all.mu.Unlock()
	key := [2]string{name, version}
	if found := all.known[key]; found != nil {
		return found
	}
	if len(all.known) >= MaxModelVersions {
		key = [2]string{Other, Other}
	}
	made := &ModelMetrics{rows: all.rows.WithLabelValues(key[0], key[1]), duration: all.seconds.WithLabelValues(key[0], key[1])}
	if len(all.known) < MaxModelVersions {
		all.known[key] = made
	}
	return made
}

// Observe counts one call of the model.
func (m *ModelMetrics) Observe(rows int, took time.Duration) {
	m.rows.Add(float64(rows))
	m.duration.Observe(took.Seconds())
}
