package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"

	pb "onnxgate/api/inferencepb"
)

// calls sends unary predictions to a gRPC server, each of one row.
type calls struct {
	addr  string
	trust credentials.TransportCredentials
	token string
}

// grpcOf returns the calls that go to the gRPC listener beside a server.
func grpcOf(s *server, token string) *calls {
	return &calls{addr: s.grpc, trust: credentials.NewClientTLSFromCert(s.roots, "localhost"), token: token}
}

func (c *calls) dial() (*grpc.ClientConn, error) {
	return grpc.NewClient(c.addr, grpc.WithTransportCredentials(c.trust))
}

// load sends the calls over several connections, each waiting for its answer.
func (c *calls) load(ctx context.Context, connections, total int) error {
	group, ctx := errgroup.WithContext(ctx)
	for range connections {
		group.Go(func() error {
			conn, err := c.dial()
			if err != nil {
				return err
			}
			defer conn.Close() //nolint:errcheck // the answers are in
			for range total / connections {
				if _, _, err := c.send(ctx, conn); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// send returns one answer and its header.
func (c *calls) send(ctx context.Context, conn *grpc.ClientConn) (*pb.ModelInferResponse, metadata.MD, error) {
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+c.token)
	var header metadata.MD
	answer, err := pb.NewGRPCInferenceServiceClient(conn).ModelInfer(ctx, &pb.ModelInferRequest{
		ModelName: "iris",
		Inputs: []*pb.ModelInferRequest_InferInputTensor{{
			Name: "X", Datatype: "FP32", Shape: []int64{1, 4},
			Contents: &pb.InferTensorContents{Fp32Contents: []float32{5.1, 3.5, 1.4, .2}},
		}},
	}, grpc.Header(&header))
	return answer, header, err
}

// record writes what a gRPC server answers into the folder, for the bare one.
func (c *calls) record(ctx context.Context, dir string) error {
	conn, err := c.dial()
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // the answer is in
	answer, header, err := c.send(ctx, conn)
	if err != nil {
		return err
	}
	text, err := protojson.Marshal(answer)
	if err != nil {
		return err
	}
	header.Delete("content-type") // grpc-go's own
	fields, err := json.Marshal(header)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, "infer.json"), text, 0o600), os.WriteFile(filepath.Join(dir, "header.json"), fields, 0o600))
}

// bareGRPC answers every call with the recorded answer after grpc-go has decoded
// its message: the least that a prediction service on grpc-go can do.
type bareGRPC struct {
	pb.UnimplementedGRPCInferenceServiceServer

	answer *pb.ModelInferResponse
	header metadata.MD
}

// ModelInfer returns the recorded answer.
func (b *bareGRPC) ModelInfer(ctx context.Context, _ *pb.ModelInferRequest) (*pb.ModelInferResponse, error) {
	if err := grpc.SetHeader(ctx, b.header); err != nil {
		return nil, err
	}
	return b.answer, nil
}

// serveBareGRPC serves until ctx ends.
func serveBareGRPC(ctx context.Context, dir string) error {
	var files [3][]byte
	for i, name := range []string{"infer.json", "header.json", "grpc-addr"} {
		var err error
		if files[i], err = os.ReadFile(filepath.Join(dir, name)); err != nil { //nolint:gosec // a path of our own
			return err
		}
	}
	answer := &pb.ModelInferResponse{}
	if err := protojson.Unmarshal(files[0], answer); err != nil {
		return err
	}
	var header metadata.MD
	if err := json.Unmarshal(files[1], &header); err != nil {
		return err
	}
	trust, err := credentials.NewServerTLSFromFile(filepath.Join(dir, "data", "tls", "cert.pem"), filepath.Join(dir, "data", "tls", "key.pem"))
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", string(files[2]))
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.Creds(trust))
	pb.RegisterGRPCInferenceServiceServer(s, &bareGRPC{answer: answer, header: header})
	go func() { <-ctx.Done(); s.Stop() }()
	return s.Serve(l)
}
