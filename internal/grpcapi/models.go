package grpcapi

import (
	"google.golang.org/protobuf/proto"

	pb "onnxgate/api/inferencepb"
	"onnxgate/internal/fault"
	"onnxgate/internal/inference"
	"onnxgate/internal/oip"
	"onnxgate/internal/tensor"
)

// serverLive answers as long as the process does.
func (c *call) serverLive() error {
	if err := c.decode(&pb.ServerLiveRequest{}); err != nil {
		return err
	}
	return c.send(&pb.ServerLiveResponse{Live: true})
}

// serverReady answers whether calls would be served now.
func (c *call) serverReady() error {
	if err := c.decode(&pb.ServerReadyRequest{}); err != nil {
		return err
	}
	return c.send(&pb.ServerReadyResponse{Ready: c.api.ready()})
}

func (a *API) ready() bool { return a.cfg.Ready == nil || a.cfg.Ready() == nil }

// serverMetadata tells which server this is.
func (c *call) serverMetadata() error {
	if err := c.decode(&pb.ServerMetadataRequest{}); err != nil {
		return err
	}
	return c.send(&pb.ServerMetadataResponse{
		Name: oip.ServerName, Version: c.api.cfg.Version,
		Extensions: oip.Extensions(),
	})
}

// modelReady answers whether a version can predict. One that is not there, or was
// unloaded, is not ready.
func (c *call) modelReady() error {
	var req pb.ModelReadyRequest
	if err := c.about(&req); err != nil {
		return err
	}
	err := c.api.cfg.Models.Ready(c.ctx, c.principal, req.GetName(), req.GetVersion())
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	return c.send(&pb.ModelReadyResponse{Ready: err == nil})
}

// modelNamer is a message about one version of a model.
type modelNamer interface {
	proto.Message
	GetName() string
	GetVersion() string
}

// about reads a message about one model, and adds the credentials that it asks
// for to the caller.
func (c *call) about(req modelNamer) error {
	if err := c.decode(req); err != nil {
		return err
	}
	return c.layer(req.GetName(), req.GetVersion())
}

// describe returns the version that a message names.
func (c *call) describe(req modelNamer) (inference.ModelInfo, error) {
	if err := c.about(req); err != nil {
		return inference.ModelInfo{}, err
	}
	info, err := c.api.cfg.Models.Describe(c.ctx, c.principal, req.GetName(), req.GetVersion())
	if err != nil {
		return info, unknown(err, req.GetName(), req.GetVersion())
	}
	c.asked.Model, c.asked.Version = info.Label(), info.Version
	return info, nil
}

// modelMetadata describes a version by the graph's own tensors.
func (c *call) modelMetadata() error {
	info, err := c.describe(&pb.ModelMetadataRequest{})
	if err != nil {
		return err
	}
	return c.send(&pb.ModelMetadataResponse{
		Name: info.Name, Versions: info.Versions, Platform: oip.Platform,
		Inputs: tensorMetadata(info.Inputs), Outputs: tensorMetadata(info.Outputs),
	})
}

func tensorMetadata(specs []tensor.Spec) []*pb.ModelMetadataResponse_TensorMetadata {
	var all []*pb.ModelMetadataResponse_TensorMetadata
	for i := range specs {
		for name, s := range oip.FlatSpec(&specs[i]) {
			all = append(all, &pb.ModelMetadataResponse_TensorMetadata{Name: name, Datatype: oip.Datatype(s.DType), Shape: wide(s.Shape)})
		}
	}
	return all
}

func wide(shape []int) []int64 {
	all := make([]int64, len(shape))
	for i, n := range shape {
		all[i] = int64(n)
	}
	return all
}

// modelConfig describes a version as Triton's configuration of it would: the
// extents are all there, so that there is no batch of the server's making.
func (c *call) modelConfig() error {
	info, err := c.describe(&pb.ModelConfigRequest{})
	if err != nil {
		return err
	}
	config := &pb.ModelConfig{Name: info.Name, Platform: oip.Platform, Backend: oip.Backend}
	for i := range info.Inputs {
		for name, s := range oip.FlatSpec(&info.Inputs[i]) {
			config.Input = append(config.Input, &pb.ModelInput{Name: name, DataType: configType(s.DType), Dims: wide(s.Shape)})
		}
	}
	for i := range info.Outputs {
		for name, s := range oip.FlatSpec(&info.Outputs[i]) {
			config.Output = append(config.Output, &pb.ModelOutput{Name: name, DataType: configType(s.DType), Dims: wide(s.Shape)})
		}
	}
	return c.send(&pb.ModelConfigResponse{Config: config})
}

