package app

// showGauges registers the numbers that are read off the server's parts whenever
// somebody looks at its metrics. The parts are open by then.
func (a *App) showGauges() {
	if a.certs != nil {
		a.metrics.Gauge("onnxgate_certificate_expiry_timestamp_seconds", "When the certificate in use ends, in seconds since 1970.",
			func() float64 { return float64(a.certs.Current().Leaf.NotAfter.Unix()) })
	}
}
