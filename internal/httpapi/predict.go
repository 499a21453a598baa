package httpapi

import (
	"context"
	"io"
	"strings"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/inference"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/tensor"
)

// The media types of rows and predictions.
const (
	mediaJSON   = "application/json"
	mediaCSV    = "text/csv"
	mediaOctets = "application/octet-stream"
)

// A table is told apart before the body is read.
var (
	rowsOfJSON  = intake{media: []string{mediaJSON}, other: mediaCSV}
	rowsOfTable = intake{media: []string{mediaCSV}, packed: true}
)

var typeCSV = []string{mediaCSV + "; charset=utf-8; header=present"}

// predict runs a model on the rows of the body.
func (a *API) predict(ctx context.Context, x *exchange) error {
	open := a.openRows
	if isTable(x.request.Header["Content-Type"]) {
		open = a.openTable
	}
	call, err := open(ctx, x)
	if err != nil {
		return err
	}
	defer call.Close()
	answer := buffers.Get()
	defer buffers.Put(answer)
	table := wantsTable(x.request.Header["Accept"])
	err = call.Answer(ctx, func(outputs []*tensor.Tensor) (err error) {
		if table {
			answer.B, err = call.Schema().AppendTable(answer.B, call.Batch(), outputs)
			return err
		}
		answer.B, err = call.Schema().AppendResponse(answer.B, call.Batch(), outputs, call.Version())
		return err
	})
	if err != nil {
		return err
	}
	call.Leave()
	if table {
		x.sendOK(typeCSV, answer.B)
		return nil
	}
	answer.B = append(answer.B, '\n')
	x.sendJSON(answer.B)
	return nil
}

// isTable reports whether a body says that it is a table. Whether it is one that
// is read is for who reads it.
func isTable(contentType []string) bool {
	if len(contentType) != 1 || contentType[0] == mediaJSON {
		return false
	}
	media, _, _ := strings.Cut(contentType[0], ";")
	return strings.EqualFold(strings.TrimSpace(media), mediaCSV)
}

// openRows opens the model to the caller, and reads rows of JSON into its batch.
// The caller must Close the call.
func (a *API) openRows(ctx context.Context, x *exchange) (*inference.Call, error) {
	call, body, err := a.openAndRead(ctx, x, rowsOfJSON)
	if err != nil {
		return nil, err
	}
	began := x.info.Trace.Begin()
	err = call.Schema().Decode(ctx, call.Batch(), body, a.cfg.MaxRows)
	x.info.Trace.End(reqctx.Validate, began, err)
	if err != nil {
		call.Close()
		return nil, err
	}
	return call, nil
}

// openTable opens the model to the caller, and reads a table into its batch while
// it comes. It opens the model again when the caller was proven again, and takes
// the rows along. The caller must Close the call.
func (a *API) openTable(ctx context.Context, x *exchange) (*inference.Call, error) {
	call, err := a.open(ctx, x)
	if err != nil {
		return nil, err
	}
	began := x.info.Trace.Begin()
	failure := x.streamBody(ctx, &rowsOfTable, call.Batch().Size, func(table io.Reader) error {
		_, err := call.Schema().DecodeTable(ctx, call.Batch(), table, a.cfg.MaxRows, nil)
		return err
	})
	x.info.Trace.End(reqctx.Validate, began, failure)
	if x.renewed {
		earlier := call
		defer earlier.Close()
		if call, err = a.open(ctx, x); err != nil {
			return nil, err
		}
		if !call.TakeBatch(earlier) && failure == nil {
			failure = &fault.Error{Kind: fault.Unavailable, RetryAfter: time.Second, Msg: "The model was replaced while the table came; send it again"}
		}
	}
	if failure == nil {
		failure = call.Enter(ctx, x.streamed)
	}
	if failure != nil {
		call.Close()
		return nil, failure
	}
	return call, nil
}

// openAndRead opens the model to the caller, and reads the body after that: who
// may not predict learns nothing about bodies. It opens the model again when the
// caller was proven again, and takes a place among the predictions in flight once
// there is something to predict with. The caller must Close the call.
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
	if failure == nil {
		failure = call.Enter(ctx, int64(len(body)))
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
		x.about = call.About()
	}
	return call, err
}
