package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	pb "onnxgate/api/inferencepb"
	"onnxgate/internal/testkit"
)

// otelcol is a real OpenTelemetry Collector, which writes what it gets into a file.
type otelcol struct{ rpc, web, out string }

func beginCollector(t *testing.T) *otelcol {
	t.Helper()
	c := &otelcol{rpc: freeAddr(t), web: freeAddr(t)}
	c.start(t)
	return c
}

func (c *otelcol) start(t *testing.T) {
	t.Helper()
	program := filepath.Join(repository, ".cache", "otelcol", "otelcol")
	if _, err := os.Stat(program); err != nil {
		testkit.Missing(t, "the OpenTelemetry Collector is not built; make test builds it")
	}
	dir := t.TempDir()
	c.out = filepath.Join(dir, "out.json")
	config := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf(`
receivers: {otlp: {protocols: {grpc: {endpoint: %s}, http: {endpoint: %s}}}}
exporters: {file: {path: %s, flush_interval: 100ms}}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [file]}
    logs: {receivers: [otlp], exporters: [file]}
`, c.rpc, c.web, c.out)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &testkit.Buffer{}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, "--config", config)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the Collector said:\n%s", log)
		}
	})
	testkit.Eventually(t, "the Collector is ready", func() bool { return strings.Contains(log.String(), "Everything is ready") })
}

func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := testkit.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// exported is a line of the Collector's file, in OTLP's JSON.
type exported struct {
	ResourceSpans []struct {
		Resource   struct{ Attributes []attribute }
		ScopeSpans []struct{ Spans []span }
	}
	ResourceLogs []struct {
		ScopeLogs []struct {
			LogRecords []struct {
				EventName  string
				Body       struct{ StringValue string }
				Attributes []attribute
			}
		}
	}
}

type attribute struct {
	Key   string
	Value struct{ StringValue, IntValue string }
}

type span struct {
	TraceID, SpanID, ParentSpanID, TraceState, Name string
	Kind                                            int
	Attributes                                      []attribute
}

// spans returns what the Collector has got, by trace.
func (c *otelcol) spans(t *testing.T) (byTrace map[string][]span, all string) {
	t.Helper()
	data, err := os.ReadFile(c.out)
	if err != nil {
		t.Fatal(err)
	}
	byTrace = map[string][]span{}
	for line := range bytes.Lines(data) {
		var e exported
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		for _, of := range e.ResourceSpans {
			if !slices.ContainsFunc(of.Resource.Attributes, func(a attribute) bool { return a.Key == "service.name" && a.Value.StringValue == "gate-1" }) {
				t.Errorf("a resource is %v", of.Resource)
			}
			for _, scope := range of.ScopeSpans {
				for _, s := range scope.Spans {
					byTrace[s.TraceID] = append(byTrace[s.TraceID], s)
				}
			}
		}
	}
	return byTrace, string(data)
}

