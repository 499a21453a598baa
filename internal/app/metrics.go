package app

import (
	"sync"
	"time"

	"onnxgate/internal/limit"
)

// The parts that are read again while the server runs, as the metrics name them.
const (
	configurationPart     = "configuration"
	modelsPart            = "models"
	certificatePart       = "certificate"
	clientAuthoritiesPart = "client_authorities"
	signingKeysPart       = "signing_keys"
	kekPart               = "key_encryption_key"
	issuersPart           = "issuers"
)

// reloads remembers which parts could not be taken over when they were last read,
// so that what was there before goes on. It is safe for concurrent use.
type reloads struct {
	mu     sync.Mutex
	failed map[string]bool
}

// note remembers how the last reading of a part went, and returns its error.
func (r *reloads) note(part string, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = map[string]bool{}
	}
	r.failed[part] = err != nil
	return err
}

func (r *reloads) ok(part string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.failed[part]
}

// showGauges registers the numbers that are read off the server's parts whenever
// somebody looks at its metrics. The parts are open by then.
func (a *App) showGauges() {
	a.metrics.Gauge("onnxgate_ready", "1 while requests are wanted, 0 when GET /readyz says 503.",
		func() float64 { return flag(a.ready() == nil) })
	a.metrics.Gauge("onnxgate_model_versions", "Versions of models that are served.", a.servedVersions)
	a.metrics.Gauge("onnxgate_model_problems", "Models and versions that are not served, or go on as they were, because something is wrong with them.",
		func() float64 { return float64(len(a.catalog.Problems())) })
	a.metrics.Gauges("onnxgate_reload_successful", "1 when a part is in use as it was last read, 0 when the server goes on with what it had.",
		"part", a.showReloads)
	if a.certs != nil {
		a.metrics.Gauge("onnxgate_certificate_expiry_timestamp_seconds", "When the certificate in use ends, in seconds since 1970.",
			func() float64 { return timestamp(a.certs.Current().Leaf.NotAfter) })
	}
	a.metrics.Gauge("onnxgate_clock_offset_seconds", "How far the clock of the machine was set ahead of the time that the server goes by; 0 while it goes by that clock.",
		func() float64 { return a.clock.Offset().Seconds() })
	a.showAdmission()
	a.showConnections()
	a.showDatabase()
	a.showRedis()
	a.showSigningKeys()
	if a.issuers != nil {
		a.showIssuers()
	}
}

func (a *App) showAdmission() {
	of := func(n func() int) func() float64 { return func() float64 { return float64(n()) } }
	a.metrics.Gauge("onnxgate_in_flight_requests", "Predictions between the end of their body and their answer.", of(a.admission.InFlight))
	a.metrics.Gauge("onnxgate_queue_depth", "Predictions that wait for a place among those in flight.", of(a.admission.Queued))
	a.metrics.Gauge("onnxgate_throttled_requests", "Requests over a rate that wait for its next window.", of(a.admission.Throttled))
	a.metrics.Gauge("onnxgate_limit_entries", "Clients that are remembered, each once for every window of a rate.", of(a.admission.Entries))
}

func (a *App) showConnections() {
	each := func(number func(*limit.Places) float64) func(show func(string, float64)) {
		return func(show func(string, float64)) {
			show("public", number(a.public.places))
			if a.admin != nil {
				show("administration", number(a.admin.places))
			}
			if a.grpc != nil {
				show("grpc", number(a.grpc.places))
			}
		}
	}
	a.metrics.Gauges("onnxgate_connections", "Open connections, by listener: public, administration or grpc.", "listener",
		each(func(p *limit.Places) float64 { return float64(p.Held()) }))
	a.metrics.Counters("onnxgate_connections_refused_total", "Connections closed because their client, or all clients, had as many as there may be, by listener.", "listener",
		each(func(p *limit.Places) float64 { return float64(p.Refused()) }))
	a.metrics.Counter("onnxgate_http2_requests_refused_total", "Requests over HTTP/2 that were reset because their client, or all clients, had as many open as there may be.",
		func() float64 { return float64(a.streams.Refused()) })
}

func (a *App) showDatabase() {
	a.metrics.Gauge("onnxgate_database_up", "1 when the database could be read and written to at the last attempt.", func() float64 {
		_, err := a.accounts.Reached()
		return flag(err == nil)
	})
	a.metrics.Gauge("onnxgate_database_read_timestamp_seconds", "When the database was last read, in seconds since 1970.", func() float64 {
		last, _ := a.accounts.Reached()
		return timestamp(last)
	})
}

func (a *App) showSigningKeys() {
	a.metrics.Gauges("onnxgate_signing_keys", "Keys of access tokens by what they are used for: next, active, former or retired.", "state", func(show func(string, float64)) {
		counts := map[string]float64{}
		for _, key := range a.keys.List() {
			counts[string(key.State)]++
		}
		for state, n := range counts {
			show(state, n)
		}
	})
	if !a.keys.Due().IsZero() {
		a.metrics.Gauge("onnxgate_signing_key_rotation_due_timestamp_seconds", "When the newest key of access tokens is to have a successor, in seconds since 1970.",
			func() float64 { return timestamp(a.keys.Due()) })
	}
}

func (a *App) showIssuers() {
	a.metrics.Gauges("onnxgate_issuer_up", "1 when the keys of an outside issuer could be fetched at the last attempt.", "issuer", func(show func(string, float64)) {
		for _, s := range a.issuers.Status() {
			show(s.Issuer, flag(s.Err == nil))
		}
	})
	a.metrics.Gauges("onnxgate_issuer_keys", "Keys of an outside issuer that verify its tokens now; 0 when its tokens are refused.", "issuer", func(show func(string, float64)) {
		for _, s := range a.issuers.Status() {
			show(s.Issuer, float64(s.Keys))
		}
	})
}

// showReloads shows those parts that this server has.
func (a *App) showReloads(show func(string, float64)) {
	for part, has := range map[string]bool{
		configurationPart: true, modelsPart: true, kekPart: true,
		clientAuthoritiesPart: a.clients != nil, issuersPart: a.issuers != nil,
	} {
		if has {
			show(part, flag(a.reloads.ok(part)))
		}
	}
	if a.certs != nil {
		show(certificatePart, flag(a.certs.Err() == nil))
	}
	show(signingKeysPart, flag(a.keys.Err() == nil))
}

func (a *App) servedVersions() float64 {
	n := 0
	for _, m := range a.catalog.All() {
		n += len(m.Versions)
	}
	return float64(n)
}

func flag(holds bool) float64 {
	if holds {
		return 1
	}
	return 0
}

// timestamp is a time as metrics have it, 0 for none.
func timestamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1e3
}
