package grpcapi

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"onnxgate/internal/fault"
	"onnxgate/internal/inference"
	"onnxgate/internal/oip"
	"onnxgate/internal/reqctx"
)

// modelInfer runs a model on the tensors of the message.
func (c *call) modelInfer() error {
	if err := c.receive(); err != nil {
		return err
	}
	answer, err := c.infer(newInferAnswer)
	if err != nil {
		return err
	}
	return c.send(answer)
}

// infer opens the model that the message names, reads the message into it, and
// answers with what the model gives.
func (c *call) infer(encode func(*oip.ProtobufResponse) answer) (answer, error) {
	cfg := &c.api.cfg
	c.info.NoWait = c.claimed > 0
	model, version, err := oip.Target(c.message.bytes())
	if err != nil {
		return answer{}, err
	}
	if err := c.layer(model, version); err != nil {
		return answer{}, err
	}
	opened, err := cfg.Models.Open(c.ctx, c.principal, model, version)
	if err != nil {
		return answer{}, unknown(err, model, version)
	}
	defer opened.Close()
	c.asked = opened.About()
	if err := opened.Enter(c.ctx, int64(c.message.len())); err != nil {
		return answer{}, err
	}
	reader := c.api.reader()
	defer c.api.readers.Put(reader)
	began := c.info.Trace.Begin()
	request, err := c.tensors(reader, opened)
	c.info.Trace.End(reqctx.Validate, began, err)
	if err != nil {
		return answer{}, err
	}
	outputs, err := opened.Predict(c.ctx)
	if err != nil {
		return answer{}, err
	}
	a := encode(oip.Protobuf(&oip.Response{
		Model: opened.Model(), Version: opened.Version(), ID: request.ID,
		Specs: opened.Outputs(), Outputs: outputs, Wanted: request.Outputs, Parts: request.Parts, Binary: request.Binary,
	}))
	c.bytes = a.data.Len()
	return a, nil
}

// tensors reads the message into the model's own tensors, and holds them to its
// contract.
func (c *call) tensors(reader *oip.Reader, opened *inference.Call) (*oip.Request, error) {
	most := c.api.cfg.MaxRows
	request, err := reader.ReadProtobuf(c.message.bytes(), oip.Contract{
		Inputs: opened.Inputs(), Outputs: opened.Outputs(), MaxRows: most,
	}, opened.Batch().Inputs)
	if err != nil {
		return nil, err
	}
	c.release() // the tensors are the model's now
	return request, opened.Admit(c.ctx, most)
}

// newInferAnswer is a ModelInferResponse.
func newInferAnswer(r *oip.ProtobufResponse) answer { return newAnswer(r.Size(), r.Append) }

// unknown words the fault of a model that is not there as Triton does, whose
// clients look for it.
func unknown(err error, model, version string) error {
	if fault.KindOf(err) != fault.NotFound || model == "" {
		return err
	}
	return fault.New(fault.NotFound, oip.UnknownModel(model, version))
}

// streamIdle is how long a stream may be silent.
const (
	streamIdle = 2 * time.Minute
	silent     = "The stream was silent for two minutes"
)

// The numbers of the fields of ModelStreamInferResponse.
const (
	streamError    protowire.Number = 1
	streamResponse protowire.Number = 2
)

// modelStreamInfer answers each message of a stream by itself. What is wrong with
// one is told in its answer, and the stream goes on.
func (c *call) modelStreamInfer() error {
	c.sendHeader()
	for first := true; ; first = false {
		m, err := c.next()
		if ended(err) {
			return nil
		}
		if err != nil {
			return c.received(err)
		}
		c.messages++
		if err := m.serveMessage(first); err != nil {
			return err
		}
	}
}

// next waits for the next message of a stream.
func (c *call) next() (*call, error) {
	m := *c
	m.answer, m.claimed, m.bytes = nil, 0, 0
	c.arrival.allow(streamIdle)
	idle := c.arrival.endLater(streamIdle, silent)
	c.api.waiting.begin(c.arrival)
	err := c.stream.RecvMsg(&m.message)
	c.api.waiting.done(c.arrival)
	idle.Stop()
	m.start = c.api.cfg.Now()
	m.info.Received, m.info.Limits, m.info.Recorded, m.info.Throttled = m.start, nil, reqctx.Nothing, 0
	m.info.Trace = c.api.cfg.Traces.Next(c.info.Trace, c.messages == 0)
	m.ctx = reqctx.With(c.stream.Context(), &m.info)
	c.arrival.allow(workTime)
	return &m, err
}

// serveMessage answers one message of a stream, of which the first was admitted
// with the stream. An error is one of sending.
func (c *call) serveMessage(first bool) error {
	a, failure := c.streamed(first)
	if failure != nil {
		c.release()
		c.api.cfg.Admission.Refuse(c.ctx, fault.As(failure))
		f := c.settle(failure)
		s := statusOf(f)
		a = streamFault(s.Message() + comeBack(f))
		c.observe(s.Code(), f)
	} else {
		c.observe(0, nil)
	}
	unread := c.arrival.endLater(workTime, "The answer was not read in 30 seconds")
	defer unread.Stop()
	return c.send(a)
}

// comeBack says when to try again, where that is known: an answer of a stream has no
// metadata of its own.
func comeBack(f *fault.Error) string {
	if f.RetryAfter <= 0 {
		return ""
	}
	return " (retry-after: " + f.RetrySeconds() + ")"
}

// streamed is what serves a message: it passes what a call passes.
func (c *call) streamed(first bool) (a answer, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = c.panicked(v)
		}
	}()
	if err := c.api.cfg.Audit.Err(); err != nil {
		return answer{}, err
	}
	gate, kind := c.api.cfg.Admission, c.method.kind()
	if !first {
		if err := gate.Address(c.ctx, kind, c.info.ClientAddr); err != nil {
			return answer{}, err
		}
	}
	if err := c.authenticate(); err != nil {
		gate.Failed(c.ctx, kind, c.info.ClientAddr, err)
		return answer{}, err
	}
	if !first {
		if err := gate.Principal(c.ctx, kind, c.principal); err != nil {
			return answer{}, err
		}
	}
	if err := c.permit(); err != nil {
		return answer{}, err
	}
	if err := c.claim(); err != nil {
		return answer{}, err
	}
	return c.infer(newStreamAnswer)
}

// newStreamAnswer is a ModelStreamInferResponse that holds a response.
func newStreamAnswer(r *oip.ProtobufResponse) answer {
	size := protowire.SizeTag(streamResponse) + protowire.SizeBytes(r.Size())
	return newAnswer(size, func(b []byte) []byte {
		b = protowire.AppendTag(b, streamResponse, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(r.Size())) //nolint:gosec // G115: not negative
		return r.Append(b)
	})
}

// streamFault is a ModelStreamInferResponse that says what is wrong.
func streamFault(text string) answer {
	return newAnswer(protowire.SizeTag(streamError)+protowire.SizeBytes(len(text)), func(b []byte) []byte {
		return protowire.AppendString(protowire.AppendTag(b, streamError, protowire.BytesType), text)
	})
}
