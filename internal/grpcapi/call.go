package grpcapi

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"onnxgate/internal/admission"
	"onnxgate/internal/audit"
	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/telemetry"
)

// call is one call and its answer; of a stream of predictions, each message is
// one, with what they share copied from the stream's own.
type call struct {
	api     *API
	method  *method
	stream  grpc.ServerStream
	ctx     context.Context //nolint:containedctx // it lives as long as the call
	arrival *arrival
	peer    *peerInfo
	info    reqctx.Info

	principal *identity.Principal
	// further are credentials that count where the model asks for them.
	further authn.Credentials

	start    time.Time
	message  message
	claimed  int64        // of the memory for messages
	claimant limit.Holder // for whom
	settled  *fault.Error // of one that was ended while its message was on its way
	bytes    int          // of the answer
	messages int          // of a stream, each of which was observed
	asked    audit.About  // for the access line and the record
	answer   metadata.MD  // header that is not sent yet
}

// handler serves a method from the header of a call on.
func (a *API) handler(m *method) grpc.StreamHandler {
	return func(_ any, s grpc.ServerStream) (err error) {
		c := a.begin(m, s)
		defer func() { err = c.finish(recover(), err) }()
		if err = c.admit(); err != nil {
			return err
		}
		holder := c.holder()
		if !m.enter(holder) {
			return &fault.Error{Kind: fault.Unavailable, RetryAfter: time.Second, Msg: "Too many streams are open at once; send single requests, or try again"}
		}
		defer m.leave(holder)
		return m.serve(c)
	}
}

// begin notes what is known at the header.
func (a *API) begin(m *method, s grpc.ServerStream) *call {
	ctx := s.Context()
	c := &call{api: a, method: m, stream: s, start: a.cfg.Now(), arrival: arrivalOf(ctx), peer: peerOf(ctx)}
	c.arrival.stream, _ = grpc.ServerTransportStreamFromContext(ctx).(statusWriter)
	h := c.arrival.header
	c.info = reqctx.Info{
		Received: c.start, ClientRequestID: reqctx.ClientRequestID(h["x-request-id"]),
		ClientAddr: reqctx.Proxies(a.cfg.TrustedProxies).ClientAddr(c.peer.addr, h["x-forwarded-for"], h["forwarded"]),
		Trace:      a.cfg.Traces.Begin(h["traceparent"], h["tracestate"]),
	}
	c.ctx = reqctx.With(ctx, &c.info)
	return c
}

// admit takes a call through the checks of its method, in the one order: rate,
// certificate, credential, its own rate, permission.
func (c *call) admit() error {
	id, err := c.api.ids.Next()
	if err != nil {
		return fault.Wrap(fault.Unavailable, "", err)
	}
	c.info.RequestID = id
	c.answer = metadata.MD{"x-request-id": {id}}
	if t := c.info.Trace; t != nil && t.Propagate {
		c.answer["traceparent"] = []string{t.TraceParent()}
	}
	if !c.method.open {
		if err := c.api.cfg.Audit.Err(); err != nil {
			return err
		}
	}
	gate, kind := c.api.cfg.Admission, c.method.kind()
	if err := gate.Address(c.ctx, kind, c.info.ClientAddr); err != nil || c.method.open {
		return err
	}
	if err := c.authenticate(); err != nil {
		gate.Failed(c.ctx, kind, c.info.ClientAddr, err)
		return err
	}
	if err := gate.Principal(c.ctx, kind, c.principal); err != nil {
		return err
	}
	return c.permit()
}

// kind is the rate that the method counts against.
func (m *method) kind() admission.Kind {
	switch {
	case m.predicts:
		return admission.Predict
	case !m.open && !m.changes:
		return admission.Read
	}
	return admission.None
}

// tellLimits adds what is left of the limits that the call was counted against to
// the answer's metadata, in the form of draft-ietf-httpapi-ratelimit-headers.
func (c *call) tellLimits() {
	if c.principal != nil {
		asked := c.presented()
		c.api.cfg.Admission.Remember(&asked, c.info.Limits, 0)
	}
	for i := range c.info.Limits {
		one := c.info.Limits[i : i+1]
		c.answer.Append("ratelimit-policy", string(limit.AppendPolicies(nil, one)))
		c.answer.Append("ratelimit", string(limit.AppendStates(nil, one)))
	}
}

