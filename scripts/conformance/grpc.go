package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "onnxgate/api/inferencepb"
)

// grpcTarget is the server's gRPC service.
type grpcTarget struct {
	conn   *grpc.ClientConn
	client pb.GRPCInferenceServiceClient
	header metadata.MD // of every call: credentials
}

// dial makes a client; without a TLS configuration it speaks in plain text.
func dial(address string, config *tls.Config, header http.Header) (*grpcTarget, error) {
	secure := insecure.NewCredentials()
	if config != nil {
		secure = credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(secure), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)))
	if err != nil {
		return nil, err
	}
	md := metadata.MD{}
	for name, values := range header {
		md[strings.ToLower(name)] = values
	}
	return &grpcTarget{conn, pb.NewGRPCInferenceServiceClient(conn), md}, nil
}

// overGRPC chooses as next does when a gRPC address is given.
func overGRPC(next chooser) chooser {
	return func(t *target) (*model, error) {
		if t.grpc == nil {
			return nil, missing("no address of a gRPC service is given (--grpc)")
		}
		return next(t)
	}
}

// callContext is the context of one call.
func (p *probe) callContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(metadata.NewOutgoingContext(p.ctx, p.t.grpc.header), p.t.timeout)
}

// call makes one unary call.
func call[Q, A any](p *probe, method func(context.Context, *Q, ...grpc.CallOption) (*A, error), q *Q) (*A, error) {
	ctx, cancel := p.callContext()
	defer cancel()
	return method(ctx, q)
}

// unlessUnimplemented says of a call that the server does not have that it is not
// applicable.
func unlessUnimplemented(method string, err error) error {
	if status.Code(err) == codes.Unimplemented {
		return missing("the server does not implement %s", method)
	}
	return err
}

// rpcRefused says what is wrong with the outcome of a call that cannot be served.
func rpcRefused(err error) error {
	if err == nil {
		return errors.New("OK")
	}
	if c := status.Code(err); c == codes.Unavailable || c == codes.DeadlineExceeded {
		return fmt.Errorf("no answer: %w", err)
	}
	return nil
}

// rpcRequest is an inference request, its inputs as bytes or in the fields of their
// datatypes.
func (m *model) rpcRequest(inputs []tensor, raw bool) *pb.ModelInferRequest {
	q := &pb.ModelInferRequest{ModelName: m.Name}
	for _, t := range inputs {
		in := &pb.ModelInferRequest_InferInputTensor{Name: t.name, Datatype: t.datatype, Shape: t.shape}
		if raw {
			q.RawInputContents = append(q.RawInputContents, t.raw())
		} else {
			in.Contents = t.contents()
		}
		q.Inputs = append(q.Inputs, in)
	}
	return q
}

// rpcExample is a valid request with typed contents.
func (p *probe) rpcExample() *pb.ModelInferRequest { return p.m.rpcRequest(p.m.example(1, 0), false) }

// contents are the tensor's elements in the field for its datatype
// (open_inference_grpc.proto, InferTensorContents).
func (t tensor) contents() *pb.InferTensorContents {
	c := new(pb.InferTensorContents)
	for _, v := range t.values {
		switch v := v.(type) {
		case bool:
			c.BoolContents = append(c.BoolContents, v)
		case string:
			c.BytesContents = append(c.BytesContents, []byte(v))
		case int64:
			if t.datatype == "INT64" {
				c.Int64Contents = append(c.Int64Contents, v)
			} else {
				c.IntContents = append(c.IntContents, int32(v)) //nolint:gosec // 32 bits or fewer
			}
		case uint64:
			if t.datatype == "UINT64" {
				c.Uint64Contents = append(c.Uint64Contents, v)
			} else {
				c.UintContents = append(c.UintContents, uint32(v)) //nolint:gosec // 32 bits or fewer
			}
		case float64:
			if t.datatype == "FP64" {
				c.Fp64Contents = append(c.Fp64Contents, v)
			} else {
				c.Fp32Contents = append(c.Fp32Contents, float32(v))
			}
		}
	}
	return c
}

// elementsOf reads typed contents of a datatype.
func elementsOf(datatype string, c *pb.InferTensorContents) []any {
	switch datatype {
	case "BOOL":
		return anys(c.GetBoolContents(), func(v bool) any { return v })
	case "INT8", "INT16", "INT32":
		return anys(c.GetIntContents(), func(v int32) any { return int64(v) })
	case "INT64":
		return anys(c.GetInt64Contents(), func(v int64) any { return v })
	case "UINT8", "UINT16", "UINT32":
		return anys(c.GetUintContents(), func(v uint32) any { return uint64(v) })
	case "UINT64":
		return anys(c.GetUint64Contents(), func(v uint64) any { return v })
	case "FP32":
		return anys(c.GetFp32Contents(), func(v float32) any { return float64(v) })
	case "FP64":
		return anys(c.GetFp64Contents(), func(v float64) any { return v })
	case "BYTES":
		return anys(c.GetBytesContents(), func(v []byte) any { return string(v) })
	default:
		return nil // FP16 has no field
	}
}

func anys[T any](values []T, convert func(T) any) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = convert(v)
	}
	return out
}

// rpcInfer makes a call that must be answered, and reads its outputs.
func (p *probe) rpcInfer(q *pb.ModelInferRequest) ([]tensor, *pb.ModelInferResponse, error) {
	a, err := call(p, p.t.grpc.client.ModelInfer, q)
	if err != nil {
		return nil, nil, err
	}
	outputs, err := rpcOutputs(a)
	return outputs, a, err
}

// rpcOutputs reads the outputs of a response, which holds all of them as bytes or
// none (open_inference_grpc.proto, ModelInferResponse).
func rpcOutputs(a *pb.ModelInferResponse) ([]tensor, error) {
	raw := a.GetRawOutputContents()
	if len(raw) > 0 && len(raw) != len(a.GetOutputs()) {
		return nil, fmt.Errorf("%d raw contents for %d outputs", len(raw), len(a.GetOutputs()))
	}
	var outputs []tensor
	for i, o := range a.GetOutputs() {
		t := tensor{name: o.GetName(), datatype: o.GetDatatype(), shape: slices.Clone(o.GetShape())}
		if _, known := sizes[t.datatype]; !known || !sane(t.shape) {
			return nil, fmt.Errorf("%s of %s with shape %v", t.name, t.datatype, t.shape)
		}
		var err error
		switch {
		case len(raw) == 0:
			t.values = elementsOf(t.datatype, o.GetContents())
		case proto.Size(o.GetContents()) > 0: // an empty message says nothing
			return nil, fmt.Errorf("%s in typed and in raw contents", t.name)
		default:
			t.values, err = parseRaw(t.datatype, t.shape, raw[i])
		}
		if err == nil && len(t.values) != elements(t.shape) {
			err = fmt.Errorf("%d elements for shape %v", len(t.values), t.shape)
		}
		if err != nil {
			return nil, fmt.Errorf("%s with %w", t.name, err)
		}
		outputs = append(outputs, t)
	}
	return outputs, nil
}
