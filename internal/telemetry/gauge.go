package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Gauge shows a number that is worked out whenever somebody looks. Name ends with
// its unit, help is one sentence; value must be quick and safe for concurrent use.
// A name that is taken is a defect, and panics.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// Counter shows a number that only grows, counted elsewhere, as Gauge does. Its name
// ends with _total.
func (m *Metrics) Counter(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
}

// Gauges shows numbers that one label tells apart, worked out as that of Gauge.
// Each calls show once for each value of the label, which must come from a closed
// list, never from a client.
func (m *Metrics) Gauges(name, help, label string, each func(show func(labelled string, value float64))) {
	m.registry.MustRegister(&family{desc: prometheus.NewDesc(name, help, []string{label}, nil), kind: prometheus.GaugeValue, each: each})
}

// Counters shows counts that others keep, as Gauges does. Name ends with _total, and
// no count ever falls.
func (m *Metrics) Counters(name, help, label string, each func(show func(labelled string, value float64))) {
	m.registry.MustRegister(&family{desc: prometheus.NewDesc(name, help, []string{label}, nil), kind: prometheus.CounterValue, each: each})
}

// family is a collector of numbers that it does not keep.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	each func(show func(labelled string, value float64))
}

// Describe sends what the numbers have in common.
func (f *family) Describe(ch chan<- *prometheus.Desc) { ch <- f.desc }

// Collect sends the numbers as they are now.
func (f *family) Collect(ch chan<- prometheus.Metric) {
	f.each(func(labelled string, value float64) {
		ch <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labelled)
	})
}
