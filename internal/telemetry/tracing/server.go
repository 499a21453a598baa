package tracing

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"onnxgate/internal/reqctx"
	"onnxgate/internal/telemetry"
	"onnxgate/internal/telemetry/otlp"
)

// Arrival is what the span of an HTTP request says beside its access line.
type Arrival struct {
	Encrypted bool
	// Host and UserAgent are the headers.
	Host, UserAgent string
	// Major and Minor are the version of HTTP.
	Major, Minor int
}

// EndHTTP queues the spans of a request whose access line this is
// (opentelemetry.io/docs/specs/semconv/http/http-spans, "HTTP server"). The query is
// left out: people put secrets into it.
func (t *Tracer) EndHTTP(trace *reqctx.Trace, line *telemetry.Access, a *Arrival) {
	if t == nil || !trace.Recorded() {
		return
	}
	var room [usualAttributes]otlp.Attribute
	all := room[:0]
	method := line.Method
	if !slices.Contains(httpMethods, method) {
		all = append(all, otlp.String("http.request.method_original", bounded(method)))
		method = "_OTHER"
	}
	scheme := "http"
	if a.Encrypted {
		scheme = "https"
	}
	all = append(all, otlp.String("http.request.method", method), otlp.String("url.scheme", scheme), otlp.String("url.path", bounded(line.Path)))
	if line.Route != "" {
		all = append(all, otlp.String("http.route", line.Route))
	}
	if line.Status > 0 {
		all = append(all, otlp.Int("http.response.status_code", int64(line.Status)))
	}
	all = appendHost(all, a.Host)
	if a.UserAgent != "" {
		all = append(all, otlp.String("user_agent.original", bounded(a.UserAgent)))
	}
	all = append(all, otlp.String("network.protocol.version", httpVersion(a.Major, a.Minor)))
	span := otlp.Span{Name: httpName(method, line.Route), Failed: line.Status == 0 || line.Status >= 500}
	reason := line.Reason
	if reason == "" && span.Failed {
		reason = strconv.Itoa(line.Status)
	}
	t.endServer(trace, &span, appendCommon(all, line, reason), line)
}

// EndRPC queues the spans of a gRPC call whose access line this is
// (opentelemetry.io/docs/specs/semconv/rpc/rpc-spans). Known says that there is such
// a method.
func (t *Tracer) EndRPC(trace *reqctx.Trace, line *telemetry.Access, known bool) {
	if t == nil || !trace.Recorded() {
		return
	}
	var room [usualAttributes]otlp.Attribute
	status := rpcStatuses[min(max(line.Status, 0), len(rpcStatuses)-1)]
	all := append(room[:0], otlp.String("rpc.system.name", "grpc"), otlp.String("rpc.response.status_code", status.name))
	method := line.Route
	if !known {
		method = "_OTHER"
		all = append(all, otlp.String("rpc.method_original", bounded(strings.TrimPrefix(line.Path, "/"))))
	}
	all = append(all, otlp.String("rpc.method", method))
	span := otlp.Span{Name: method, Failed: status.failed}
	if !known {
		span.Name = "grpc"
	}
	t.endServer(trace, &span, appendCommon(all, line, line.Reason), line)
}

// usualAttributes is how many a request has at most.
const usualAttributes = 18

func (t *Tracer) endServer(trace *reqctx.Trace, span *otlp.Span, all []otlp.Attribute, line *telemetry.Access) {
	span.Attributes = all
	span.Start, span.End = line.Time, line.Time.Add(line.Duration)
	t.end(trace, span)
}

// appendCommon appends what requests of all protocols say.
func appendCommon(all []otlp.Attribute, line *telemetry.Access, reason string) []otlp.Attribute {
	if line.Client.IsValid() {
		all = append(all, otlp.String("client.address", line.Client.String()))
	}
	if reason != "" {
		all = append(all, otlp.String("error.type", reason))
	}
	all = append(all, otlp.String("onnxgate.request_id", line.RequestID))
	if line.Model != "" {
		all = append(all, otlp.String("onnxgate.model", line.Model), otlp.String("onnxgate.model.version", line.Version))
	}
	return all
}

// appendHost appends the host that a client has asked.
func appendHost(all []otlp.Attribute, host string) []otlp.Attribute {
	if host == "" {
		return all
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return append(all, otlp.String("server.address", bounded(host)))
	}
	all = append(all, otlp.String("server.address", bounded(name)))
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		all = append(all, otlp.Int("server.port", int64(n)))
	}
	return all
}

// httpMethods are those that the conventions know (RFC 9110, RFC 5789). Read only.
var httpMethods = []string{"POST", "GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE"}

// rpcStatuses are gRPC's, by number, and which of them are errors of a server. Read
// only.
var rpcStatuses = []struct {
	name   string
	failed bool
}{
	{"OK", false},
	{"CANCELLED", false},
	{"UNKNOWN", true},
	{"INVALID_ARGUMENT", false},
	{"DEADLINE_EXCEEDED", true},
	{"NOT_FOUND", false},
	{"ALREADY_EXISTS", false},
	{"PERMISSION_DENIED", false},
	{"RESOURCE_EXHAUSTED", false},
	{"FAILED_PRECONDITION", false},
	{"ABORTED", false},
	{"OUT_OF_RANGE", false},
	{"UNIMPLEMENTED", true},
	{"INTERNAL", true},
	{"UNAVAILABLE", true},
	{"DATA_LOSS", true},
	{"UNAUTHENTICATED", false},
}

// httpName is "{method} {route}", of few values.
func httpName(method, route string) string {
	if method == "_OTHER" {
		method = "HTTP"
	}
	if route == "" {
		return method
	}
	return method + " " + route
}

func httpVersion(major, minor int) string {
	if major == 1 {
		return [...]string{"1.0", "1.1"}[min(max(minor, 0), 1)]
	}
	return strconv.Itoa(major)
}

// maxValue is how many bytes of a text that a client has chosen are sent.
const maxValue = 256

// bounded returns what is sent of a client's text: valid UTF-8, which Protocol
// Buffers ask for, of at most maxValue bytes.
func bounded(s string) string {
	if len(s) > maxValue {
		s = s[:maxValue]
	}
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
