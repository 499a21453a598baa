package grpcapi_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "onnxgate/api/inferencepb"
	"onnxgate/internal/grpcapi"
	"onnxgate/internal/telemetry"
	"onnxgate/internal/testkit"
)

// TestMalformedMessagesDoNoHarm sends messages to every unary method that are wrong
// somewhere. MALFORMED is how many, SEED the number of the first: each can be made
// again alone. None makes the server fail, and memory stays as it is.
func TestMalformedMessagesDoNoHarm(t *testing.T) {
	n, seed := testkit.Number(t, "MALFORMED", 5_000), testkit.Number(t, "SEED", 1)
	var log testkit.Buffer
	access := telemetry.NewAccessLog(telemetry.AccessConfig{Writer: io.Discard, Format: telemetry.JSON})
	t.Cleanup(func() { _ = access.Close() })
	f := serve(t, testkit.Flower{}, func(c *grpcapi.Config) {
		c.MaxMessage, c.MaxRows, c.AccessLog, c.Log = 64<<10, 100, access, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	})
	seeds := wellFormed(t)
	for _, s := range seeds {
		if err := f.send(t, s.method, s.message, nil); err != nil {
			t.Fatalf("%s: %v", s.method, err)
		}
	}
	answers := make(map[codes.Code]int)
	var middle uint64
	for i := range n {
		if i == n/2 {
			middle = testkit.InUse()
		}
		m := mutator{rand.New(rand.NewPCG(uint64(seed+i), 7))}
		s := seeds[m.IntN(len(seeds))]
		message := m.message(bytes.Clone(s.message))
		err := f.send(t, s.method, message, m.metadata())
		code := status.Code(err)
		answers[code]++
		if slices.Contains([]codes.Code{codes.Internal, codes.Unknown, codes.Unavailable, codes.DeadlineExceeded}, code) {
			t.Fatalf("SEED=%d: %v for %s\n%x", seed+i, err, s.method, message)
		}
	}
	if log.String() != "" {
		t.Errorf("%.2000s", log.String())
	}
	if grown := int64(testkit.InUse()) - int64(middle); grown > 16<<20 {
		t.Errorf("the second half took %d bytes of memory", grown)
	}
	if answers[codes.InvalidArgument] < n/4 || answers[codes.OK] == 0 {
		t.Errorf("the messages are not what they should be: %v", answers)
	}
	t.Logf("in all: %d messages", n)
}

// asBytes hands messages on as they are.
type asBytes struct{}

func (asBytes) Name() string { return "proto" }

func (asBytes) Marshal(v any) (mem.BufferSlice, error) {
	message, ok := v.(*[]byte)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return mem.BufferSlice{mem.SliceBuffer(*message)}, nil
}

func (asBytes) Unmarshal(data mem.BufferSlice, v any) error {
	message, ok := v.(*[]byte)
	if !ok {
		return errors.ErrUnsupported
	}
	*message = data.Materialize()
	return nil
}

// send calls a method with a message of these bytes.
func (f *fixture) send(t *testing.T, method string, message []byte, further metadata.MD) error {
	t.Helper()
	header := metadata.Join(metadata.Pairs("authorization", "Bearer admin"), further)
	ctx := metadata.NewOutgoingContext(t.Context(), header)
	var answer []byte
	return f.conn.Invoke(ctx, "/inference.GRPCInferenceService/"+method, &message, &answer, grpc.ForceCodecV2(asBytes{}))
}

// sample is a message that its method answers.
type sample struct {
	method  string
	message []byte
}

// wellFormed is a message of each kind that is answered.
func wellFormed(t *testing.T) []sample {
	t.Helper()
	raw := about("iris")
	raw.Inputs[0].Contents, raw.RawInputContents = nil, [][]byte{bytes.Repeat([]byte{0, 0, 0x80, 0x3f}, 4)} // ones
	many := about("iris", slices.Repeat([]float32{1}, 400)...)
	asked := about("iris")
	asked.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "output_label"}}
	asked.Id = "id"
	var all []sample
	for _, s := range []struct {
		method  string
		message proto.Message
	}{
		{"ModelInfer", about("iris")},
		{"ModelInfer", raw},
		{"ModelInfer", many},
		{"ModelInfer", asked},
		{"ModelMetadata", &pb.ModelMetadataRequest{Name: "iris", Version: "1"}},
		{"ModelReady", &pb.ModelReadyRequest{Name: "iris"}},
		{"ModelConfig", &pb.ModelConfigRequest{Name: "iris"}},
		{"ModelStatistics", &pb.ModelStatisticsRequest{Name: "iris"}},
		{"RepositoryIndex", &pb.RepositoryIndexRequest{}},
	} {
		message, err := proto.Marshal(s.message)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sample{s.method, message})
	}
	return all
}

// mutator makes messages wrong.
type mutator struct{ *rand.Rand }

// message changes one to three things.
func (m mutator) message(b []byte) []byte {
	for range 1 + m.IntN(3) {
		b = m.change(b)
	}
	return b
}

// numbers are lengths and values at the edges of what readers take.
var numbers = []uint64{0, 1, 2, 7, 127, 128, 1 << 14, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1}

func (m mutator) change(b []byte) []byte {
	at := m.IntN(len(b) + 1)
	end := at + m.IntN(len(b)-at+1)
	switch m.IntN(7) {
	case 0: // a bit
		if at < len(b) {
			b[at] ^= 1 << m.IntN(8)
		}
	case 1: // a part is gone
		return slices.Delete(b, at, end)
	case 2: // the end is
		return b[:at]
	case 3: // a part is there again
		return slices.Insert(b, m.IntN(len(b)+1), b[at:end]...)
	case 4: // another number
		return append(b[:at], protowire.AppendVarint(nil, numbers[m.IntN(len(numbers))])...)
	case 5: // another field
		field := protowire.AppendTag(nil, protowire.Number(1+m.IntN(12)), protowire.Type(m.IntN(6)))
		return slices.Insert(b, at, protowire.AppendVarint(field, numbers[m.IntN(len(numbers))])...)
	default: // something else
		for i := at; i < end; i++ {
			b[i] = byte(m.Uint32())
		}
	}
	return b
}

// metadata is further metadata, mostly none.
func (m mutator) metadata() metadata.MD {
	names := []string{"x-request-id", "traceparent", "x-forwarded-for", "forwarded", "triton-request-id-bin"}
	if m.IntN(10) > 0 {
		return nil
	}
	text := make([]byte, m.IntN(40))
	for i := range text {
		text[i] = byte(' ' + m.IntN(95))
	}
	return metadata.Pairs(names[m.IntN(len(names))], string(text))
}
