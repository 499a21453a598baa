package app_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"math"
	"os"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "onnxgate/api/inferencepb"
)

// dialGRPC returns a client of the gRPC listener that trusts its certificate and
// shows its own, if there is any.
func (s *server) dialGRPC(tb testing.TB, own ...tls.Certificate) pb.GRPCInferenceServiceClient {
	tb.Helper()
	return pb.NewGRPCInferenceServiceClient(s.connGRPC(tb, own...))
}

// trust trusts the server's certificate.
func (s *server) trust(tb testing.TB) *tls.Config {
	tb.Helper()
	_, file := s.Fingerprint()
	pem, err := os.ReadFile(file)
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		tb.Fatalf("the certificate cannot be trusted: %v", err)
	}
	return &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS13}
}

// connGRPC returns the connection of such a client.
func (s *server) connGRPC(tb testing.TB, own ...tls.Certificate) *grpc.ClientConn {
	tb.Helper()
	trust := s.trust(tb)
	trust.Certificates = own
	conn, err := grpc.NewClient(s.GRPCAddr(), grpc.WithTransportCredentials(credentials.NewTLS(trust)))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// withToken returns a context that carries the token.
func withToken(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// flowers is a request about one flower, as numbers or as bytes.
func flowers(raw bool, values ...float32) *pb.ModelInferRequest {
	req := &pb.ModelInferRequest{ModelName: "iris", Id: "7", Inputs: []*pb.ModelInferRequest_InferInputTensor{{
		Name: "input-0", Datatype: "FP32", Shape: []int64{int64(len(values) / 4), 4},
	}}}
	if !raw {
		req.Inputs[0].Contents = &pb.InferTensorContents{Fp32Contents: values}
		return req
	}
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	req.RawInputContents = [][]byte{b}
	return req
}

func TestServesAPredictionOverGRPCBehindAToken(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	client := s.dialGRPC(t)
	if _, err := client.ModelInfer(t.Context(), flowers(false, 5.1, 3.5, 1.4, .2)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a token: %v", err)
	}
	ctx := withToken(t.Context(), s.token(t))
	got, err := client.ModelInfer(ctx, flowers(false, 5.1, 3.5, 1.4, .2))
	if err != nil {
		t.Fatal(err)
	}
	if label := got.GetOutputs()[0].GetContents().GetInt64Contents(); got.GetId() != "7" || len(label) != 1 || label[0] != 0 {
		t.Errorf("%v, want the label 0", got)
	}
	got, err = client.ModelInfer(ctx, flowers(true, 5.1, 3.5, 1.4, .2))
	if err != nil {
		t.Fatal(err)
	}
	if raw := got.GetRawOutputContents(); len(raw) != 2 || binary.LittleEndian.Uint64(raw[0]) != 0 {
		t.Errorf("%v, want the label 0 as bytes", got)
	}
}

func TestAStopAnswersWhatItTookAndWaitsForNoIdleStream(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	client := s.dialGRPC(t)
	stream, err := client.ModelStreamInfer(withToken(t.Context(), s.token(t)))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(flowers(false, 5.1, 3.5, 1.4, .2)); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	s.stop(t) // without a bound: it returns, or the test does not
	if _, err := stream.Recv(); err == nil {
		t.Error("the stream goes on")
	}
}
