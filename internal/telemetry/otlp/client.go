package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // registers the one compression
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Signal is a kind of data.
type Signal uint8

// The signals.
const (
	Traces Signal = iota
	Logs
)

// method is the gRPC method that takes a signal.
func (s Signal) method() string {
	if s == Logs {
		return "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
	}
	return "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
}

// RefusedError is what a collector, or what lies before it, answered instead of taking
// a request.
type RefusedError struct {
	// Again says that the same request may be taken later (OTLP specification,
	// "Retryable response codes"), RetryAfter when, if that was said.
	Again      bool
	RetryAfter time.Duration
	Err        error
}

// Error says what happened.
func (r *RefusedError) Error() string { return r.Err.Error() }

// Unwrap returns the cause.
func (r *RefusedError) Unwrap() error { return r.Err }

// PartialError says that a collector took a request but for some of its items,
// which it will not take again.
type PartialError struct {
	Rejected int64
	Reason   string
}

// Error says how many, and why.
func (e *PartialError) Error() string {
	return fmt.Sprintf("the collector rejected %d items: %q", e.Rejected, e.Reason)
}

// Client sends requests to one target. It is safe for concurrent use.
type Client struct {
	target *Target
	send   func(ctx context.Context, request []byte) ([]byte, error)
	close  func() error
}

// NewClient returns the client of a target. It connects when something is sent.
// Agent is what it says that it is.
func NewClient(t *Target, signal Signal, agent string) (*Client, error) {
	if t.Address != "" {
		return newRPC(t, signal, agent)
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: t.TLS.Clone(), ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 1, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: t.Timeout,
	}
	h := &overHTTP{target: t, agent: agent, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	return &Client{target: t, send: h.send, close: func() error { transport.CloseIdleConnections(); return nil }}, nil
}

// Export sends one request, made by an Envelope. Its errors are a *RefusedError, of
// which nothing was taken, or a *PartialError.
func (c *Client) Export(ctx context.Context, request []byte) error {
	ctx, cancel := context.WithTimeout(ctx, c.target.Timeout)
	defer cancel()
	answer, err := c.send(ctx, request)
	if err != nil {
		return err
	}
	if rejected, reason := readResponse(answer); rejected > 0 {
		return &PartialError{Rejected: rejected, Reason: reason}
	}
	return nil
}

// Close ends its connections.
func (c *Client) Close() error { return c.close() }

// overHTTP sends binary Protocol Buffers (OTLP specification, "OTLP/HTTP").
type overHTTP struct {
	target *Target
	agent  string
	client *http.Client
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 10

func (h *overHTTP) send(ctx context.Context, request []byte) ([]byte, error) {
	body := request
	if h.target.Gzip {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = w.Write(request) // into memory
		_ = w.Close()
		body = packed.Bytes()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.target.URL, bytes.NewReader(body))
	if err != nil {
		return nil, &RefusedError{Err: err}
	}
	for name, value := range h.target.Headers {
		r.Header.Set(name, value)
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("User-Agent", h.agent)
	if h.target.Gzip {
		r.Header.Set("Content-Encoding", "gzip")
	}
	answer, err := h.client.Do(r)
	if err != nil {
		return nil, &RefusedError{Again: true, Err: err}
	}
	defer answer.Body.Close() //nolint:errcheck // nothing depends on it
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	switch {
	case answer.StatusCode/100 != 2:
		return nil, httpRefusal(answer)
	case err != nil:
		return nil, &RefusedError{Again: true, Err: err}
	case len(data) > 0 && !isAnswer(answer.Header.Get("Content-Type")):
		return nil, &RefusedError{Err: fmt.Errorf("%s is no collector: it answered with a document of the type %.64q", h.target.URL, answer.Header.Get("Content-Type"))}
	}
	return data, nil
}

// isAnswer reports whether a collector may have written a document of the type, rather
// than a web page's server or a proxy: one of its own (OTLP specification,
// "OTLP/HTTP Response"), or none.
func isAnswer(contentType string) bool {
	media, _, _ := mime.ParseMediaType(contentType)
	return contentType == "" || strings.HasPrefix(media, "application/")
}

// httpRefusal says what an answer other than 2xx means.
func httpRefusal(answer *http.Response) *RefusedError {
	r := &RefusedError{Err: fmt.Errorf("the collector answered %s", answer.Status)}
	switch answer.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		r.Again = true
		r.RetryAfter = min(max(0, retryAfter(answer.Header)), time.Hour)
	}
	return r
}

// retryAfter returns how long a collector asks to wait, in seconds or until a time by its
// own clock (RFC 9110 section 10.2.3); 0 when it does not.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	until, err := http.ParseTime(text)
	now, noDate := http.ParseTime(h.Get("Date"))
	if err != nil || noDate != nil {
		return 0
	}
	return until.Sub(now)
}

// newRPC returns a client over gRPC.
func newRPC(t *Target, signal Signal, agent string) (*Client, error) {
	transport := insecure.NewCredentials()
	if t.TLS != nil {
		transport = credentials.NewTLS(t.TLS.Clone())
	}
	options := []grpc.CallOption{grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(maxAnswer)}
	if t.Gzip {
		options = append(options, grpc.UseCompressor("gzip"))
	}
	conn, err := grpc.NewClient(t.Address, grpc.WithTransportCredentials(transport),
		grpc.WithUserAgent(agent), grpc.WithDefaultCallOptions(options...), grpc.WithDisableServiceConfig())
	if err != nil {
		return nil, err
	}
	send := func(ctx context.Context, request []byte) ([]byte, error) {
		var answer []byte
		err := conn.Invoke(metadata.NewOutgoingContext(ctx, metadata.New(t.Headers)), signal.method(), request, &answer)
		if err != nil {
			return nil, rpcRefusal(err)
		}
		return answer, nil
	}
	return &Client{target: t, send: send, close: conn.Close}, nil
}

// rpcRefusal says what a status means.
func rpcRefusal(err error) *RefusedError {
	r := &RefusedError{Err: err}
	s := status.Convert(err)
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			r.RetryAfter = min(info.GetRetryDelay().AsDuration(), time.Hour)
		}
	}
	switch s.Code() { //nolint:exhaustive // the others are final
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
		r.Again = true
	case codes.ResourceExhausted:
		r.Again = r.RetryAfter > 0
	}
	return r
}

// rawCodec hands on messages as they are: bytes of Protocol Buffers.
type rawCodec struct{}

// Name is what the content type of a call ends with.
func (rawCodec) Name() string { return "proto" }

// Marshal takes a []byte.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, errNotBytes
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

// Unmarshal fills a *[]byte.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return errNotBytes
	}
	*b = data.Materialize()
	return nil
}

var errNotBytes = errors.New("otlp: a message is bytes here")
