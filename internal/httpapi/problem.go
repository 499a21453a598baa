package httpapi

import (
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"onnxgate/internal/fault"
	"onnxgate/internal/oauth"
	"onnxgate/internal/reqctx"
)

// statusClientClosed is what the log shows for a client that went away. No
// client ever reads it.
const statusClientClosed = 499

// problem is how one kind of fault looks from outside.
type problem struct {
	status int
	// slug ends the type of problem+json (RFC 9457 section 3.1.1); the list is
	// closed, and docs/errors.md has an anchor for each.
	slug  string
	title string
	// oauth is the error code of RFC 6749 section 5.2 when the fault has none
	// of its own.
	oauth string
	// detail is shown when the fault has no message.
	detail string
}

// problems holds one entry for each fault.Kind.
var problems = map[fault.Kind]problem{
	fault.Internal:         {http.StatusInternalServerError, "internal-error", "Internal error", "server_error", "The server failed. The request id finds the reason in its log"},
	fault.Misdirected:      {http.StatusMisdirectedRequest, "misdirected-request", "Misdirected request", "invalid_request", "This server answers only on its own machine; call it as localhost or 127.0.0.1"},
	fault.BadRequest:       {http.StatusBadRequest, "bad-request", "Bad request", "invalid_request", "The request is malformed"},
	fault.NotFound:         {http.StatusNotFound, "not-found", "Not found", "invalid_request", "There is nothing at this path"},
	fault.MethodNotAllowed: {http.StatusMethodNotAllowed, "method-not-allowed", "Method not allowed", "invalid_request", "The path has other methods; Allow lists them"},
	fault.RateLimited:      {http.StatusTooManyRequests, "rate-limited", "Too many requests", "temporarily_unavailable", "Wait as long as Retry-After says"},
	fault.QuotaExceeded:    {http.StatusTooManyRequests, "quota-exceeded", "Quota exceeded", "temporarily_unavailable", "A quota is used up until its period ends, as Retry-After says"},
	fault.Unauthenticated:  {http.StatusUnauthorized, "unauthenticated", "Unauthenticated", "invalid_client", "Send a valid access token: Authorization: Bearer TOKEN"},
	fault.Forbidden:        {http.StatusForbidden, "forbidden", "Forbidden", "unauthorized_client", "Operation not permitted"},
	fault.UnsupportedMedia: {http.StatusUnsupportedMediaType, "unsupported-media-type", "Unsupported media type", "invalid_request", "The body has a type that is not read here"},
	fault.TooLarge:         {http.StatusRequestEntityTooLarge, "too-large", "Too large", "invalid_request", "The body is too large"},
	fault.Syntax:           {http.StatusBadRequest, "invalid-syntax", "Invalid syntax", "invalid_request", "The body cannot be parsed"},
	fault.Content:          {http.StatusUnprocessableEntity, "invalid-content", "Invalid content", "invalid_request", "The body is not valid"},
	fault.Undecryptable:    {http.StatusBadRequest, "decryption-failed", "Decryption failed", "invalid_request", "Decryption failed"},
	fault.Conflict:         {http.StatusConflict, "conflict", "Conflict", "invalid_request", "The request contradicts the present state"},
	fault.Unsupported:      {http.StatusNotImplemented, "not-implemented", "Not implemented", "invalid_request", "This server does not have this part of the protocol"},
	fault.Unavailable:      {http.StatusServiceUnavailable, "unavailable", "Unavailable", "temporarily_unavailable", "The server cannot do this for now; try again"},
	fault.Overloaded:       {http.StatusServiceUnavailable, "overloaded", "Overloaded", "temporarily_unavailable", "More is asked for than this server can do; wait as long as Retry-After says"},
	fault.Timeout:          {http.StatusServiceUnavailable, "timeout", "Timeout", "temporarily_unavailable", "The work was not done in time; try again"},
	fault.ClientDeadline:   {http.StatusServiceUnavailable, "timeout", "Timeout", "temporarily_unavailable", "The deadline that the request set has passed"},
	fault.Canceled:         {statusClientClosed, "canceled", "Canceled", "invalid_request", "The client went away"},
}

// problemOf returns how a kind looks; an unknown one is internal.
func problemOf(kind fault.Kind) problem {
	if p, ok := problems[kind]; ok {
		return p
	}
	return problems[fault.Internal]
}

// ErrorFormat is how a route tells of its faults.
type ErrorFormat uint8

// The formats.
const (
	// Problem is application/problem+json (RFC 9457).
	Problem ErrorFormat = iota
	// OAuth is the error response of RFC 6749 section 5.2.
	OAuth
	// Inference is {"error": "…"} of the Open Inference Protocol and of KServe's V1.
	Inference
)

