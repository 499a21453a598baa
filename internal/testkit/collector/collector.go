// Package collector is a receiver of OTLP for tests, over gRPC and HTTP, made of the
// official messages: what it cannot read with every field known is a failure.
package collector

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	logsv1 "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	tracev1 "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	logs "go.opentelemetry.io/proto/slim/otlp/logs/v1"
	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // takes what is packed
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Span is a span that came, with what its resource says.
type Span struct {
	*trace.Span

	Resource map[string]any
}

// TraceID returns the id of its trace in hexadecimal.
func (s *Span) TraceID() string { return hex.EncodeToString(s.GetTraceId()) }

// SpanID returns its own id in hexadecimal, and ParentID that of its parent.
func (s *Span) SpanID() string { return hex.EncodeToString(s.GetSpanId()) }

// ParentID returns the id of its parent in hexadecimal, empty for none.
func (s *Span) ParentID() string { return hex.EncodeToString(s.GetParentSpanId()) }

// Attributes returns its attributes.
func (s *Span) Attributes() map[string]any { return attributes(s.GetAttributes()) }

// Record is a log record that came.
type Record struct{ *logs.LogRecord }

// Attributes returns its attributes.
func (r *Record) Attributes() map[string]any { return attributes(r.GetAttributes()) }

// Collector is a receiver. It is safe for concurrent use.
type Collector struct {
	// URL is that of OTLP over HTTP, Address that of gRPC.
	URL, Address string
	// Came receives something after each request.
	Came chan struct{}

	tb      testing.TB
	mu      sync.Mutex
	spans   []Span
	records []Record
	headers []map[string]string
	refusal error
	partial int64
}

// Start starts a receiver, which ends with the test. Nil settings are plain text.
func Start(tb testing.TB, settings *tls.Config) *Collector {
	tb.Helper()
	c := &Collector{tb: tb, Came: make(chan struct{}, 1<<16)}
	web := httptest.NewUnstartedServer(c)
	options := []grpc.ServerOption{}
	if settings != nil {
		web.TLS = settings
		web.StartTLS()
		options = append(options, grpc.Creds(credentials.NewTLS(settings)))
	} else {
		web.Start()
	}
	tb.Cleanup(web.Close)
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	rpc := grpc.NewServer(options...)
	rpc.RegisterService(service("opentelemetry.proto.collector.trace.v1.TraceService", c.takeTraces), nil)
	rpc.RegisterService(service("opentelemetry.proto.collector.logs.v1.LogsService", c.takeLogs), nil)
	go func() { _ = rpc.Serve(listener) }()
	tb.Cleanup(rpc.Stop)
	c.URL, c.Address = web.URL, listener.Addr().String()
	return c
}

// Refuse makes it answer with a status of gRPC, over HTTP with the one that stands
// for it; nil takes everything again.
func (c *Collector) Refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusal = err
}

// Reject makes it say that it did not take so many items of each request.
func (c *Collector) Reject(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.partial = n
}

// Spans returns all that came.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spans
}

// Records returns all that came.
func (c *Collector) Records() []Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.records
}

// Headers returns those of every request, refused ones among them.
func (c *Collector) Headers() []map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.headers
}

// Wait waits for something to be true of what came.
func (c *Collector) Wait(what string, is func() bool) {
	c.tb.Helper()
	for !is() {
		select {
		case <-c.Came:
		case <-c.tb.Context().Done():
			c.tb.Fatal(what + " never came")
		}
	}
}

// ServeHTTP takes OTLP over HTTP.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			c.tb.Error(err)
			return
		}
		body = unpacked
	}
	data, err := io.ReadAll(body)
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.tb.Errorf("%s %s of type %q: %v", r.Method, r.URL, r.Header.Get("Content-Type"), err)
	}
	headers := map[string]string{}
	for name := range r.Header {
		headers[strings.ToLower(name)] = r.Header.Get(name)
	}
	answer, err := c.take(strings.TrimPrefix(r.URL.Path, "/base"), data, headers)
	if err != nil {
		code := http.StatusUnauthorized
		if status.Code(err) == codes.Unavailable {
			code = http.StatusServiceUnavailable
		}
		http.Error(w, "refused", code)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	out, _ := proto.Marshal(answer)
	_, _ = w.Write(out)
}

