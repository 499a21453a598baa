package grpcapi_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "onnxgate/api/inferencepb"
	"onnxgate/internal/admission"
	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/grpcapi"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/limit"
	"onnxgate/internal/schema"
	"onnxgate/internal/telemetry"
	"onnxgate/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// callers are known by their tokens. Those in revoked are refused.
type callers struct {
	mu      sync.Mutex
	revoked map[string]bool
	asked   int
}

// seen reports whether anybody was asked for.
func (c *callers) seen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked > 0
}

func (c *callers) revoke(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revoked = map[string]bool{token: true}
}

func (c *callers) Authenticate(_ context.Context, presented authn.Credentials) (*identity.Principal, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	p := &identity.Principal{Subject: presented.Bearer, Tenant: "default", Method: identity.Bearer, Scopes: []string{"models:read", "models:predict", "models:write"}}
	switch token := presented.Bearer; {
	case c.revoked[token]:
		return nil, &fault.Error{Kind: fault.Unauthenticated, Msg: "The access token is no longer valid"}
	case token == "admin":
		p.Roles = []string{"admin"}
	case token == "user":
		p.Roles = []string{"user"}
	case strings.HasPrefix(token, "acme-"):
		p.Roles, p.Tenant = []string{"admin"}, "acme"
	case token == "outsider":
		p.Roles, p.Method, p.Issuer = []string{"admin"}, identity.Outside, "https://idp.example"
	case token == "noscope":
		p.Roles, p.Scopes = []string{"admin"}, nil
	case token == "guest":
		p.Roles, p.Tenant = []string{"user"}, "acme"
	case token == "slow":
		p.Roles, p.Limit = []string{"admin"}, testkit.Limit("1/minute")
	case token == "panic":
		panic("a defect with a secret inside")
	case token == "broken":
		return nil, errors.New("dial tcp 10.0.0.1: secret reason")
	default:
		return nil, &fault.Error{Kind: fault.Unauthenticated, Msg: "The access token is not valid"}
	}
	return p, nil
}

// fixture is a running server with fakes behind it.
type fixture struct {
	api     *grpcapi.API
	addr    string
	callers *callers
	limits  *admission.Control
	memory  *limit.Bytes
	metrics *telemetry.Metrics
	access  *telemetry.AccessLog
	lines   *testkit.Buffer
	conn    *grpc.ClientConn
	client  pb.GRPCInferenceServiceClient
}

// memorySize is what messages may take in the tests.
const memorySize = 16 << 20

func serve(tb testing.TB, program inference.Program, change func(*grpcapi.Config)) *fixture {
	tb.Helper()
	limits, err := admission.New(admission.Config{MaxInFlight: 1, Now: time.Now})
	if err != nil {
		tb.Fatal(err)
	}
	catalog := irisCatalog(tb, program, limits)
	f := &fixture{
		limits:  limits,
		callers: &callers{}, memory: limit.NewBytes(memorySize, nil),
		metrics: telemetry.NewMetrics("v1"), lines: &testkit.Buffer{},
	}
	f.access = telemetry.NewAccessLog(telemetry.AccessConfig{Writer: f.lines, Format: telemetry.JSON})
	cfg := grpcapi.Config{
		Models: catalog, Repository: catalog, Delivery: catalog, Authenticator: f.callers, Admission: f.limits, Memory: f.memory,
		Metrics: f.metrics, AccessLog: f.access, Log: slog.New(slog.DiscardHandler), Now: time.Now, Version: "v1",
	}
	if change != nil {
		change(&cfg)
	}
	if f.api, err = grpcapi.New(cfg); err != nil {
		tb.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	f.addr = l.Addr().String()
	server := f.api.NewServer(nil)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	if f.conn, err = grpc.NewClient(f.addr, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		tb.Fatal(err)
	}
	f.client = pb.NewGRPCInferenceServiceClient(f.conn)
	tb.Cleanup(func() {
		_ = f.conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			tb.Error(err)
		}
		_ = f.access.Close()
		if free := f.memory.Free(); free != memorySize {
			tb.Errorf("%d bytes of the memory for messages were not given back", memorySize-free)
		}
	})
	return f
}

// door admits to a model.
type door struct{ *admission.Model }

func (d door) Enter(ctx context.Context, p *identity.Principal, bytes int64) (inference.Passage, error) {
	passage, err := d.Model.Enter(ctx, p, bytes)
	if err != nil {
		return nil, err
	}
	return passage, nil
}

func irisCatalog(tb testing.TB, program inference.Program, limits *admission.Control) *inference.Catalog {
	tb.Helper()
	manifest, err := os.ReadFile("../../models/iris/model.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	manifest = bytes.Replace(manifest, []byte("roles: [admin]"), []byte("roles: [admin, user]"), 1)
	catalog, err := inference.New(tb.Context(), inference.Config{
		FS: fstest.MapFS{
			"iris/model.yaml":        {Data: manifest},
			"iris/1/model.onnx":      {Data: []byte("one")},
			"closed/1/model.onnx":    {Data: []byte("two")}, // for administrators
			"layered/1/model.onnx":   {Data: []byte("three")},
			"layered/model.yaml":     {Data: []byte("access:\n  roles: [admin]\n  require: [bearer, api_key]\n")},
			"@acme/own/1/model.onnx": {Data: []byte("four")},
		},
		TenantExists: func(context.Context, string) (bool, error) { return true, nil },
		Compile:      func([]byte, schema.Engine) (inference.Program, []string, error) { return program, nil, nil },
		Admit: func(label string, _ *schema.Limits) inference.Admission {
			return door{limits.Model(label, admission.Limits{})}
		},
		Now: time.Now,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return catalog
}

// as returns a context that carries a token, none when it is empty.
func as(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// about is a request about one flower.
func about(model string, values ...float32) *pb.ModelInferRequest {
	if values == nil {
		values = []float32{5.1, 3.5, 1.4, .2}
	}
	return &pb.ModelInferRequest{ModelName: model, Inputs: []*pb.ModelInferRequest_InferInputTensor{{
		Name: "X", Datatype: "FP32", Shape: []int64{int64(len(values) / 4), 4}, Contents: &pb.InferTensorContents{Fp32Contents: values},
	}}}
}

// predictions lets an address predict so often in a minute.
func (f *fixture) predictions(n int64) {
	f.limits.Reload(admission.Rates{Predict: identity.Rates{{Requests: n, Window: time.Minute}}})
}

// counted is the sum of a counter over all of its labels.
func (f *fixture) counted(t *testing.T, name string) (sum float64) {
	t.Helper()
	families, err := f.metrics.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