// render writes the answer to a fault in the format. No cause, path or type
// name of ours reaches it: only the fault's message, code and fields.
func (x *exchange) render(format ErrorFormat, f *fault.Error) {
	p := problemOf(f.Kind)
	header := x.Header()
	x.challenge(format, f)
	switch {
	case f.RetryAfter > 0:
		header["Retry-After"] = []string{f.RetrySeconds()}
	case p.status == http.StatusServiceUnavailable:
		header["Retry-After"] = retrySoon
	}
	buf := buffers.Get()
	defer buffers.Put(buf)
	switch format {
	case OAuth:
		header["Content-Type"] = typeJSON
		buf.B = appendOAuthError(buf.B, p, f)
	case Inference:
		header["Content-Type"] = typeJSON
		p.status, buf.B = x.appendInferenceError(buf.B, p, f)
	case Problem:
		header["Content-Type"] = typeProblem
		buf.B = appendProblem(buf.B, p, f, &x.info)
	}
	x.send(p.status, buf.B)
}

func appendProblem(b []byte, p problem, f *fault.Error, info *reqctx.Info) []byte {
	b = append(b, `{"type":"/problems/`...)
	b = append(b, p.slug...)
	b = append(b, `","title":"`...)
	b = append(b, p.title...)
	b = append(b, `","status":`...)
	b = strconv.AppendInt(b, int64(p.status), 10)
	b = append(b, `,"detail":`...)
	b = appendText(b, message(p, f))
	b = append(b, `,"request_id":"`...)
	b = append(b, info.RequestID...)
	b = append(b, '"')
	if info.Trace != nil {
		b = append(b, `,"trace_id":"`...)
		b = append(hex.AppendEncode(b, info.Trace.ID[:]), '"')
	}
	if len(f.Fields) > 0 {
		b = append(b, `,"errors":[`...)
		for i, field := range f.Fields[:min(len(f.Fields), fault.MaxFields)] {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendField(b, &field)
		}
		b = append(b, ']')
	}
	if f.Truncated || len(f.Fields) > fault.MaxFields {
		b = append(b, `,"truncated":true`...)
	}
	return append(b, '}', '\n')
}

// appendField appends a fault in a body: where it is, and what is allowed.
func appendField(b []byte, f *fault.Field) []byte {
	if f.Line == 0 {
		b = append(b, `{"pointer":`...)
		b = appendText(b, f.Pointer)
	} else {
		b = append(b, `{"line":`...)
		b = strconv.AppendInt(b, int64(f.Line), 10)
		if f.Column > 0 {
			b = append(b, `,"column":`...)
			b = strconv.AppendInt(b, int64(f.Column), 10)
		}
		if f.Name != "" {
			b = append(b, `,"name":`...)
			b = appendText(b, f.Name)
		}
	}
	b = append(b, `,"detail":`...)
	b = appendText(b, f.Detail)
	return append(b, '}')
}

func appendOAuthError(b []byte, p problem, f *fault.Error) []byte {
	code := f.Code
	if code == "" {
		code = p.oauth
	}
	b = append(b, `{"error":`...)
	b = appendText(b, code)
	b = append(b, `,"error_description":`...)
	b = appendText(b, describable(message(p, f)))
	return append(b, '}', '\n')
}

// message returns what the client may read about the fault.
func message(p problem, f *fault.Error) string { return f.Text(p.detail) }

// describable makes s fit for error_description, which has no quotation marks,
// no backslash, and nothing beyond ASCII (RFC 6749 section 5.2).
func describable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\\':
			return '\''
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, s)
}

// appendText appends s as a JSON string.
func appendText(b []byte, s string) []byte {
	if quoted, err := jsontext.AppendQuote(b, s); err == nil {
		return quoted
	}
	quoted, err := jsontext.AppendQuote(b, strings.ToValidUTF8(s, "\uFFFD"))
	if err != nil {
		return append(b, '"', '"')
	}
	return quoted
}

// challenge adds WWW-Authenticate where a fault asks for another credential
// (RFC 6750 section 3, RFC 6749 section 5.2).
func (x *exchange) challenge(format ErrorFormat, f *fault.Error) {
	header := x.Header()
	switch {
	case format == OAuth && f.Kind == fault.Unauthenticated && f.Code == oauth.CodeInvalidGrant:
		header["WWW-Authenticate"] = challengeBearerPlain
	case format == OAuth && f.Kind == fault.Unauthenticated:
		header["WWW-Authenticate"] = challengeBasic
	case format == OAuth:
	case f.Kind == fault.Unauthenticated && (!x.credential || x.principal != nil):
		// Nothing is wrong with the credential of a caller who is known: a further
		// one is missing.
		header["WWW-Authenticate"] = challengeBearer
	case f.Kind == fault.Unauthenticated:
		header["WWW-Authenticate"] = []string{challengeBearer[0] + `, error="invalid_token", error_description="` + describable(message(problemOf(f.Kind), f)) + `"`}
	case f.Kind == fault.Forbidden && f.Code == codeInsufficientScope:
		header["WWW-Authenticate"] = []string{challengeBearer[0] + `, error="insufficient_scope", scope="` + x.route.Permission + `"`}
	case f.Kind == fault.BadRequest && f.Code == oauth.CodeInvalidRequest:
		header["WWW-Authenticate"] = []string{challengeBearer[0] + `, error="invalid_request"`}
	}
}

// codeInsufficientScope is the error code of RFC 6750 section 3.1 for a token that
// does not reach far enough.
const codeInsufficientScope = "insufficient_scope"
