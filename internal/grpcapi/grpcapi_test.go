package grpcapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "onnxgate/api/inferencepb"
	"onnxgate/internal/admission"
	"onnxgate/internal/fault"
	"onnxgate/internal/grpcapi"
	"onnxgate/internal/limit"
	"onnxgate/internal/testkit"
)

func TestCallsAreRefusedInOneOrder(t *testing.T) {
	bad := about("iris", 5.1, 3.5, 1.4)
	for name, tc := range map[string]struct {
		token string
		req   *pb.ModelInferRequest
		over  bool // the address's rate is used up
		code  codes.Code
		text  string
	}{
		"rate goes first":                       {"", bad, true, codes.ResourceExhausted, "Too many requests from this address: at most 1/minute; wait as long as Retry-After says"},
		"then the credential":                   {"", about("none"), false, codes.Unauthenticated, "The access token is not valid"},
		"then the permission":                   {"noscope", about("none"), false, codes.PermissionDenied, "Operation not permitted"},
		"then the model":                        {"user", about("none"), false, codes.NotFound, "Request for unknown model: 'none' is not found"},
		"another tenant's is as none":           {"guest", about("iris"), false, codes.NotFound, "Request for unknown model: 'iris' is not found"},
		"a version that is not there":           {"admin", &pb.ModelInferRequest{ModelName: "iris", ModelVersion: "9"}, false, codes.NotFound, "Request for unknown model: 'iris' version 9 is not found"},
		"then its rules, before the tensors":    {"user", &pb.ModelInferRequest{ModelName: "closed", Inputs: bad.GetInputs()}, false, codes.PermissionDenied, "Operation not permitted"},
		"then the credentials that it asks for": {"admin", about("layered"), false, codes.Unauthenticated, "This model requires an access token and an API key in one request"},
		"then the tensors":                      {"user", bad, false, codes.InvalidArgument, `Input "X": fp32_contents has 3 elements, and shape [0,4] holds 0`},
		"a defect tells nothing":                {"broken", about("iris"), false, codes.Internal, "The server failed. The request id finds the reason in its log"},
		"a panic tells nothing":                 {"panic", about("iris"), false, codes.Internal, "The server failed. The request id finds the reason in its log"},
		"nothing is wrong":                      {"user", about("iris"), false, codes.OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, testkit.Flower{}, nil)
			if tc.over {
				f.predictions(1)
				_, _ = f.client.ModelInfer(t.Context(), about("iris"))
			}
			var header metadata.MD
			_, err := f.client.ModelInfer(as(t.Context(), tc.token), tc.req, grpc.Header(&header))
			if s := status.Convert(err); s.Code() != tc.code || s.Message() != tc.text {
				t.Errorf("%v %q, want %v %q", s.Code(), s.Message(), tc.code, tc.text)
			}
			if len(header.Get("x-request-id")) != 1 {
				t.Errorf("no request id in %v", header)
			}
		})
	}
}

func TestRefusalSaysWhenToComeBackAndCountsInOneRate(t *testing.T) {
	f := serve(t, testkit.Flower{}, nil)
	f.predictions(2)
	var header metadata.MD
	if _, err := f.client.ModelInfer(as(t.Context(), "user"), about("iris"), grpc.Header(&header)); err != nil {
		t.Fatal(err)
	}
	if got := header.Get("ratelimit-policy"); len(got) != 1 || got[0] != `"predict";q=2;w=60` {
		t.Errorf("ratelimit-policy %q", got)
	}
	_, _ = f.client.ModelInfer(t.Context(), about("iris")) // refused ones count too
	_, err := f.client.ModelInfer(as(t.Context(), "user"), about("iris"), grpc.Header(&header))
	s := status.Convert(err)
	if s.Code() != codes.ResourceExhausted || len(header.Get("retry-after")) != 1 || len(s.Details()) != 1 {
		t.Fatalf("%v with %v and header %v", err, s.Details(), header)
	}
	if info, ok := s.Details()[0].(*errdetails.RetryInfo); !ok || info.GetRetryDelay().AsDuration() < time.Second {
		t.Errorf("%v, want a delay of a second or more", s.Details())
	}
	if _, err := f.client.ServerLive(t.Context(), &pb.ServerLiveRequest{}); err != nil {
		t.Errorf("health is counted: %v", err)
	}
}

