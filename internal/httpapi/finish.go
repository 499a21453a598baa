package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"

	"onnxgate/internal/audit"
	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/telemetry"
	"onnxgate/internal/telemetry/tracing"
)

// fail renders a fault in the format, once.
func (x *exchange) fail(ctx context.Context, format ErrorFormat, err error) {
	if failed := x.onRecord(ctx, err); failed != nil {
		err = failed
	}
	f := x.lateFor(fault.Classify(err))
	x.refused, x.kind = true, f.Kind
	telemetry.LogFault(ctx, x.listener.api.cfg.Log, f, err)
	if x.status != 0 {
		return // too late: the answer has begun
	}
	x.refuseBody()
	x.releaseBody()
	x.listener.api.cfg.Admission.Refuse(ctx, f)
	if f.Kind == fault.RateLimited {
		f = x.wait(f)
	}
	x.render(format, f)
}

// onRecord keeps a record of a request that is refused. The fault is of a refusal
// that must not be answered.
func (x *exchange) onRecord(ctx context.Context, err error) error {
	r := audit.Refusal{Principal: x.principal, About: x.about, Err: err}
	if x.route != nil {
		r.Object = x.route.name
	}
	return x.listener.api.cfg.Audit.Refuse(ctx, &r)
}

// refuseBody keeps net/http from waiting for a body that the client announced
// with "Expect: 100-continue" and that nobody asked for: the answer closes the
// connection.
func (x *exchange) refuseBody() {
	if x.body == nil && x.request.ProtoMajor == 1 && x.request.Header["Expect"] != nil {
		// Where deadlines cannot be set, the server's own ends the wait.
		_ = http.NewResponseController(x.ResponseWriter).SetReadDeadline(x.start)
	}
}

// finish ends every request: it turns a panic into an answer, counts, and
// writes the access line.
func (x *exchange) finish(ctx context.Context, v any) {
	answered := v == nil
	if v != nil && v != http.ErrAbortHandler { //nolint:errorlint // the value that net/http itself compares
		answered = x.panicked(ctx, v)
	}
	x.releaseBody()
	x.listener.api.params.Put(x.params)
	x.observe()
	if !answered {
		panic(http.ErrAbortHandler) // the answer is cut off: let the client see it
	}
}

// panicked logs a defect with its stack and answers 500. It reports false when
// that is too late, because the answer has begun.
func (x *exchange) panicked(ctx context.Context, v any) bool {
	x.listener.api.cfg.Log.LogAttrs(ctx, slog.LevelError, "panic",
		slog.String("request_id", x.info.RequestID), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
	f := fault.New(fault.Internal, "")
	if failed := x.onRecord(ctx, f); failed != nil {
		f = fault.As(failed)
	}
	x.refused, x.kind = true, f.Kind
	if x.status != 0 {
		return false
	}
	x.render(x.format(), f)
	return true
}

func (x *exchange) format() ErrorFormat {
	if x.route != nil {
		return x.route.Errors
	}
	return x.listener.router.unknown(x.request.URL.Path)
}

// observe counts the request and writes its access line.
func (x *exchange) observe() {
	a := x.listener.api
	took := a.cfg.Now().Sub(x.start)
	line := telemetry.Access{
		Time: x.start, Duration: took, Method: x.request.Method, Path: authn.WithoutCredential(x.request.URL.Path),
		Status: x.status, Bytes: x.bytes, RequestID: x.info.RequestID,
		ClientRequestID: x.info.ClientRequestID, TraceID: x.info.Trace.TraceID(), Client: x.info.ClientAddr,
		Model: x.about.Model, Version: x.about.Version,
	}
	metrics := x.listener.unmatched
	if x.route != nil {
		line.Route, metrics = x.route.Pattern, x.route.metrics
		if x.route.Operation && x.status == http.StatusOK {
			line.Level = slog.LevelDebug // balancers ask several times a second
		}
	}
	if x.principal != nil {
		line.Subject, line.Issuer = x.principal.Subject, x.principal.Issuer
		x.observeTenant(a.cfg.Metrics.Tenant(x.principal.Tenant))
	}
	if x.refused {
		line.Reason = telemetry.Reason(x.kind)
		a.cfg.Metrics.Refused(x.kind)
	}
	metrics.Observe(x.status, took)
	a.cfg.AccessLog.Log(&line)
	if x.info.Trace.Recorded() {
		r := x.request
		a.cfg.Traces.EndHTTP(x.info.Trace, &line, &tracing.Arrival{
			Encrypted: r.TLS != nil, Host: r.Host, UserAgent: authn.WithoutCredential(r.UserAgent()), Major: r.ProtoMajor, Minor: r.ProtoMinor,
		})
	}
}

func (x *exchange) observeTenant(t *telemetry.TenantMetrics) {
	if x.refused {
		t.Refused(x.kind)
		return
	}
	t.Answered()
}