// await waits until the Collector has written the texts.
func (c *otelcol) await(t *testing.T, texts ...string) {
	t.Helper()
	for {
		data, _ := os.ReadFile(c.out)
		data = data[:bytes.LastIndexByte(data, '\n')+1] // what follows is being written
		if !slices.ContainsFunc(texts, func(text string) bool { return !bytes.Contains(data, []byte(text)) }) {
			return
		}
		if t.Context().Err() != nil {
			t.Fatalf("%q never came", texts)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// traced is one prediction by one way, as the trace of this number.
type traced struct {
	name string
	do   func(t *testing.T, s *server, token, traceparent string) (answered string)
	span string // the server's
}

func traceID(n int) string { return fmt.Sprintf("4bf92f3577b34da6a3ce929d0e0e%04x", n) }

// parent is a caller's traceparent of the trace.
func parent(n int, flags string) string { return "00-" + traceID(n) + "-00f067aa0ba902b7-" + flags }

func overHTTP(path, body string) func(*testing.T, *server, string, string) string {
	return func(t *testing.T, s *server, token, traceparent string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url()+path+"?canary=secret", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{
			"Content-Type": {"application/json"}, "Authorization": {"Bearer " + token}, "Traceparent": {traceparent}, "Tracestate": {"vendor=1"},
		}
		client := s.clientFor(t)
		defer client.CloseIdleConnections()
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s %v", path, resp.StatusCode, text, err)
		}
		return resp.Header.Get("Traceparent")
	}
}

func overRPC(t *testing.T, s *server, token, traceparent string) string {
	t.Helper()
	config, err := s.tlsConfig()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(s.grpc, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token, "traceparent", traceparent, "tracestate", "vendor=1")
	var header metadata.MD
	_, err = pb.NewGRPCInferenceServiceClient(conn).ModelInfer(ctx, &pb.ModelInferRequest{ModelName: "iris", Inputs: []*pb.ModelInferRequest_InferInputTensor{{
		Name: "input-0", Datatype: "FP32", Shape: []int64{1, 4}, Contents: &pb.InferTensorContents{Fp32Contents: []float32{7.6543219, 3, 4, 1}},
	}}}, grpc.Header(&header))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(header.Get("traceparent"), ",")
}

const canaryRow = `{"sepal_length":7.6543219,"sepal_width":3,"petal_length":4,"petal_width":1}`

var waysToPredict = []traced{
	{"own", overHTTP("/predict", canaryRow), "POST /predict"},
	{"V1", overHTTP("/v1/models/iris:predict", `{"instances":[[7.6543219,3,4,1]]}`), "POST /v1/models/{model}:predict"},
	{"V2", overHTTP("/v2/models/iris/infer", `{"inputs":[{"name":"input-0","datatype":"FP32","shape":[1,4],"data":[7.6543219,3,4,1]}]}`), "POST /v2/models/{model}/infer"},
	{"gRPC", overRPC, "inference.GRPCInferenceService/ModelInfer"},
}

func TestATraceGoesThroughEveryProtocolToARealCollector(t *testing.T) {
	c := beginCollector(t)
	for i, endpoint := range []string{"http://" + c.web, "grpc://" + c.rpc} {
		t.Run(endpoint[:4], func(t *testing.T) {
			s := begin(t, "ONNXGATE_OTLP_ENDPOINT="+endpoint, "OTEL_SERVICE_NAME=gate-1", "OTEL_TRACES_SAMPLER=parentbased_always_off", "OTEL_BSP_SCHEDULE_DELAY=100")
			token := adminToken(t, s)
			s.keep(token)
			for n, way := range waysToPredict {
				number := 256*(i+1) + n
				got := way.do(t, s, token, parent(number, "01"))
				if !strings.HasPrefix(got, "00-"+traceID(number)+"-") || !strings.HasSuffix(got, "-01") || strings.Contains(got, "00f067aa0ba902b7") {
					t.Errorf("%s: the answer's traceparent is %q", way.name, got)
				}
				way.do(t, s, token, parent(number+128, "00"))
			}
			if err := s.stop(); err != nil { // sends what waits
				t.Fatal(err)
			}
			for n := range waysToPredict {
				c.await(t, traceID(256*(i+1)+n))
			}
			byTrace, all := c.spans(t)
			for n, way := range waysToPredict {
				checkTrace(t, way, byTrace[traceID(256*(i+1)+n)])
				if spans := byTrace[traceID(256*(i+1)+n+128)]; len(spans) > 0 {
					t.Errorf("%s: a trace that its caller did not record is recorded: %v", way.name, spans)
				}
			}
			for _, secret := range []string{token, "7.6543219", "canary", "secret"} {
				if strings.Contains(all, secret) {
					t.Errorf("%q is in the telemetry", secret)
				}
			}
		})
	}
}

func checkTrace(t *testing.T, way traced, spans []span) {
	t.Helper()
	at := slices.IndexFunc(spans, func(s span) bool { return s.Kind == 2 })
	if at < 0 || len(spans) != 6 {
		t.Fatalf("%s: %v, want a server's span and five parts", way.name, spans)
	}
	server := spans[at]
	if server.Name != way.span || server.ParentSpanID != "00f067aa0ba902b7" || server.TraceState != "vendor=1" {
		t.Errorf("%s: the server's span is %+v", way.name, server)
	}
	var names []string
	for _, s := range spans {
		if s.Kind == 1 && s.ParentSpanID == server.SpanID {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	if want := []string{"audit", "authenticate", "authorize", "predict", "validate"}; !slices.Equal(names, want) {
		t.Errorf("%s: parts %v, want %v", way.name, names, want)
	}
}

func TestACollectorThatIsAwayHoldsNothingUp(t *testing.T) {
	s := begin(t, "ONNXGATE_OTLP_ENDPOINT=http://"+freeAddr(t), "OTEL_BSP_MAX_QUEUE_SIZE=10", "OTEL_BSP_SCHEDULE_DELAY=10")
	token := adminToken(t, s)
	for range 20 {
		if status, _ := predict(t, s, token); status != http.StatusOK {
			t.Fatalf("a prediction is %d", status)
		}
	}
	client := s.clientFor(t)
	defer client.CloseIdleConnections()
	testkit.Eventually(t, "a span is counted as dropped", func() bool {
		var metrics string
		_ = getText(t, client, "https://"+s.admin+"/metrics", &metrics)
		return strings.Contains(metrics, `onnxgate_trace_spans_total{result="dropped"} 1`)
	})
}

// indexes returns the places in the log of the records that the Collector has got,
// and how often it got each.
func (c *otelcol) indexes(t *testing.T) map[string]int {
	t.Helper()
	data, err := os.ReadFile(c.out)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for line := range bytes.Lines(data[:bytes.LastIndexByte(data, '\n')+1]) {
		var e exported
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		for _, of := range e.ResourceLogs {
			for _, scope := range of.ScopeLogs {
				for _, r := range scope.LogRecords {
					var body struct{ Index json.Number }
					if err := json.Unmarshal([]byte(r.Body.StringValue), &body); err != nil || !strings.HasPrefix(r.EventName, "onnxgate.audit.") {
						t.Errorf("%v: %+v", err, r)
					}
					seen[body.Index.String()]++
				}
			}
		}
	}
	return seen
}

func TestAuditRecordsWaitForACollectorThatIsAway(t *testing.T) {
	c := &otelcol{rpc: freeAddr(t), web: freeAddr(t)}
	settings := []string{"ONNXGATE_OTLP_ENDPOINT=grpc://" + c.rpc, "OTEL_TRACES_EXPORTER=none"}
	s := begin(t, settings...)
	token := adminToken(t, s)
	s.keep(token)
	for range 20 {
		if status, _ := predict(t, s, token); status != http.StatusOK {
			t.Fatalf("a prediction is %d", status)
		}
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	before := strings.Count(runWith(t, s, nil, "audit", "export", "--format", "json"), "\n")
	name, _, _ := strings.Cut(runWith(t, s, nil, "audit", "checkpoint"), "\n")
	c.start(t)
	s.startFor(t, settings...)
	c.await(t, fmt.Sprintf(`"key":"log.record.uid","value":{"stringValue":"%s/%d"}`, name, before)) // of the second start
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	seen := c.indexes(t)
	for i := range before {
		if seen[fmt.Sprint(i)] != 1 {
			t.Errorf("record %d came %d times, want once", i, seen[fmt.Sprint(i)])
		}
	}
}

func getText(t *testing.T, client *http.Client, url string, into *string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	*into = string(text)
	return resp.StatusCode
}
