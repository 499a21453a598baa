package httpapi

import (
	"context"
)

const mediaJSON = "application/json"

// predict runs a model on the rows of the body.
func (a *API) predict(ctx context.Context, x *exchange) error {
	call, err := a.cfg.Catalog.Open(ctx, x.principal, x.param("model"), x.param("version"))
	if err != nil {
		return err
	}
	defer call.Close()
	x.model, x.version = call.Label(), call.Version()

	body, err := x.readBody(mediaJSON)
	if err != nil {
		return err
	}
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
