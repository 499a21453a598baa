package httpapi

import (
	"bytes"
	"context"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"onnxgate/internal/fault"
	"onnxgate/internal/inference"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// rowsBody is JSON, which some clients do not say.
var rowsBody = intake{media: []string{mediaJSON}, untyped: true, packed: true}

// predictV1 runs a model on the rows of a request of KServe's V1, which are those
// of POST /predict in another envelope.
func (a *API) predictV1(ctx context.Context, x *exchange) error {
	call, body, err := a.openAndRead(ctx, x, rowsBody)
	if err != nil {
		return err
	}
	defer call.Close()
	began := x.info.Trace.Begin()
	err = a.readRows(ctx, call, body)
	x.info.Trace.End(reqctx.Validate, began, err)
	if err != nil {
		return err
	}
	answer := buffers.Get()
	defer buffers.Put(answer)
	err = call.Answer(ctx, func(outputs []*tensor.Tensor) (err error) {
		answer.B, err = call.Schema().AppendPredictions(append(answer.B, `{"predictions":`...), call.Batch(), outputs)
		return err
	})
	if err != nil {
		return err
	}
	call.Leave()
	answer.B = append(answer.B, '}', '\n')
	x.Header()["Content-Type"] = typeJSON
	x.sendPacked(answer.B)
	return nil
}

// readRows reads the body into the call's batch.
func (a *API) readRows(ctx context.Context, call *inference.Call, body []byte) error {
	rows, err := readInstances(body)
	if err != nil {
		return err
	}
	if err := rows.decode(ctx, call.Schema(), call.Batch(), a.cfg.MaxRows); err != nil {
		return within(err, rows.member)
	}
	return nil
}

// instances are the rows of a request, as they stand in its body.
type instances struct {
	member string // of the body
	rows   []byte // an array of rows, or an object of columns
}

func (i *instances) decode(ctx context.Context, s *schema.Schema, b *schema.Batch, maxRows int) error {
	if i.rows[0] == '{' {
		return s.DecodeColumns(ctx, b, i.rows, maxRows)
	}
	return s.DecodeValues(ctx, b, i.rows, maxRows)
}

// The members of a request of V1 (TensorFlow Serving's REST API, "Predict API").
const (
	memberInstances = "instances"
	memberInputs    = "inputs"
	memberSignature = "signature_name"
)

// readInstances finds the rows in the envelope: a list under instances, or under
// inputs, and columns under inputs. Their own syntax is checked when they are
// decoded, but for what ends them. Faults: Syntax, Content.
func readInstances(body []byte) (*instances, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(body))
	if d.PeekKind() != jsontext.KindBeginObject {
		if err := checkSyntax(body); err != nil {
			return nil, err
		}
		return nil, fault.New(fault.Content, `the request is an object: {"instances": […]} or {"inputs": {…}}`)
	}
	var found instances
	if _, err := d.ReadToken(); err != nil {
		return nil, syntaxFault(err)
	}
	for d.PeekKind() == jsontext.KindString {
		if err := found.readMember(d, body); err != nil {
			return nil, err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, syntaxFault(err)
	}
	if rest := bytes.TrimLeft(body[d.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, syntaxAt("", "something follows the value")
	}
	if found.rows == nil {
		return nil, fault.New(fault.Content, "the request has neither instances nor inputs")
	}
	return &found, nil
}

func (i *instances) readMember(d *jsontext.Decoder, body []byte) error {
	name, err := d.ReadToken()
	if err != nil {
		return syntaxFault(err)
	}
	member := name.String()
	value, err := d.ReadValue()
	if err != nil {
		return syntaxFault(err)
	}
	switch kind := value.Kind(); {
	case member == memberSignature:
		return nil
	case member != memberInstances && member != memberInputs:
		return fault.Newf(fault.Content, "the request has no member %q; it has instances or inputs", cut(member))
	case i.rows != nil:
		return fault.New(fault.Content, "the request has instances and inputs; send one of them")
	case kind != jsontext.KindBeginArray && (kind != jsontext.KindBeginObject || member != memberInputs):
		return fault.Newf(fault.Content, "%s is not an array of rows", member)
	}
	end := d.InputOffset()
	i.member, i.rows = member, body[end-int64(len(value)):end]
	return nil
}

// within adds the member that the rows are in to where a fault is.
func within(err error, member string) error {
	f := fault.As(err)
	if len(f.Fields) == 0 {
		return err
	}
	moved := *f
	moved.Fields = make([]fault.Field, len(f.Fields))
	for i, field := range f.Fields {
		field.Pointer = "#/" + member + strings.TrimPrefix(field.Pointer, "#")
		moved.Fields[i] = field
	}
	return &moved
}
