package tracing_test

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/telemetry"
	"onnxgate/internal/telemetry/otlp"
	"onnxgate/internal/telemetry/tracing"
	"onnxgate/internal/testkit/collector"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// harness is a tracer that sends to a collector.
type harness struct {
	*tracing.Tracer

	collector *collector.Collector
	batcher   *otlp.Batcher
}

func start(t *testing.T, change func(*tracing.Config)) *harness {
	t.Helper()
	h := &harness{collector: collector.Start(t, nil)}
	client, err := otlp.NewClient(&otlp.Target{URL: h.collector.URL + "/v1/traces", Timeout: time.Minute}, otlp.Traces, "test")
	if err != nil {
		t.Fatal(err)
	}
	h.batcher = otlp.NewBatcher(otlp.BatcherConfig{
		Exporter: client, Envelope: otlp.NewEnvelope([]otlp.Attribute{otlp.String("service.name", "x")}, "onnxgate", "v1"),
		Batch: otlp.Batch{Queue: 1000, Size: 1000, Delay: time.Hour}, Now: time.Now,
	})
	go h.batcher.Run(t.Context())
	t.Cleanup(func() { _ = h.batcher.Close(t.Context()) })
	n := uint64(0)
	cfg := tracing.Config{Queue: h.batcher, Now: func() time.Time { return noon }, Propagate: true, Random: func() uint64 { n++; return n }}
	if change != nil {
		change(&cfg)
	}
	if h.Tracer, err = tracing.New(cfg); err != nil {
		t.Fatal(err)
	}
	return h
}

// spans returns what the collector got, by name.
func (h *harness) spans(t *testing.T) map[string]collector.Span {
	t.Helper()
	if err := h.batcher.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := map[string]collector.Span{}
	for _, s := range h.collector.Spans() {
		all[s.GetName()] = s
	}
	return all
}

const (
	traceID    = "4bf92f3577b34da6a3ce929d0e0e4736"
	callerSpan = "00f067aa0ba902b7"
	sampled    = "00-" + traceID + "-" + callerSpan + "-01"
)

func line() *telemetry.Access {
	return &telemetry.Access{
		Time: noon, Duration: time.Millisecond, Method: "POST", Route: "/predict", Path: "/predict", Status: 200,
		RequestID: "r1", Client: netip.MustParseAddr("192.0.2.1"), Subject: "alice", Model: "iris", Version: "1",
	}
}

func arrival() *tracing.Arrival {
	return &tracing.Arrival{Encrypted: true, Host: "ml.example:8443", UserAgent: "curl/8", Major: 2}
}

func TestARequestIsOneServerSpanWithItsPartsUnderIt(t *testing.T) {
	h := start(t, nil)
	trace := h.Begin([]string{sampled}, []string{"vendor=1"})
	for _, stage := range []reqctx.Stage{reqctx.Authenticate, reqctx.Authorize, reqctx.Validate, reqctx.Predict, reqctx.Audit} {
		trace.End(stage, trace.Begin(), nil)
	}
	h.EndHTTP(trace, line(), arrival())
	spans := h.spans(t)
	server := spans["POST /predict"]
	if server.TraceID() != traceID || server.ParentID() != callerSpan || server.GetTraceState() != "vendor=1" || server.GetKind() != 2 || server.GetFlags() != 0x301 {
		t.Errorf("the server's span is %v", server)
	}
	if got := time.Duration(server.GetEndTimeUnixNano() - server.GetStartTimeUnixNano()); got != time.Millisecond || server.GetStartTimeUnixNano() != uint64(noon.UnixNano()) {
		t.Errorf("it began at %d and took %s", server.GetStartTimeUnixNano(), got)
	}
	want := map[string]any{
		"http.request.method": "POST", "url.scheme": "https", "url.path": "/predict", "http.route": "/predict",
		"http.response.status_code": int64(200), "server.address": "ml.example", "server.port": int64(8443),
		"user_agent.original": "curl/8", "network.protocol.version": "2", "client.address": "192.0.2.1",
		"onnxgate.request_id": "r1", "onnxgate.model": "iris", "onnxgate.model.version": "1",
	}
	if diff := cmp.Diff(want, server.Attributes()); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	for _, name := range []string{"authenticate", "authorize", "validate", "predict", "audit"} {
		part := spans[name]
		if part.Span == nil || part.TraceID() != traceID || part.ParentID() != server.SpanID() || part.GetKind() != 1 {
			t.Errorf("%s: %v", name, part)
		}
	}
	if len(spans) != 6 {
		t.Errorf("%d spans, want 6", len(spans))
	}
}