func (c *Collector) take(path string, data []byte, headers map[string]string) (proto.Message, error) { //nolint:ireturn // one of two messages
	switch path {
	case "/v1/traces":
		return c.takeTraces(data, headers)
	case "/v1/logs":
		return c.takeLogs(data, headers)
	}
	c.tb.Errorf("nothing is at %s", path)
	return nil, status.Error(codes.Unimplemented, "")
}

// came notes a request, and reports whether it is refused.
func (c *Collector) came(headers map[string]string) (partial int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers = append(c.headers, headers)
	select {
	case c.Came <- struct{}{}:
	default:
	}
	return c.partial, c.refusal
}

func (c *Collector) takeTraces(data []byte, headers map[string]string) (proto.Message, error) { //nolint:ireturn // one of two messages
	partial, err := c.came(headers)
	if err != nil {
		return nil, err
	}
	var m tracev1.ExportTraceServiceRequest
	c.read(data, &m)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range m.GetResourceSpans() {
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, Span{s, attributes(of.GetResource().GetAttributes())})
			}
		}
	}
	return &tracev1.ExportTraceServiceResponse{PartialSuccess: &tracev1.ExportTracePartialSuccess{RejectedSpans: partial, ErrorMessage: "no room"}}, nil
}

func (c *Collector) takeLogs(data []byte, headers map[string]string) (proto.Message, error) { //nolint:ireturn // one of two messages
	partial, err := c.came(headers)
	if err != nil {
		return nil, err
	}
	var m logsv1.ExportLogsServiceRequest
	c.read(data, &m)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range m.GetResourceLogs() {
		for _, scope := range of.GetScopeLogs() {
			for _, r := range scope.GetLogRecords() {
				c.records = append(c.records, Record{r})
			}
		}
	}
	return &logsv1.ExportLogsServiceResponse{PartialSuccess: &logsv1.ExportLogsPartialSuccess{RejectedLogRecords: partial}}, nil
}

// read reads a message, of which every field must be known.
func (c *Collector) read(data []byte, m proto.Message) {
	if err := proto.Unmarshal(data, m); err != nil {
		c.tb.Errorf("%T: %v", m, err)
	}
	if err := known(m.ProtoReflect()); err != nil {
		c.tb.Error(err)
	}
}

// known says where a message has a field that its definition has not.
func known(m protoreflect.Message) (err error) {
	if len(m.GetUnknown()) > 0 {
		return fmt.Errorf("%s has unknown fields", m.Descriptor().FullName())
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				err = errors.Join(err, known(v.List().Get(i).Message()))
			}
		default:
			err = known(v.Message())
		}
		return err == nil
	})
	return err
}

func attributes(all []*common.KeyValue) map[string]any {
	m := map[string]any{}
	for _, a := range all {
		switch v := a.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			m[a.GetKey()] = v.StringValue
		case *common.AnyValue_IntValue:
			m[a.GetKey()] = v.IntValue
		case *common.AnyValue_BoolValue:
			m[a.GetKey()] = v.BoolValue
		default:
			m[a.GetKey()] = v
		}
	}
	return maps.Clone(m)
}

// service describes a service whose one method takes a message as it is.
func service(name string, take func([]byte, map[string]string) (proto.Message, error)) *grpc.ServiceDesc {
	export := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var raw emptypb.Empty // keeps what it does not know, and gives it back as it came
		if err := decode(&raw); err != nil {
			return nil, err
		}
		data := raw.ProtoReflect().GetUnknown()
		headers := map[string]string{}
		md, _ := metadata.FromIncomingContext(ctx)
		for name, values := range md {
			headers[name] = strings.Join(values, ",")
		}
		return take(data, headers)
	}
	return &grpc.ServiceDesc{ServiceName: name, Methods: []grpc.MethodDesc{{MethodName: "Export", Handler: export}}}
}
