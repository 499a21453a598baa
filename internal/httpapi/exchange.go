package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"

	"onnxgate/internal/admission"
	"onnxgate/internal/audit"
	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/telemetry/tracing"
)

// exchange is one request and its answer. It is the http.ResponseWriter that
// everything below the listener writes to, so that no answer escapes the access
// line. It lives as long as the answer's header, which refers to its memory,
// and is therefore never used again.
type exchange struct {
	http.ResponseWriter

	listener  *Listener
	request   *http.Request
	route     *endpoint    // nil before routing and when nothing matched
	params    *chi.Context // of the path
	info      reqctx.Info
	principal *identity.Principal
	// renewed says that the principal was proven again after the body.
	renewed bool
	// credential says that the request carried one, good or bad.
	credential bool

	ctx      requestContext
	start    time.Time
	promised time.Time // the client's deadline, where that is earlier than the route's
	status   int
	bytes    int64
	refused  bool
	kind     fault.Kind  // of the refusal
	about    audit.About // for the access line and the record
	body     *buffer
	claimed  int64        // of the budget for bodies
	claimant limit.Holder // for whom
	streamed int64        // the length of a body that was read as it came

	limits [2]reqctx.Limit // memory for most requests

	idValue, rateValue, lengthValue [1]string // of headers
}

// ServeHTTP serves every request of a listener.
func (l *Listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 2 {
		l.serve(w, r)
		return
	}
	out := http.NewResponseController(w)
	place, ok := l.api.cfg.Streams.Enter(r.RemoteAddr, func() {
		_ = out.SetWriteDeadline(time.Unix(0, 0)) // resets the stream
	})
	if !ok {
		panic(http.ErrAbortHandler) // an answer would be one more that nobody takes
	}
	defer place.Leave()
	l.serve(w, r)
	_ = out.Flush() // until the client has taken it, or the time to write is over
}

// serve sets what every answer has, refuses what no route should see, and leaves the
// rest to the route.
func (l *Listener) serve(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, listener: l, request: r, start: l.api.cfg.Now(), params: l.api.newParams()}
	x.info.Trace = l.api.cfg.Traces.Begin(r.Header[tracing.HeaderParent], r.Header[tracing.HeaderState])
	ctx := x.within(r.Context())
	defer func() { x.finish(ctx, recover()) }()
	if err := l.admit(x, r); err != nil {
		x.fail(ctx, l.router.format(r.URL.Path), err)
		return
	}
	if x.route = l.router.find(x.params, r); x.route == nil {
		l.router.noRoute(ctx, x)
		return
	}
	x.allowOrigin()
	x.ctx.at = x.start.Add(x.route.Timeout)
	defer x.ctx.release()
	if err := x.route.serve(ctx, x); err != nil {
		x.fail(ctx, x.route.Errors, err)
	}
}

// within returns the request's own context in that of the connection.
func (x *exchange) within(parent context.Context) context.Context {
	x.ctx.now, x.info.Received, x.info.Limits = x.listener.api.cfg.Now, x.start, x.limits[:0]
	x.ctx.Context = reqctx.With(parent, &x.info) //nolint:fatcontext // set once, for the life of the request
	return &x.ctx
}

// admit gives the request its id, its client's address and the headers of its
// answer, and checks what concerns all routes.
func (l *Listener) admit(x *exchange, r *http.Request) error {
	h := x.Header()
	secure(h)
	if l.api.withdrawn.Load() || ambiguousEnd(r) {
		h["Connection"] = closing
	}
	local := isLoopbackHost(r.Host)
	misdirected := l.loopbackOnly && !local
	if r.TLS != nil && !local && !misdirected {
		// Not for a name that is not ours to bind to HTTPS.
		h["Strict-Transport-Security"] = hsts
	}
	x.info.ClientAddr = clientAddr(l.api.cfg.TrustedProxies, r)
	x.info.Gone = goneOf(r)
	x.info.ClientRequestID = reqctx.ClientRequestID(r.Header["X-Request-Id"])
	id, err := l.api.ids.Next()
	if err != nil {
		return fault.Wrap(fault.Unavailable, "", err)
	}
	x.info.RequestID, x.idValue[0] = id, id
	h["X-Request-Id"] = x.idValue[:]
	if t := x.info.Trace; t != nil && t.Propagate {
		h[tracing.HeaderParent] = []string{t.TraceParent()}
	}
	if misdirected {
		return fault.New(fault.Misdirected, "")
	}
	if l.origins != nil {
		// Whatever a browser adds by itself, a certificate above all, must not
		// let another site administer anything (OWASP ASVS 3.5.3).
		if err := l.origins.Check(r); err != nil {
			return fault.Wrap(fault.Forbidden, "Pages of other sites may change nothing here", err)
		}
	}
	if len(r.RequestURI) > maxTarget {
		return fault.Newf(fault.BadRequest, "The path and the query must have at most %d bytes", maxTarget)
	}
	if oversized(r.Header) {
		return fault.Newf(fault.BadRequest, "The header must have at most %d fields, and %d bytes", maxFields, maxHeader)
	}
	if path, ok := canonicalPath(r.RequestURI); !ok && !l.router.isException(path) {
		return fault.New(fault.BadRequest, "The path must be written in its one form: no trailing or double slash, no dot segment, nothing percent-encoded")
	}
	return nil
}

// noRoute answers a request that no route takes: a preflight, a path that does
// not exist, or a method that the path does not have.
func (r *router) noRoute(ctx context.Context, x *exchange) {
	req := x.request
	methods := r.allowed(req.URL.Path)
	fromPage := x.allowOrigin()
	switch {
	case len(methods) == 0:
		x.fail(ctx, r.unknown(req.URL.Path), r.nothingAt(req.URL.Path))
	case fromPage && isPreflight(req):
		x.preflight(methods)
	default:
		x.Header()["Allow"] = []string{join(methods)}
		x.fail(ctx, r.format(req.URL.Path), fault.New(fault.MethodNotAllowed, "This path takes "+join(methods)))
	}
}