// fields returns the metadata that may present a credential.
func (c *call) fields() authn.Fields {
	h := c.arrival.header
	return authn.Fields{Authorization: h["authorization"], APIKey: h["x-api-key"], OtherAPIKey: h["api-key"]}
}

// presented is what may be said about the call before its credential is looked at.
func (c *call) presented() admission.Asked {
	fields := c.fields()
	asked := admission.Asked{Credential: fields.Claimed(), Target: c.method.name}
	if all := c.peer.certificates; len(all) > 0 {
		asked.Certificate = all[0].Raw
	}
	return asked
}

// lateFor returns the fault of a call, told apart from our own timeouts where it is
// the client's deadline that has passed.
func (c *call) lateFor(f *fault.Error) *fault.Error {
	at, ok := c.arrival.Deadline() // the client's alone: ours is in Err
	if f.Kind != fault.Timeout || !ok || c.api.cfg.Now().Before(at) {
		return f
	}
	told := *f
	told.Kind = fault.ClientDeadline
	return &told
}

// wait returns the fault of a call; of one that a limit refused with how long all of
// them need.
func (c *call) wait(f *fault.Error) *fault.Error {
	if f.Kind != fault.RateLimited {
		return f
	}
	gate, asked := c.api.cfg.Admission, c.presented()
	told := *f
	told.RetryAfter = gate.RetryAfter(c.ctx, &asked, f.RetryAfter)
	if c.principal != nil {
		gate.Remember(&asked, nil, told.RetryAfter)
	}
	return &told
}

// authenticate proves who calls.
func (c *call) authenticate() error {
	began := c.info.Trace.Begin()
	err := c.prove()
	c.info.Trace.End(reqctx.Authenticate, began, err)
	return err
}

func (c *call) prove() error {
	cfg := &c.api.cfg
	if err := c.peer.trust.Check(cfg.Trust, c.peer.certificates, c.info.Received); err != nil {
		return err
	}
	presented, err := authn.Read(c.fields())
	if err != nil {
		return err
	}
	presented.Certificates = c.peer.certificates
	caller, further, err := authn.First(c.ctx, cfg.Authenticator, presented, c.method.ofModel)
	if err != nil {
		return err
	}
	c.principal, c.further = caller, further
	return nil
}

// permit refuses a caller who may not use the method, or not now.
func (c *call) permit() error {
	began := c.info.Trace.Begin()
	var err error
	if !c.api.cfg.Roles.Permits(c.principal, c.method.permission) {
		err = fault.New(fault.Forbidden, "Operation not permitted")
	} else if c.method.changes {
		err = authn.Vouched(c.ctx, c.api.cfg.Issuers, c.principal)
	}
	if err != nil || !c.method.predicts {
		c.info.Trace.End(reqctx.Authorize, began, err) // else the rules of the model are that part
	}
	return err
}

// renew proves again who calls, when the message was long on its way: what
// counted at its first byte may have expired or been revoked before its last.
// The call counts as received only now.
func (c *call) renew() error {
	now := c.api.cfg.Now()
	if c.method.open || now.Sub(c.info.Received) < provenFor {
		return nil
	}
	c.info.Received = now
	if err := c.authenticate(); err != nil {
		return err
	}
	return c.permit()
}

// layer adds the further credentials that the model asks for to the caller.
func (c *call) layer(model, version string) error {
	if c.further.Empty() {
		return nil
	}
	required := c.api.cfg.Models.Requires(c.principal, model, version)
	caller, err := authn.Beside(c.ctx, c.api.cfg.Authenticator, c.principal, c.further, required)
	if err != nil || caller == c.principal {
		return err
	}
	c.principal = caller
	if err := c.api.cfg.Admission.Credential(c.ctx, caller.With); err != nil {
		return err
	}
	return c.permit()
}

// send answers with a message.
func (c *call) send(answer any) error {
	c.sendHeader()
	return sent(c.stream.SendMsg(answer))
}

// sendHeader hands on the answer's metadata, once.
func (c *call) sendHeader() {
	if c.answer != nil {
		c.tellLimits()
		_ = c.stream.SetHeader(c.answer) // too late: the stream has ended
		c.answer = nil
	}
}

// finish ends every call: it turns a panic or a fault into a status, counts, and
// writes the access line.
func (c *call) finish(v any, err error) error {
	if v != nil {
		err = c.panicked(v)
	}
	c.release()
	if err == nil && c.messages > 0 {
		return nil // each was observed
	}
	if err == nil && !c.method.open {
		err = c.api.cfg.Audit.Look(c.ctx, audit.ModelRead, c.principal, &c.asked)
	}
	if err == nil {
		c.observe(codes.OK, nil)
		return nil
	}
	f := c.settled
	if f == nil {
		c.api.cfg.Admission.Refuse(c.ctx, fault.As(err))
		f = c.settle(err)
	}
	s := statusOf(f)
	c.observe(s.Code(), f)
	return s.Err()
}

// panicked logs a defect with its stack, and returns what is told of it.
func (c *call) panicked(v any) error {
	c.api.cfg.Log.LogAttrs(c.ctx, slog.LevelError, "panic",
		slog.String("request_id", c.info.RequestID), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
	return fault.New(fault.Internal, "")
}

// settle keeps the record of a call that failed, and returns what the client is told,
// with the answer's metadata on their way where they are not yet.
func (c *call) settle(err error) *fault.Error {
	if failed := c.refuse(err); failed != nil {
		err = failed
	}
	f := c.wait(c.lateFor(fault.Classify(err)))
	telemetry.LogFault(c.ctx, c.api.cfg.Log, f, err)
	if f.RetryAfter > 0 && c.answer != nil {
		c.answer.Set("retry-after", f.RetrySeconds())
	}
	c.sendHeader()
	return f
}

// refuse keeps a record of a call that is refused. The fault is of a refusal that
// must not be answered.
func (c *call) refuse(err error) error {
	return c.api.cfg.Audit.Refuse(c.ctx, &audit.Refusal{Principal: c.principal, Object: c.method.name, About: c.asked, Err: err})
}

// observe counts the call and writes its access line; f is nil for one that was
// served.
func (c *call) observe(code codes.Code, f *fault.Error) {
	cfg := &c.api.cfg
	took := cfg.Now().Sub(c.start)
	line := telemetry.Access{
		Time: c.start, Duration: took, Method: "gRPC", Route: c.method.name, Path: c.path(),
		Status: int(code), Bytes: int64(c.bytes), RequestID: c.info.RequestID,
		ClientRequestID: c.info.ClientRequestID, TraceID: c.info.Trace.TraceID(), Client: c.info.ClientAddr, Model: c.asked.Model, Version: c.asked.Version,
	}
	if c.principal != nil {
		line.Subject, line.Issuer = c.principal.Subject, c.principal.Issuer
		observeTenant(cfg.Metrics.Tenant(c.principal.Tenant), f)
	}
	if f == nil && c.method.open && !c.method.streams {
		line.Level = slog.LevelDebug // health: balancers ask several times a second
	}
	if f != nil {
		line.Reason = telemetry.Reason(f.Kind)
		cfg.Metrics.Refused(f.Kind)
	}
	c.method.metrics.Observe(int(code), took)
	cfg.AccessLog.Log(&line)
	cfg.Traces.EndRPC(c.info.Trace, &line, c.method != c.api.unknown)
}

func observeTenant(t *telemetry.TenantMetrics, f *fault.Error) {
	if f != nil {
		t.Refused(f.Kind)
		return
	}
	t.Answered()
}

// path returns what was called, cut off where somebody has put a credential into it.
func (c *call) path() string {
	if c.method != c.api.unknown {
		return c.method.path
	}
	path, _ := grpc.Method(c.ctx)
	return authn.WithoutCredential(path)
}

// noMethod answers for what is not in the table.
func (*call) noMethod() error {
	return fault.New(fault.MethodNotAllowed, "There is no such method")
}