func TestARefusedPartSaysWhyAndAFailureIsAnError(t *testing.T) {
	h := start(t, nil)
	trace := h.Begin(nil, nil)
	trace.End(reqctx.Authenticate, trace.Begin(), fault.New(fault.Unauthenticated, "a secret"))
	trace.End(reqctx.Predict, trace.Begin(), errors.New("a secret"))
	refused := line()
	refused.Status, refused.Reason = 500, "internal"
	h.EndHTTP(trace, refused, arrival())
	spans := h.spans(t)
	for name, want := range map[string]struct {
		reason string
		failed bool
	}{"authenticate": {"unauthenticated", false}, "predict": {"internal", true}, "POST /predict": {"internal", true}} {
		s := spans[name]
		if got := s.Attributes()["error.type"]; got != want.reason || (s.GetStatus().GetCode() == 2) != want.failed {
			t.Errorf("%s: error.type %v, status %v", name, got, s.GetStatus())
		}
		if strings.Contains(s.String(), "a secret") {
			t.Errorf("%s shows the cause: %v", name, s)
		}
	}
}

func TestACallOverGRPCIsNamedAfterItsMethod(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		known  bool
		span   string
		want   map[string]any
		failed bool
	}{
		"served": {0, true, "inference.GRPCInferenceService/ModelInfer", map[string]any{
			"rpc.system.name": "grpc", "rpc.method": "inference.GRPCInferenceService/ModelInfer", "rpc.response.status_code": "OK",
			"client.address": "192.0.2.1", "onnxgate.request_id": "r1", "onnxgate.model": "iris", "onnxgate.model.version": "1",
		}, false},
		"unknown": {12, false, "grpc", map[string]any{
			"rpc.system.name": "grpc", "rpc.method": "_OTHER", "rpc.method_original": "a/b", "rpc.response.status_code": "UNIMPLEMENTED",
			"client.address": "192.0.2.1", "error.type": "method_not_allowed", "onnxgate.request_id": "r1", "onnxgate.model": "iris", "onnxgate.model.version": "1",
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, nil)
			l := line()
			l.Method, l.Route, l.Path, l.Status = "gRPC", "inference.GRPCInferenceService/ModelInfer", "/a/b", tc.status
			if !tc.known {
				l.Reason = "method_not_allowed"
			}
			h.EndRPC(h.Begin(nil, nil), l, tc.known)
			s := h.spans(t)[tc.span]
			if diff := cmp.Diff(tc.want, s.Attributes()); diff != "" || (s.GetStatus().GetCode() == 2) != tc.failed {
				t.Errorf("status %v, attributes (-want +got):\n%s", s.GetStatus(), diff)
			}
		})
	}
}

func TestWhatAClientChoosesIsBounded(t *testing.T) {
	h := start(t, nil)
	l, a := line(), arrival()
	l.Method, l.Path, l.Route, l.Status = strings.Repeat("M", 10_000), "/\xff"+strings.Repeat("é", 10_000), "", 404
	a.Host, a.UserAgent = strings.Repeat("h", 10_000)+":99999999", "\xff\xfe\x00"
	h.EndHTTP(h.Begin(nil, nil), l, a)
	s := h.spans(t)["HTTP"]
	if s.Span == nil || s.Attributes()["http.request.method"] != "_OTHER" || s.GetStatus().GetCode() != 0 {
		t.Fatalf("the span is %v", s)
	}
	for name, v := range s.Attributes() {
		if text, ok := v.(string); ok && len(text) > 300 {
			t.Errorf("%s has %d bytes", name, len(text))
		}
	}
}