// serve takes a request through the checks of its route, in the one order: audit,
// rate, credential, permission; then the handler.
func (e *endpoint) serve(ctx context.Context, x *exchange) error {
	gate := e.api.cfg.Admission
	if !e.Operation {
		if err := e.api.cfg.Audit.Err(); err != nil {
			return err
		}
	}
	deadline := x.promise() // before anything waits; its fault has its own place below
	if err := gate.Address(ctx, e.rate, x.info.ClientAddr); err != nil {
		return err
	}
	if e.Auth == Bearer {
		var err error
		began := x.info.Trace.Begin()
		x.principal, err = e.api.authenticate(ctx, x)
		x.info.Trace.End(reqctx.Authenticate, began, err)
		if err != nil {
			gate.Failed(ctx, e.rate, x.info.ClientAddr, err)
			return err
		}
		if err := gate.Principal(ctx, e.rate, x.principal); err != nil {
			return err
		}
		began = x.info.Trace.Begin()
		if err = e.permit(x.principal); err == nil && e.changes {
			err = authn.Vouched(ctx, e.api.cfg.Issuers, x.principal)
		}
		if err != nil || !e.opensModel() {
			x.info.Trace.End(reqctx.Authorize, began, err) // else the rules of the model are that part
		}
		if err != nil {
			return err
		}
	}
	if deadline != nil {
		return deadline
	}
	if err := e.Handler(e.api, ctx, x); err != nil || e.Auth != Bearer {
		return err
	}
	return x.look(ctx)
}

// look keeps a record of a request that was answered and left none. Where there
// can be none, the answer is cut off.
func (x *exchange) look(ctx context.Context) error {
	err := x.listener.api.cfg.Audit.Look(ctx, x.route.Look, x.principal, &x.about)
	if err != nil && x.status != 0 {
		x.refused, x.kind = true, fault.Unavailable
		panic(http.ErrAbortHandler)
	}
	return err
}

// opensModel reports whether the handler opens a model, by its own rules.
func (e *endpoint) opensModel() bool { return e.OfModel && e.Permission == identity.ModelsPredict }

// tellLimits says in the header of the answer what is left of the limits that the
// request was counted against.
func (x *exchange) tellLimits() {
	limits := x.info.Limits
	if len(limits) == 0 {
		return
	}
	if x.principal != nil && admission.Lasting(limits) {
		asked := x.asked()
		x.listener.api.cfg.Admission.Remember(&asked, limits, 0)
	}
	h := x.Header()
	h["RateLimit-Policy"] = x.listener.api.policies.field(limits)
	var memory [128]byte
	x.rateValue[0] = string(limit.AppendStates(memory[:0], limits))
	h["RateLimit"] = x.rateValue[:]
}

// policies remembers the last RateLimit-Policy field, which most answers share.
type policies struct{ last atomic.Pointer[policyField] }

type policyField struct {
	of    []reqctx.Limit
	value []string
}

func (p *policies) field(limits []reqctx.Limit) []string {
	if last := p.last.Load(); last != nil && limit.SamePolicies(last.of, limits) {
		return last.value
	}
	next := &policyField{of: slices.Clone(limits), value: []string{string(limit.AppendPolicies(nil, limits))}}
	p.last.Store(next)
	return next.value
}

// addHeader adds an element to a header that is a list (RFC 9110 section 5.3),
// whose value may be shared.
func (x *exchange) addHeader(name, element string) {
	h := x.Header()
	if present := h[name]; len(present) > 0 {
		element = present[0] + ", " + element
	}
	h[name] = []string{element}
}

// permit refuses a caller who may not use the route.
func (e *endpoint) permit(caller *identity.Principal) error {
	switch {
	case e.Permission == "" || e.api.cfg.Roles.Permits(caller, e.Permission):
		return nil
	case !caller.HasScope(e.Permission):
		return &fault.Error{Kind: fault.Forbidden, Code: codeInsufficientScope, Msg: "Operation not permitted"}
	}
	return fault.New(fault.Forbidden, "Operation not permitted")
}

// allowOrigin adds the CORS headers, if the request is from an allowed origin.
func (x *exchange) allowOrigin() bool {
	l := x.listener
	return l.public && l.api.dynamic.Load().cors.allow(x.Header(), x.request)
}

// countedByServer is the length up to which net/http itself finds out how long
// an answer is.
const countedByServer = 2048

// param returns a parameter of the path, empty when the route has none of that
// name.
func (x *exchange) param(name string) string { return x.params.URLParam(name) }

// send writes a whole answer.
func (x *exchange) send(status int, body []byte) {
	if len(body) > countedByServer || x.request.ProtoMajor == 2 { // where it is flushed before its end
		x.lengthValue[0] = strconv.Itoa(len(body))
		x.Header()["Content-Length"] = x.lengthValue[:]
	}
	x.WriteHeader(status)
	_, _ = x.Write(body) // a client that does not read is no fault of ours
}

// sendJSON writes a whole JSON answer, 200.
func (x *exchange) sendJSON(body []byte) { x.sendOK(typeJSON, body) }

// sendOK writes a whole answer of a type, 200.
func (x *exchange) sendOK(contentType []string, body []byte) {
	x.Header()["Content-Type"] = contentType
	x.send(http.StatusOK, body)
}

// WriteHeader remembers the status.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && status >= http.StatusOK {
		x.status = status
		x.tellLimits()
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
		x.tellLimits()
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }
