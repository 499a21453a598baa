package telemetry

import "github.com/prometheus/client_golang/prometheus"

func newSoftQuotas() prometheus.Counter { //nolint:ireturn // there is no other type of it
	return prometheus.NewCounter(prometheus.CounterOpts{
		Name: "onnxgate_soft_quotas_reached_total",
		Help: "Soft quotas of tenants and API keys that were reached, each once in its period.",
	})
}

// SoftQuotaReached counts a soft quota that was reached.
func (m *Metrics) SoftQuotaReached() { m.softQuotas.Inc() }
