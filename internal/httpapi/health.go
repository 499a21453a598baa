package httpapi

import (
	"context"

	"onnxgate/internal/fault"
)

// The whole answers of health endpoints, which are open to everybody and say
// nothing else.
const (
	healthy = `{"status":"ok"}` + "\n"
	// degraded asks for no other server: whoever shares the database would be no
	// better.
	degraded = `{"status":"degraded"}` + "\n"
)

// livez answers as long as the process does.
func (*API) livez(_ context.Context, x *exchange) error {
	x.sendJSON([]byte(healthy))
	return nil
}

// readyz answers whether requests would be served now.
func (a *API) readyz(_ context.Context, x *exchange) error {
	if a.cfg.Ready != nil {
		if err := a.cfg.Ready(); err != nil {
			return fault.New(fault.Unavailable, "Not ready")
		}
	}
	if a.cfg.Degraded != nil && a.cfg.Degraded() {
		x.sendJSON([]byte(degraded))
		return nil
	}
	x.sendJSON([]byte(healthy))
	return nil
}

// metrics shows the numbers in the format that Prometheus reads.
func (a *API) metrics(_ context.Context, x *exchange) error {
	a.scrape.ServeHTTP(x, x.request)
	return nil
}