// configType returns Triton's word for a datatype of the protocol.
func configType(d tensor.DType) pb.DataType {
	if d == tensor.String {
		return pb.DataType_TYPE_STRING
	}
	return pb.DataType(pb.DataType_value["TYPE_"+oip.Datatype(d)])
}

// modelStatistics tells what the versions did since they were loaded.
func (c *call) modelStatistics() error {
	var req pb.ModelStatisticsRequest
	if err := c.about(&req); err != nil {
		return err
	}
	all, err := c.api.cfg.Repository.Statistics(c.ctx, c.principal, req.GetName(), req.GetVersion())
	if err != nil {
		return unknown(err, req.GetName(), req.GetVersion())
	}
	answer := &pb.ModelStatisticsResponse{}
	for i := range all {
		answer.ModelStats = append(answer.ModelStats, statisticsOf(&all[i]))
	}
	return c.send(answer)
}

func statisticsOf(s *inference.Statistics) *pb.ModelStatistics {
	m := &pb.ModelStatistics{
		Name: s.Model, Version: s.Version, InferenceCount: s.Inferences, ExecutionCount: s.Executions,
		InferenceStats: &pb.InferStatistics{
			Success: durationOf(s.Success), Fail: durationOf(s.Fail), Queue: durationOf(s.Queue),
			ComputeInput: durationOf(s.Input), ComputeInfer: durationOf(s.Infer), ComputeOutput: durationOf(s.Output),
			CacheHit: &pb.StatisticDuration{}, CacheMiss: &pb.StatisticDuration{},
		},
		MemoryUsage: []*pb.MemoryUsage{{Type: "CPU", ByteSize: uint64(max(0, s.Memory))}},
	}
	for _, b := range s.Batches {
		m.BatchStats = append(m.BatchStats, &pb.InferBatchStatistics{
			BatchSize: b.Rows, ComputeInput: durationOf(b.Input), ComputeInfer: durationOf(b.Infer), ComputeOutput: durationOf(b.Output),
		})
	}
	if !s.LastInference.IsZero() {
		m.LastInference = uint64(s.LastInference.UnixMilli())
	}
	return m
}

func durationOf(d inference.Duration) *pb.StatisticDuration {
	return &pb.StatisticDuration{Count: d.Count, Ns: uint64(max(0, d.Total))}
}

// repositoryIndex lists the models that the caller's tenant owns.
func (c *call) repositoryIndex() error {
	var req pb.RepositoryIndexRequest
	if err := c.decode(&req); err != nil {
		return err
	}
	answer := &pb.RepositoryIndexResponse{}
	for _, e := range c.api.cfg.Repository.Index(c.ctx, c.principal) {
		if !req.GetReady() || e.State == inference.StateReady {
			answer.Models = append(answer.Models, &pb.RepositoryIndexResponse_ModelIndex{Name: e.Model, Version: e.Version, State: string(e.State), Reason: e.Reason})
		}
	}
	return c.send(answer)
}

// repositoryModelLoad serves what the model's folder holds. How it is served is its
// owner's word: nothing in a message is ever a path, a URL or an option of the
// engine.
func (c *call) repositoryModelLoad() error {
	var req pb.RepositoryModelLoadRequest
	if err := c.decode(&req); err != nil {
		return err
	}
	if len(req.GetParameters()) > 0 {
		return fault.New(fault.Content, "a model is loaded as its folder and its model.yaml say; parameters are not taken")
	}
	if err := c.api.cfg.Delivery.Load(c.ctx, c.principal, req.GetModelName()); err != nil {
		return notLoaded(err, req.GetModelName())
	}
	return c.send(&pb.RepositoryModelLoadResponse{})
}

// notLoaded has the words that Triton's clients look for.
func notLoaded(err error, model string) error {
	f := *fault.As(err)
	if f.Kind == fault.NotFound || f.Kind == fault.Content {
		f.Msg = "the repository failed to load '" + model + "': " + f.Text("")
	}
	return &f
}

// repositoryModelUnload takes a model out of service. No model depends on another,
// so that unload_dependents changes nothing.
func (c *call) repositoryModelUnload() error {
	var req pb.RepositoryModelUnloadRequest
	if err := c.decode(&req); err != nil {
		return err
	}
	if err := c.api.cfg.Delivery.Unload(c.ctx, c.principal, req.GetModelName()); err != nil {
		return unknown(err, req.GetModelName(), "")
	}
	return c.send(&pb.RepositoryModelUnloadResponse{})
}