func TestCallersOwnRateHolds(t *testing.T) {
	f := serve(t, testkit.Flower{}, nil)
	for i, want := range []codes.Code{codes.OK, codes.ResourceExhausted} {
		if _, err := f.client.ModelInfer(as(t.Context(), "slow"), about("iris")); status.Code(err) != want {
			t.Errorf("call %d: %v, want %v", i, err, want)
		}
	}
}

func TestFaultsOfRowsAreNamed(t *testing.T) {
	f := serve(t, testkit.Flower{}, nil)
	for name, values := range map[string][]float32{
		"out of range": {5.1, 3.5, 1.4, 99}, "NaN": {5.1, 3.5, 1.4, float32(math.NaN())}, "infinity": {float32(math.Inf(1)), 3.5, 1.4, .2},
	} {
		_, err := f.client.ModelInfer(as(t.Context(), "user"), about("iris", values...))
		s := status.Convert(err)
		if s.Code() != codes.InvalidArgument || len(s.Details()) != 1 {
			t.Errorf("%s: %v, details %v", name, err, s.Details())
			continue
		}
		if bad, ok := s.Details()[0].(*errdetails.BadRequest); !ok || len(bad.GetFieldViolations()) != 1 || !strings.HasPrefix(bad.GetFieldViolations()[0].GetField(), "#/") {
			t.Errorf("%s: %v, want one field", name, s.Details())
		}
	}
}

