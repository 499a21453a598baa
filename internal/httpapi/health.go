package httpapi

import (
	"context"

	"onnxgate/internal/fault"
)

// healthy is the whole answer of a health endpoint: it is open to everybody and
// says nothing else.
const healthy = `{"status":"ok"}` + "\n"

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
	x.sendJSON([]byte(healthy))
	return nil
}

// metrics shows the numbers in the format that Prometheus reads.
func (a *API) metrics(_ context.Context, x *exchange) error {
	a.scrape.ServeHTTP(x, x.request)
	return nil
}