func TestOnlyTraceContextOfItsOneFormIsRead(t *testing.T) {
	const zeros = "00000000000000000000000000000000"
	for name, tc := range map[string]struct {
		values []string
		taken  bool
	}{
		"as it should be":          {[]string{sampled}, true},
		"not sampled":              {[]string{sampled[:53] + "00"}, true},
		"a later version":          {[]string{"01" + sampled[2:] + "-more"}, true},
		"a later version, as long": {[]string{"01" + sampled[2:]}, true},
		"none":                     {nil, false},
		"two":                      {[]string{sampled, sampled}, false},
		"version ff":               {[]string{"ff" + sampled[2:]}, false},
		"version 00 and more":      {[]string{sampled + "-more"}, false},
		"a later version, glued":   {[]string{"01" + sampled[2:] + "more"}, false},
		"capital letters":          {[]string{strings.ToUpper(sampled)}, false},
		"no trace":                 {[]string{"00-" + zeros + "-" + callerSpan + "-01"}, false},
		"no span":                  {[]string{"00-" + traceID + "-" + zeros[:16] + "-01"}, false},
		"too short":                {[]string{sampled[:54]}, false},
		"other separators":         {[]string{strings.ReplaceAll(sampled, "-", "_")}, false},
		"not hexadecimal":          {[]string{strings.Replace(sampled, "4bf", "4bg", 1)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			trace := start(t, nil).Begin(tc.values, nil)
			if got := trace.TraceID() == traceID; got != tc.taken {
				t.Errorf("taken: %t, want %t", got, tc.taken)
			}
			if trace.ID == [16]byte{} || trace.Span == [8]byte{} {
				t.Error("an id is zero")
			}
		})
	}
}

func TestAStateThatCannotBeHandedOnIsDropped(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("a=1,", 33), ",")
	for name, tc := range map[string]struct {
		values []string
		want   string
	}{
		"one":             {[]string{"rojo=00f0,congo=t61"}, "rojo=00f0,congo=t61"},
		"two headers":     {[]string{"rojo=1", "congo=2"}, "rojo=1,congo=2"},
		"tenant":          {[]string{"fw529a3039@dt=FfffffXX"}, "fw529a3039@dt=FfffffXX"},
		"empty members":   {[]string{"a=1,, b=2"}, "a=1,, b=2"},
		"too many":        {[]string{many}, ""},
		"too long":        {[]string{"a=" + strings.Repeat("x", 600)}, ""},
		"no value":        {[]string{"a="}, ""},
		"no key":          {[]string{"=1"}, ""},
		"capital":         {[]string{"A=1"}, ""},
		"line end":        {[]string{"a=1\r\nevil: 1"}, ""},
		"not ASCII":       {[]string{"a=é"}, ""},
		"two equal signs": {[]string{"a=b=c"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := start(t, nil).Begin([]string{sampled}, tc.values).State; got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestSamplersDecideAsTheirNamesSay(t *testing.T) {
	asked, unasked := []string{sampled}, []string{sampled[:53] + "00"}
	for name, want := range map[string][3]bool{ // for a caller who records, one who does not, none
		"": {true, false, true}, "always_on": {true, true, true}, "always_off": {},
		"parentbased_always_on": {true, false, true}, "parentbased_always_off": {true, false, false},
		"traceidratio:0": {}, "parentbased_traceidratio:0": {true, false, false},
		"traceidratio:1": {true, true, true}, "traceidratio": {true, true, true}, "parentbased_traceidratio:1.0": {true, false, true},
		// a3ce929d0e0e4736 is 0.64 of the way, and the id made here is nearly 0.
		"traceidratio:0.63": {false, false, true}, "traceidratio:0.65": {true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, func(c *tracing.Config) { c.Sampler, c.SamplerArg, _ = strings.Cut(name, ":") })
			got := [3]bool{h.Begin(asked, nil).Recorded(), h.Begin(unasked, nil).Recorded(), h.Begin(nil, nil).Recorded()}
			if got != want {
				t.Errorf("recorded %v, want %v", got, want)
			}
		})
	}
	for _, bad := range []string{"sometimes", "traceidratio:2", "traceidratio:-1", "traceidratio:NaN", "parentbased_traceidratio:x"} {
		name, arg, _ := strings.Cut(bad, ":")
		if err := tracing.CheckSampler(name, arg); err == nil || !strings.Contains(err.Error(), "OTEL_TRACES_SAMPLER") {
			t.Errorf("%s: %v, want an error with the setting's name", bad, err)
		}
	}
}

func TestTheCallersDecisionIsHandedOn(t *testing.T) {
	for name, tc := range map[string]struct {
		came, want string
		propagate  bool
	}{
		"recorded":     {sampled, "-01", true},
		"not recorded": {sampled[:53] + "00", "-00", true},
		"random":       {sampled[:53] + "03", "-03", true},
		"closed":       {sampled, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, func(c *tracing.Config) { c.Propagate = tc.propagate })
			trace := h.Begin([]string{tc.came}, []string{"a=1"})
			ctx := reqctx.With(t.Context(), &reqctx.Info{Trace: trace})
			header := http.Header{}
			tracing.Inject(ctx, header.Set)
			got := header.Get("traceparent")
			if !tc.propagate {
				if len(header) != 0 || trace.TraceID() == traceID {
					t.Errorf("%v, in trace %s", header, trace.TraceID())
				}
				return
			}
			if !strings.HasPrefix(got, "00-"+traceID+"-") || strings.Contains(got, callerSpan) || !strings.HasSuffix(got, tc.want) || header.Get("tracestate") != "a=1" {
				t.Errorf("%v", header)
			}
		})
	}
}

