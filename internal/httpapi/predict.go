package httpapi

import (
	"context"

	"onnxgate/internal/inference"
)

const (
	mediaJSON   = "application/json"
	mediaOctets = "application/octet-stream"
)

// predict runs a model on the rows of the body.
func (a *API) predict(ctx context.Context, x *exchange) error {
	call, body, err := a.openAndRead(ctx, x, intake{media: []string{mediaJSON}})
	if err != nil {
		return err
	}
	defer call.Close()
	if err := call.Schema().Decode(call.Batch(), body, a.cfg.MaxRows); err != nil {
		return err
	}
	outputs, err := call.Predict(ctx)
	if err != nil {
		return err
	}
	answer := buffers.Get()
	defer buffers.Put(answer)
	answer.B, err = call.Schema().AppendResponse(answer.B, call.Batch(), outputs, call.Version())
	if err != nil {
		return err
	}
	answer.B = append(answer.B, '\n')
	x.sendJSON(answer.B)
	return nil
}

// openAndRead opens the model to the caller, and reads the body after that: who
// may not predict learns nothing about bodies. It opens the model again when the
// caller was proven again. The caller must Close the call.
func (a *API) openAndRead(ctx context.Context, x *exchange, in intake) (*inference.Call, []byte, error) {
	call, err := a.open(ctx, x)
	if err != nil {
		return nil, nil, err
	}
	body, failure := x.readBodyAs(ctx, in)
	if x.renewed {
		call.Close()
		if call, err = a.open(ctx, x); err != nil {
			return nil, nil, err
		}
	}
	if failure != nil {
		call.Close()
		return nil, nil, failure
	}
	return call, body, nil
}

// open opens the model of the path to the principal.
func (a *API) open(ctx context.Context, x *exchange) (*inference.Call, error) {
	call, err := a.cfg.Catalog.Open(ctx, x.principal, x.param("model"), x.param("version"))
	if err == nil {
		x.model, x.version = call.Label(), call.Version()
	}
	return call, err
}