func TestStreamGoesOnAfterWhatIsWrongWithAMessage(t *testing.T) {
	f := serve(t, testkit.Flower{}, nil)
	stream, err := f.client.ModelStreamInfer(as(t.Context(), "user"))
	if err != nil {
		t.Fatal(err)
	}
	tooMany := regexp.MustCompile(`^Too many requests .*Retry-After says \(retry-after: [1-9]\d*\)$`)
	exchange := func(req *pb.ModelInferRequest) *pb.ModelStreamInferResponse {
		t.Helper()
		if err := stream.Send(req); err != nil {
			t.Fatal(err)
		}
		got, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := exchange(about("iris")); got.GetErrorMessage() != "" || got.GetInferResponse().GetModelName() != "iris" {
		t.Errorf("%v, want an answer", got)
	}
	if got := exchange(about("none")); got.GetErrorMessage() != "Request for unknown model: 'none' is not found" {
		t.Errorf("%v, want the fault", got)
	}
	f.predictions(1)
	if got := exchange(about("iris")); got.GetErrorMessage() != "" {
		t.Errorf("%v, want an answer", got)
	}
	if got := exchange(about("iris")); !tooMany.MatchString(got.GetErrorMessage()) {
		t.Errorf("%v, want a refusal by the rate", got)
	}
	f.limits.Reload(admission.Rates{})
	f.callers.revoke("user")
	if got := exchange(about("iris")); got.GetErrorMessage() != "The access token is no longer valid" {
		t.Errorf("%v, want a refusal of the token", got)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the end", err)
	}
}

func TestStreamThatWaitsDoesNotHoldUpAStop(t *testing.T) {
	f := serve(t, testkit.Flower{}, nil)
	stream, err := f.client.ModelStreamInfer(as(t.Context(), "user"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(about("iris")); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	f.api.Drain()
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable || status.Convert(err).Message() != "The server stops; try again, at another one if there is" {
		t.Errorf("the stream ends with %v, want why", err)
	}
	late, err := f.client.ModelStreamInfer(as(t.Context(), "user"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := late.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("a stream begins that waits: %v", err)
	}
}

func TestRightsAreProvenAgainAfterASlowMessage(t *testing.T) {
	var later atomic.Int64
	f := serve(t, testkit.Flower{}, func(c *grpcapi.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	message, err := proto.Marshal(about("iris"))
	if err != nil {
		t.Fatal(err)
	}
	whole := append([]byte{0, 0, 0, 0, byte(len(message))}, message...)
	resp := send(t, f, whole[:9], func() []byte { //nolint:bodyclose // send does
		for !f.callers.seen() {
			time.Sleep(time.Millisecond)
		}
		f.callers.revoke("user")
		later.Store(int64(time.Second))
		return whole[9:]
	})
	if got := resp.Header.Get("Grpc-Status") + resp.Trailer.Get("Grpc-Status"); got != "16" {
		t.Errorf("status %s, want the revoked token refused", got)
	}
}

func TestDeadlineReachesTheEngine(t *testing.T) {
	var loaded atomic.Bool // a model is tried before it is served
	f := serve(t, testkit.Flower{OnRun: func(ctx context.Context) error {
		if loaded.Load() {
			<-ctx.Done()
		}
		return ctx.Err()
	}}, nil)
	loaded.Store(true)
	ctx, cancel := context.WithTimeout(as(t.Context(), "user"), 300*time.Millisecond)
	defer cancel()
	if _, err := f.client.ModelInfer(ctx, about("iris")); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("%v, want the deadline", err)
	}
}

func TestPanicInTheEngineEndsOneCall(t *testing.T) {
	var broken atomic.Bool
	f := serve(t, testkit.Flower{OnRun: func(context.Context) error {
		if broken.Swap(false) {
			panic("a defect with a secret inside")
		}
		return nil
	}}, nil)
	broken.Store(true)
	for _, want := range []codes.Code{codes.Internal, codes.OK} {
		_, err := f.client.ModelInfer(as(t.Context(), "user"), about("iris"))
		if status.Code(err) != want || strings.Contains(status.Convert(err).Message(), "secret") {
			t.Errorf("%v, want %v", err, want)
		}
	}
}

func TestPanicWithinAMessageOfAStreamIsCountedOnce(t *testing.T) {
	var broken atomic.Bool
	f := serve(t, testkit.Flower{OnRun: func(context.Context) error {
		if broken.Swap(false) {
			panic("a defect with a secret inside")
		}
		return nil
	}}, nil)
	broken.Store(true)
	stream, err := f.client.ModelStreamInfer(as(t.Context(), "user"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"The server failed. The request id finds the reason in its log", ""} {
		if err := stream.Send(about("iris")); err != nil {
			t.Fatal(err)
		}
		if got, err := stream.Recv(); err != nil || got.GetErrorMessage() != want {
			t.Errorf("%v, %v, want the error message %q", got, err, want)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the end", err)
	}
	for name, want := range map[string]float64{"onnxgate_grpc_requests_total": 2, "onnxgate_refusals_total": 1} {
		if got := f.counted(t, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	_ = f.access.Close()
	if text := f.lines.String(); strings.Count(text, `"reason":"internal"`) != 1 {
		t.Errorf("want one line of the panic:\n%s", text)
	}
}

func TestMessagesHaveABound(t *testing.T) {
	f := serve(t, testkit.Flower{}, func(c *grpcapi.Config) { c.MaxMessage = 1 << 20 })
	large := about("iris", make([]float32, 1<<20)...)
	for name, options := range map[string][]grpc.CallOption{"as it is": nil, "a bomb of zeros": {grpc.UseCompressor("gzip")}} {
		if _, err := f.client.ModelInfer(as(t.Context(), "user"), large, options...); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("%s: %v, want it refused for its length", name, err)
		}
	}
	if _, err := f.client.ModelInfer(as(t.Context(), "user"), about("iris"), grpc.UseCompressor("gzip")); err != nil {
		t.Errorf("compressed: %v", err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-flood", strings.Repeat("a", 17<<10))
	if _, err := f.client.ServerLive(ctx, &pb.ServerLiveRequest{}); err == nil {
		t.Error("a header of 17 KiB was read")
	}
}

// send sends a ModelInfer in two parts, of which the second never comes when rest
// is nil, with further header fields in pairs, and returns its answer.
func send(t *testing.T, f *fixture, first []byte, rest func() []byte, header ...string) *http.Response {
	t.Helper()
	resp, err := try(t, f, first, rest, header...)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// try is send where the stream may be reset.
func try(t *testing.T, f *fixture, first []byte, rest func() []byte, header ...string) (*http.Response, error) {
	t.Helper()
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	body, writer := io.Pipe()
	t.Cleanup(func() { _ = writer.Close() })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+f.addr+"/inference.GRPCInferenceService/ModelInfer", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "Authorization": {"Bearer user"}}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	go func() {
		_, _ = writer.Write(first)
		if rest != nil {
			_, _ = writer.Write(rest())
			_ = writer.Close()
		}
	}()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp, nil
}

func TestSlowMessageNeedsMemoryForTheLongest(t *testing.T) {
	f := serve(t, testkit.Flower{}, nil)
	if !f.memory.Take(limit.Holder{Principal: "one"}, memorySize/2) || !f.memory.Take(limit.Holder{Principal: "another"}, memorySize/2) {
		t.Fatal("the memory is not free")
	}
	resp := send(t, f, []byte{0, 0, 0, 0, 9, 1, 2}, nil) //nolint:bodyclose // send does
	for name, want := range map[string]string{"Grpc-Status": "14", "Grpc-Message": "Too many large messages are on their way at once; try again, or send fewer rows in each", "Retry-After": "1"} {
		if got := resp.Header.Get(name) + resp.Trailer.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if resp.Header.Get("X-Request-Id") == "" {
		t.Error("the refusal has no request id")
	}
	if got := f.reasons(t); !slices.Equal(got, []string{"unavailable"}) {
		t.Errorf("reasons %v", got)
	}
	f.memory.Give(limit.Holder{Principal: "one"}, memorySize/2)
	f.memory.Give(limit.Holder{Principal: "another"}, memorySize/2)
}

// A message that takes too long is ended by us, and the client reads so.
func TestMessageThatTakesTooLongIsEndedWithItsReason(t *testing.T) {
	var later atomic.Int64
	f := serve(t, testkit.Flower{}, func(c *grpcapi.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	resp := send(t, f, []byte{0, 0, 0, 0, 9, 1, 2}, func() []byte { //nolint:bodyclose // send does
		for !f.callers.seen() {
			time.Sleep(time.Millisecond)
		}
		later.Store(int64(time.Minute))
		<-t.Context().Done()
		return nil
	})
	if code, text := resp.Trailer.Get("Grpc-Status"), resp.Trailer.Get("Grpc-Message"); code != "4" || text != "The message was longer than 30 seconds on its way" {
		t.Errorf("status %s %q", code, text)
	}
	testkit.Eventually(t, "it keeps nothing of the memory", func() bool { return f.memory.Free() == memorySize })
}

// However many keys a tenant has, half of the memory is there for the others.
func TestKeysOfOneTenantLeaveMemoryToAnother(t *testing.T) {
	f := serve(t, testkit.Flower{}, func(c *grpcapi.Config) { c.MaxRows = 1 << 20 })
	first := limit.Holder{Principal: "acme-1", Tenant: "acme"}
	if !f.memory.Take(first, memorySize/2) {
		t.Fatal("the memory is not free")
	}
	defer f.memory.Give(first, memorySize/2)
	resp := send(t, f, []byte{0, 0, 0, 0, 9, 1, 2}, nil, "Authorization", "Bearer acme-2") //nolint:bodyclose // send does
	if got := resp.Trailer.Get("Grpc-Status"); got != "14" {
		t.Errorf("the tenant's second key: status %q, want its message ended at once", got)
	}
	if _, err := f.client.ModelInfer(as(t.Context(), "admin"), about("closed", make([]float32, 100_000)...)); err != nil {
		t.Errorf("another tenant's large prediction: %v", err)
	}
}

func TestOpenMethodsTakeNoMemoryOfPredictions(t *testing.T) {
	f := serve(t, testkit.Flower{}, func(c *grpcapi.Config) { c.MaxRows = 1 << 20 })
	conn, err := grpc.NewClient(f.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	const strangers, placed = 8, 2 // half of what is there for such messages is one address's
	ended := make(chan error, strangers)
	for range strangers { // of which none ever sends its message
		s, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, "/inference.GRPCInferenceService/ServerLive")
		if err != nil {
			t.Fatal(err)
		}
		go func() { ended <- s.RecvMsg(&pb.ServerLiveResponse{}) }()
	}
	for range strangers - placed {
		if err := <-ended; status.Code(err) != codes.Unavailable {
			t.Errorf("%v, want it ended for want of memory", err)
		}
	}
	if free := f.memory.Free(); free != memorySize {
		t.Errorf("strangers took %d bytes", memorySize-free)
	}
	if _, err := f.client.ModelInfer(as(t.Context(), "admin"), about("closed", make([]float32, 100_000)...)); err != nil {
		t.Errorf("a large prediction beside them: %v", err)
	}
}

func TestStreamsOfStrangersHaveABound(t *testing.T) {
	f := serve(t, testkit.Flower{}, func(c *grpcapi.Config) { c.Reflection = true })
	conn, err := grpc.NewClient(f.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	both := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	const most = 4
	for n := range most + 1 {
		s, err := conn.NewStream(t.Context(), both, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
		if err != nil {
			t.Fatal(err)
		}
		_ = s.SendMsg(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}) // Recv tells
		err = s.RecvMsg(&reflectionpb.ServerReflectionResponse{})
		if want := n == most; want != (status.Code(err) == codes.Unavailable) {
			t.Errorf("stream %d: %v", n, err)
		}
	}
}

func TestLongMessagesShareTheMemory(t *testing.T) {
	f := serve(t, testkit.Flower{}, func(c *grpcapi.Config) { c.MaxRows = 1 << 20 })
	if !f.memory.Take(limit.Holder{Principal: "one"}, memorySize/2) || !f.memory.Take(limit.Holder{Principal: "another"}, memorySize/2) {
		t.Fatal("the memory is not free")
	}
	long := about("closed", make([]float32, 100_000)...)
	if _, err := f.client.ModelInfer(as(t.Context(), "admin"), long); status.Code(err) != codes.Unavailable {
		t.Errorf("%v, want it refused for want of memory", err)
	}
	if _, err := f.client.ModelInfer(as(t.Context(), "admin"), about("closed")); err != nil {
		t.Errorf("a short one: %v", err)
	}
	f.memory.Give(limit.Holder{Principal: "one"}, memorySize/2)
	f.memory.Give(limit.Holder{Principal: "another"}, memorySize/2)
	if _, err := f.client.ModelInfer(as(t.Context(), "admin"), long); err != nil {
		t.Errorf("with memory: %v", err)
	}
}

func TestMalformedMessagesAreTheClientsFault(t *testing.T) {
	f := serve(t, testkit.Flower{}, nil)
	for name, message := range map[string][]byte{
		"a truncated varint":       {0x0a, 0xff},
		"a length beyond the end":  {0x0a, 0x7f, 'i'},
		"a group":                  {0x0b, 0x0c},
		"no wire type":             {0x0f, 0x00},
		"field number 0":           {0x02, 0x00},
		"a varint of eleven bytes": bytes.Repeat([]byte{0xff}, 11),
		"a name that is no text":   {0x0a, 0x02, 0xff, 0xfe},
		"a number for the inputs":  append([]byte("\x0a\x04iris"), 0x28, 0x01),
		"a negative extent":        []byte("\x0a\x04iris\x2a\x14\x0a\x01X\x12\x04FP32\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
		"nothing":                  {},
	} {
		out := new(pb.ModelInferResponse)
		err := f.conn.Invoke(as(t.Context(), "admin"), "/inference.GRPCInferenceService/ModelInfer", message, out, grpc.ForceCodec(asIs{}))
		if c := status.Code(err); c != codes.InvalidArgument && (name != "nothing" || c != codes.NotFound) {
			t.Errorf("%s: %v, want an invalid argument", name, err)
		}
	}
}

// asIs sends bytes as they are.
type asIs struct{}

func (asIs) Marshal(v any) ([]byte, error) { return v.([]byte), nil } //nolint:errcheck // the tests send nothing else
func (asIs) Unmarshal([]byte, any) error   { return nil }
func (asIs) Name() string                  { return "proto" }

func TestHealthIsOpenAndFollowsTheServer(t *testing.T) {
	f := serve(t, testkit.Flower{}, nil)
	health := healthpb.NewHealthClient(f.conn)
	for _, service := range []string{"", "inference.GRPCInferenceService"} {
		got, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v, %v", service, got, err)
		}
	}
	if _, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "none"}); status.Code(err) != codes.NotFound {
		t.Errorf("an unknown service: %v", err)
	}
	watch, err := health.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []healthpb.HealthCheckResponse_ServingStatus{healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING} {
		if got, err := watch.Recv(); err != nil || got.GetStatus() != want {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
		f.api.Drain()
	}
}

func TestWhatIsNotInTheTableDoesNotExist(t *testing.T) {
	f := serve(t, testkit.Flower{}, nil)
	for _, method := range []string{
		"/inference.GRPCInferenceService/SystemSharedMemoryRegister", "/none/None",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	} {
		err := f.conn.Invoke(as(t.Context(), "admin"), method, &pb.ServerLiveRequest{}, &pb.ServerLiveResponse{})
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestReflectionIsThereWhenItIsOn(t *testing.T) {
	f := serve(t, testkit.Flower{}, func(c *grpcapi.Config) { c.Reflection = true })
	stream, err := reflectionpb.NewServerReflectionClient(f.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "inference.GRPCInferenceService"}}); err != nil {
		t.Fatal(err)
	}
	if got, err := stream.Recv(); err != nil || len(got.GetFileDescriptorResponse().GetFileDescriptorProto()) != 1 {
		t.Errorf("%v, %v, want the file that defines the service", got, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the end", err)
	}
}

func TestModelsAreDescribedToWhoMayReadThem(t *testing.T) {
	f := serve(t, testkit.Flower{}, nil)
	ctx := as(t.Context(), "user")
	meta, err := f.client.ModelMetadata(ctx, &pb.ModelMetadataRequest{Name: "iris"})
	if err != nil || meta.GetPlatform() != "onnx_onnxv1" || meta.GetInputs()[0].GetShape()[0] != -1 || len(meta.GetOutputs()) != 2 {
		t.Errorf("%v, %v", meta, err)
	}
	config, err := f.client.ModelConfig(ctx, &pb.ModelConfigRequest{Name: "iris"})
	if err != nil || config.GetConfig().GetInput()[0].GetDataType() != pb.DataType_TYPE_FP32 {
		t.Errorf("%v, %v", config, err)
	}
	for model, want := range map[string]bool{"iris": true, "none": false} {
		ready, err := f.client.ModelReady(ctx, &pb.ModelReadyRequest{Name: model})
		if err != nil || ready.GetReady() != want {
			t.Errorf("%s: %v, %v", model, ready, err)
		}
	}
	if _, err := f.client.ModelMetadata(ctx, &pb.ModelMetadataRequest{Name: "closed"}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("closed: %v", err)
	}
	if _, err := f.client.ModelInfer(ctx, about("iris")); err != nil {
		t.Fatal(err)
	}
	stats, err := f.client.ModelStatistics(ctx, &pb.ModelStatisticsRequest{Name: "iris"})
	if err != nil || stats.GetModelStats()[0].GetInferenceCount() != 1 {
		t.Fatalf("%v, %v", stats, err)
	}
	one := stats.GetModelStats()[0]
	if b := one.GetBatchStats(); len(b) != 1 || b[0].GetBatchSize() != 1 || b[0].GetComputeInfer().GetCount() != 1 || one.GetMemoryUsage()[0].GetByteSize() == 0 {
		t.Errorf("by batch %v, memory %v", b, one.GetMemoryUsage())
	}
}

func TestRepositoryIsForWhoMayManageModels(t *testing.T) {
	f := serve(t, testkit.Flower{}, nil)
	if _, err := f.client.RepositoryIndex(as(t.Context(), "user"), &pb.RepositoryIndexRequest{}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a user: %v", err)
	}
	ctx := as(t.Context(), "admin")
	index, err := f.client.RepositoryIndex(ctx, &pb.RepositoryIndexRequest{})
	if err != nil || len(index.GetModels()) != 3 {
		t.Errorf("%v, %v, want the three of the tenant", index, err)
	}
	other := &pb.RepositoryIndexResponse{}
	if err := f.conn.Invoke(ctx, "/inference.model_repository.ModelRepositoryService/RepositoryIndex", &pb.RepositoryIndexRequest{Ready: true}, other); err != nil || len(other.GetModels()) != 3 {
		t.Errorf("MLServer's service: %v, %v", other, err)
	}
	if _, err := f.client.RepositoryModelUnload(ctx, &pb.RepositoryModelUnloadRequest{ModelName: "iris"}); err != nil {
		t.Fatal(err)
	}
	if ready, err := f.client.ModelReady(ctx, &pb.ModelReadyRequest{Name: "iris"}); err != nil || ready.GetReady() {
		t.Errorf("unloaded: %v, %v", ready, err)
	}
	if _, err := f.client.RepositoryModelLoad(ctx, &pb.RepositoryModelLoadRequest{ModelName: "none"}); !strings.Contains(status.Convert(err).Message(), "ailed to load") {
		t.Errorf("%v", err)
	}
	if _, err := f.client.RepositoryModelLoad(ctx, &pb.RepositoryModelLoadRequest{ModelName: "iris"}); err != nil {
		t.Error(err)
	}
	if _, err := f.client.ModelInfer(ctx, about("iris")); err != nil {
		t.Error(err)
	}
}

// away are issuers of whom none can be reached.
type away struct{}

func (away) Answers(context.Context, string) error {
	return &fault.Error{Kind: fault.Unavailable, RetryAfter: time.Second, Msg: "The issuer cannot be reached"}
}

func TestNothingIsChangedOnTheWordOfAnIssuerThatIsAway(t *testing.T) {
	f := serve(t, testkit.Flower{}, func(c *grpcapi.Config) { c.Issuers = away{} })
	load, unload := &pb.RepositoryModelLoadRequest{ModelName: "iris"}, &pb.RepositoryModelUnloadRequest{ModelName: "iris"}
	for token, want := range map[string]codes.Code{"outsider": codes.Unavailable, "admin": codes.OK} {
		ctx := as(t.Context(), token)
		if _, err := f.client.RepositoryModelUnload(ctx, unload); status.Code(err) != want {
			t.Errorf("%s unloads: %v, want %v", token, err, want)
		}
		if _, err := f.client.RepositoryModelLoad(ctx, load); status.Code(err) != want {
			t.Errorf("%s loads: %v, want %v", token, err, want)
		}
		if err := f.conn.Invoke(ctx, "/inference.model_repository.ModelRepositoryService/RepositoryModelLoad", load, &pb.RepositoryModelLoadResponse{}); status.Code(err) != want {
			t.Errorf("%s loads by MLServer's service: %v, want %v", token, err, want)
		}
		if _, err := f.client.RepositoryIndex(ctx, &pb.RepositoryIndexRequest{}); err != nil {
			t.Errorf("%s looks: %v", token, err)
		}
		if _, err := f.client.ModelInfer(ctx, about("iris")); err != nil {
			t.Errorf("%s predicts: %v", token, err)
		}
	}
}

func TestEveryCallHasAnAccessLine(t *testing.T) {
	f := serve(t, testkit.Flower{}, nil)
	_, _ = f.client.ModelInfer(as(t.Context(), "user"), about("iris"))
	_, _ = f.client.ModelInfer(as(t.Context(), "user"), about("none"))
	_ = f.access.Close()
	text := f.lines.String()
	for _, want := range []string{
		`"method":"gRPC","route":"inference.GRPCInferenceService/ModelInfer","path":"/inference.GRPCInferenceService/ModelInfer","status":0`,
		`"subject":"user","model":"iris","version":"1"`, `"status":5`, `"reason":"not_found"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}