func TestMessagesOfAStreamShareATraceAndNoSpan(t *testing.T) {
	h := start(t, nil)
	stream := h.Begin([]string{sampled}, nil)
	first, second := h.Next(stream, true), h.Next(stream, false)
	if first.Span != stream.Span || second.Span == stream.Span || second.ID != stream.ID || second.Parent != stream.Parent || !second.Recorded() {
		t.Errorf("%+v and %+v of %+v", first, second, stream)
	}
}

// served is what a request does with its trace.
func served(tracer *tracing.Tracer, trace *reqctx.Trace) {
	for _, stage := range []reqctx.Stage{reqctx.Authenticate, reqctx.Authorize, reqctx.Validate, reqctx.Predict, reqctx.Audit} {
		trace.End(stage, trace.Begin(), nil)
	}
	if trace.Recorded() {
		tracer.EndHTTP(trace, line(), arrival())
	}
}

func TestOffAllocatesNothing(t *testing.T) {
	var off *tracing.Tracer
	values := []string{sampled}
	if n := testing.AllocsPerRun(100, func() { served(off, off.Begin(values, values)) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

type nowhere struct{ buf []byte }

func (n *nowhere) Add(_ int, encode func([]byte) []byte) { n.buf = encode(n.buf[:0]) }

func BenchmarkRequest(b *testing.B) {
	values := []string{sampled}
	for name, tracer := range map[string]*tracing.Tracer{"off": nil, "unsampled": newTracer(b, "always_off"), "sampled": newTracer(b, "always_on")} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				served(tracer, tracer.Begin(values, nil))
			}
		})
	}
}

func newTracer(tb testing.TB, sampler string) *tracing.Tracer {
	tb.Helper()
	tracer, err := tracing.New(tracing.Config{Queue: &nowhere{}, Now: time.Now, Sampler: sampler, Propagate: true})
	if err != nil {
		tb.Fatal(err)
	}
	return tracer
}

func FuzzTraceContextIsReadOrNot(f *testing.F) {
	f.Add(sampled, "a=1")
	f.Add("01-"+sampled[3:]+"-x", strings.Repeat("a=1,", 40))
	tracer := newTracer(f, "")
	f.Fuzz(func(t *testing.T, parent, state string) {
		trace := tracer.Begin([]string{parent}, []string{state})
		again := tracer.Begin([]string{trace.TraceParent()}, []string{trace.State})
		if again.ID != trace.ID || again.Parent != trace.Span || again.State != trace.State && trace.Parent != [8]byte{} || again.Recorded() != trace.Recorded() {
			t.Errorf("%q, %q became %s, %q, and that %s, %q", parent, state, trace.TraceParent(), trace.State, again.TraceParent(), again.State)
		}
	})
}
