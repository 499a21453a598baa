package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "onnxgate/api/inferencepb"
)

// fakeRPC is the fake as a gRPC service.
type fakeRPC struct {
	pb.UnimplementedGRPCInferenceServiceServer
	f *fake
}

func (f *fake) register(s *grpc.Server) {
	pb.RegisterGRPCInferenceServiceServer(s, &fakeRPC{f: f})
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
}

func rpcStatus(err error) error {
	if errors.Is(err, errNotFound) {
		return status.Error(codes.NotFound, err.Error())
	}
	return status.Error(codes.InvalidArgument, err.Error())
}

func (s *fakeRPC) ServerLive(context.Context, *pb.ServerLiveRequest) (*pb.ServerLiveResponse, error) {
	return &pb.ServerLiveResponse{Live: true}, nil
}

func (s *fakeRPC) ServerReady(context.Context, *pb.ServerReadyRequest) (*pb.ServerReadyResponse, error) {
	return &pb.ServerReadyResponse{Ready: true}, nil
}

func (s *fakeRPC) ServerMetadata(context.Context, *pb.ServerMetadataRequest) (*pb.ServerMetadataResponse, error) {
	return &pb.ServerMetadataResponse{Name: fakeInfo.Name, Version: fakeInfo.Version, Extensions: fakeInfo.Extensions}, nil
}

func (s *fakeRPC) ModelReady(_ context.Context, q *pb.ModelReadyRequest) (*pb.ModelReadyResponse, error) {
	_, err := s.f.find(q.GetName(), q.GetVersion())
	return &pb.ModelReadyResponse{Ready: err == nil}, nil
}

func (s *fakeRPC) ModelMetadata(_ context.Context, q *pb.ModelMetadataRequest) (*pb.ModelMetadataResponse, error) {
	m, err := s.f.find(q.GetName(), q.GetVersion())
	if err != nil {
		return nil, rpcStatus(err)
	}
	described := func(specs []spec) (list []*pb.ModelMetadataResponse_TensorMetadata) {
		for _, t := range specs {
			list = append(list, &pb.ModelMetadataResponse_TensorMetadata{Name: t.Name, Datatype: t.Datatype, Shape: t.Shape})
		}
		return list
	}
	return &pb.ModelMetadataResponse{Name: m.Name, Versions: m.Versions, Platform: m.Platform, Inputs: described(m.Inputs), Outputs: described(m.Outputs)}, nil
}

func (s *fakeRPC) ModelInfer(_ context.Context, q *pb.ModelInferRequest) (*pb.ModelInferResponse, error) {
	m, err := s.f.find(q.GetModelName(), q.GetModelVersion())
	if err != nil {
		return nil, rpcStatus(err)
	}
	inputs, err := rpcInputs(q)
	if err != nil {
		return nil, rpcStatus(err)
	}
	var wanted []string
	for _, o := range q.GetOutputs() {
		wanted = append(wanted, o.GetName())
	}
	outputs, err := s.f.infer(m, inputs, wanted)
	if err != nil {
		return nil, rpcStatus(err)
	}
	a := &pb.ModelInferResponse{ModelName: m.Name, ModelVersion: "1", Id: q.GetId()}
	for _, t := range outputs {
		o := &pb.ModelInferResponse_InferOutputTensor{Name: t.name, Datatype: t.datatype, Shape: t.shape}
		if len(q.GetRawInputContents()) > 0 {
			a.RawOutputContents = append(a.RawOutputContents, t.raw())
		} else {
			o.Contents = t.contents()
		}
		a.Outputs = append(a.Outputs, o)
	}
	return a, nil
}

// rpcInputs reads the inputs of a request.
func rpcInputs(q *pb.ModelInferRequest) ([]tensor, error) {
	raw := q.GetRawInputContents()
	if len(raw) > 0 && len(raw) != len(q.GetInputs()) {
		return nil, fmt.Errorf("%w: raw contents", errBad)
	}
	var inputs []tensor
	for i, in := range q.GetInputs() {
		t := tensor{name: in.GetName(), datatype: in.GetDatatype(), shape: in.GetShape()}
		if err := checkedShape(t.shape); err != nil {
			return nil, err
		}
		if _, known := sizes[t.datatype]; !known {
			return nil, fmt.Errorf("%w: datatype", errBad)
		}
		var err error
		switch {
		case len(raw) == 0:
			t.values = elementsOf(t.datatype, in.GetContents())
			if proto.Size(in.GetContents()) != proto.Size(t.contents()) {
				err = fmt.Errorf("%w: contents of another datatype", errBad)
			}
		case in.GetContents() != nil:
			err = fmt.Errorf("%w: typed and raw contents", errBad)
		default:
			t.values, err = parseRaw(t.datatype, t.shape, raw[i])
		}
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, t)
	}
	return inputs, nil
}

func (s *fakeRPC) ModelStreamInfer(stream grpc.BidiStreamingServer[pb.ModelInferRequest, pb.ModelStreamInferResponse]) error {
	for {
		q, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		res := new(pb.ModelStreamInferResponse)
		if res.InferResponse, err = s.ModelInfer(stream.Context(), q); err != nil {
			res.ErrorMessage = err.Error()
		}
		if err := stream.Send(res); err != nil {
			return err
		}
	}
}

func (s *fakeRPC) RepositoryIndex(context.Context, *pb.RepositoryIndexRequest) (*pb.RepositoryIndexResponse, error) {
	names, ready := s.f.names()
	a := new(pb.RepositoryIndexResponse)
	for _, name := range names {
		state := "UNAVAILABLE"
		if ready[name] {
			state = "READY"
		}
		a.Models = append(a.Models, &pb.RepositoryIndexResponse_ModelIndex{Name: name, Version: "1", State: state})
	}
	return a, nil
}

func (s *fakeRPC) RepositoryModelLoad(_ context.Context, q *pb.RepositoryModelLoadRequest) (*pb.RepositoryModelLoadResponse, error) {
	if !s.f.setUnloaded(q.GetModelName(), false) {
		return nil, rpcStatus(errNotFound)
	}
	return &pb.RepositoryModelLoadResponse{}, nil
}

func (s *fakeRPC) ModelStatistics(_ context.Context, q *pb.ModelStatisticsRequest) (*pb.ModelStatisticsResponse, error) {
	m, err := s.f.find(q.GetName(), q.GetVersion())
	if err != nil {
		return nil, rpcStatus(err)
	}
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	n := uint64(m.successes)
	return &pb.ModelStatisticsResponse{ModelStats: []*pb.ModelStatistics{{
		Name: m.Name, Version: "1", InferenceCount: n, InferenceStats: &pb.InferStatistics{Success: &pb.StatisticDuration{Count: n}},
	}}}, nil
}
