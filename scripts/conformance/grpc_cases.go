package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	pb "onnxgate/api/inferencepb"
)

// typedModel chooses a model that typed contents can be sent to: FP16 has none.
var typedModel = modelWith("no input of FP16", func(m *model) bool { return m.index("FP16") < 0 })

// grpcCases are about gRPC calls that must be answered.
func grpcCases() []testCase {
	const stream = "grpc_service.proto, ModelStreamInfer"
	typed, multiple := overGRPC(typedModel), overGRPC(twoOutputs)
	cases := []testCase{
		{"grpc/server-live", must, grpcDoc("Server Live"), "`live` is true", overGRPC(nothing), rpcLive},
		{"grpc/server-ready", must, grpcDoc("Server Ready"), "`ready` is true", overGRPC(nothing), rpcReady},
		{"grpc/server-metadata", must, grpcDoc("Server Metadata"), "`name` is a text", overGRPC(nothing), rpcServerMetadata},
		{"grpc/server-metadata-same", should, grpcDoc("Server Metadata"), "name, version and extensions are those of REST", overGRPC(nothing), rpcSameMetadata},
		{"grpc/model-ready", must, grpcDoc("Model Ready"), "`ready` is true", overGRPC(anyModel), rpcModelReady("")},
		{"grpc/model-ready-version", must, grpcDoc("Model Ready"), "each of `versions` is ready", overGRPC(versioned), rpcEveryVersion(rpcModelReady)},
		{"grpc/model-ready-unknown", must, grpcDoc("Model Ready"), "an unknown model is not ready", overGRPC(nothing), rpcNotReady},
		{"grpc/model-metadata", must, grpcDoc("Model Metadata"), "name, inputs and outputs are those of REST", overGRPC(anyModel), rpcModelMetadata("")},
		{"grpc/model-metadata-version", must, grpcDoc("Model Metadata"), "each of `versions` can be asked for", overGRPC(versioned), rpcEveryVersion(rpcModelMetadata)},
		{"grpc/model-metadata-unknown", must, grpcDoc("Model Metadata"), "an error status for an unknown model", overGRPC(nothing), rpcMetadataUnknown},
		{"grpc/typed", must, grpcDoc("Tensor Data"), "typed contents are answered as REST answers the same inputs", typed, rpcAsREST(false)},
		{"grpc/raw", must, grpcDoc("Tensor Data"), "raw contents are answered as REST answers the same inputs", overGRPC(anyModel), rpcAsREST(true)},
		{"grpc/answer-names", must, message("ModelInferResponse"), "`model_name` is the model's, all outputs have their datatypes and shapes", typed, rpcNames},
		{"grpc/version", must, message("ModelInferRequest"), "each of `versions` answers, with its `model_version`", overGRPC(versioned), rpcVersions},
		{"grpc/id", must, message("ModelInferRequest"), "the `id` comes back", typed, rpcID("42")},
		{"grpc/id-text", must, message("ModelInferRequest"), "an `id` of quotes, escapes and Unicode comes back", typed, rpcID("q\" \\ é ☃ 𝄞 \n")},
		{"grpc/one-output", must, message("ModelInferRequest"), "only the output that `outputs` names", multiple, rpcOneOutput},
		{"grpc/output-order", should, message("ModelInferRequest"), "outputs in the order in which they were asked for", multiple, rpcOutputOrder},
		{"grpc/parameters", should, grpcDoc("Parameters"), "unknown parameters of each type are no error", typed, rpcParameters},
		{"grpc/unknown-fields", must, "Protocol Buffers, Updating A Message Type", "fields that the server does not know are no error", typed, rpcUnknownFields},
		{"grpc/simple-arithmetic", must, grpcDoc("Inference"), "OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 − INPUT1", overGRPC(simpleModel), rpcArithmetic},
		{"grpc/batch", should, grpcDoc("Inference"), "seven rows are answered as REST answers them", overGRPC(batchedModel), rpcBatch},
		{"grpc/concurrent-ids", must, message("ModelInferRequest"), "100 calls at the same time get their own `id` and outputs", typed, rpcConcurrent(100)},
		{"grpc/unknown-method", must, "gRPC, Status Codes", "UNIMPLEMENTED for a method that there is not", overGRPC(nothing), rpcUnknownMethod},
		{"grpc/health", may, "grpc.health.v1, Health.Check", "SERVING for the server as a whole", overGRPC(nothing), rpcHealth},
		{"grpc/stream", may, stream, "five requests in a stream, five answers with their `id`", typed, rpcStream},
		{"grpc/stream-error", may, stream, "a bad request is answered by `error_message`, and the stream goes on", typed, rpcStreamError},
		{"grpc/repository-index", may, repository("GRPC, Index"), "the model is listed, its state READY", overGRPC(withRepository(anyModel)), rpcIndex},
		{"grpc/repository-load-unknown", may, repository("GRPC, Load"), "an error status for an unknown model", overGRPC(withRepository(nothing)), rpcLoadUnknown},
		{"grpc/statistics", may, statistics("GRPC"), "an entry of the model with its counts", overGRPC(extension(anyModel, "statistics")), rpcStatistics},
	}
	for _, d := range datatypes {
		name := "grpc/datatype-" + strings.ToLower(d)
		if d != "FP16" {
			choose := overGRPC(preferring((*model).isIdentity, "an input of "+d+", and none of FP16", func(m *model) bool {
				return m.index(d) >= 0 && m.index("FP16") < 0
			}))
			cases = append(cases, testCase{name + "-typed", must, message("InferTensorContents"), d + " in its typed contents is answered", choose, rpcDatatype(d, false)})
		}
		cases = append(cases, testCase{name + "-raw", must, message("ModelInferRequest"), d + " in raw contents is answered", overGRPC(withDatatype(d)), rpcDatatype(d, true)})
	}
	return cases
}

// nothing chooses no model in particular.
func nothing(*target) (*model, error) { return new(model), nil }

func rpcLive(p *probe) error {
	a, err := call(p, p.t.grpc.client.ServerLive, &pb.ServerLiveRequest{})
	if err == nil && !a.GetLive() {
		err = errors.New("live: false")
	}
	return err
}

func rpcReady(p *probe) error {
	a, err := call(p, p.t.grpc.client.ServerReady, &pb.ServerReadyRequest{})
	if err == nil && !a.GetReady() {
		err = errors.New("ready: false")
	}
	return err
}

func rpcServerMetadata(p *probe) error {
	a, err := call(p, p.t.grpc.client.ServerMetadata, &pb.ServerMetadataRequest{})
	if err == nil && a.GetName() == "" {
		err = fmt.Errorf("name: %q", a.GetName())
	}
	return err
}

func rpcSameMetadata(p *probe) error {
	a, err := call(p, p.t.grpc.client.ServerMetadata, &pb.ServerMetadataRequest{})
	if err != nil {
		return err
	}
	want := p.t.info
	if a.GetName() != want.Name || a.GetVersion() != want.Version || !slices.Equal(a.GetExtensions(), want.Extensions) {
		return fmt.Errorf("%s %s %v; REST: %s %s %v", a.GetName(), a.GetVersion(), a.GetExtensions(), want.Name, want.Version, want.Extensions)
	}
	return nil
}

func rpcModelReady(version string) func(*probe) error {
	return func(p *probe) error {
		a, err := call(p, p.t.grpc.client.ModelReady, &pb.ModelReadyRequest{Name: p.m.Name, Version: version})
		if err == nil && !a.GetReady() {
			err = errors.New("ready: false")
		}
		return err
	}
}

func rpcEveryVersion(check func(version string) func(*probe) error) func(*probe) error {
	return func(p *probe) error {
		for _, v := range p.m.Versions {
			if err := check(v)(p); err != nil {
				return fmt.Errorf("version %s: %w", v, err)
			}
		}
		return nil
	}
}

func rpcNotReady(p *probe) error {
	a, err := call(p, p.t.grpc.client.ModelReady, &pb.ModelReadyRequest{Name: noModel})
	if err == nil && !a.GetReady() {
		return nil
	}
	return rpcRefused(err)
}

func rpcModelMetadata(version string) func(*probe) error {
	return func(p *probe) error {
		a, err := call(p, p.t.grpc.client.ModelMetadata, &pb.ModelMetadataRequest{Name: p.m.Name, Version: version})
		if err != nil {
			return err
		}
		if a.GetName() != p.m.Name {
			return fmt.Errorf("name: %q", a.GetName())
		}
		if got, want := fmt.Sprint(specsOf(a.GetInputs()), specsOf(a.GetOutputs())), fmt.Sprint(p.m.Inputs, p.m.Outputs); got != want {
			return fmt.Errorf("%s; REST: %s", got, want)
		}
		return nil
	}
}

func specsOf(list []*pb.ModelMetadataResponse_TensorMetadata) []spec {
	specs := make([]spec, len(list))
	for i, t := range list {
		specs[i] = spec{t.GetName(), t.GetDatatype(), t.GetShape()}
	}
	return specs
}

func rpcMetadataUnknown(p *probe) error {
	_, err := call(p, p.t.grpc.client.ModelMetadata, &pb.ModelMetadataRequest{Name: noModel})
	return rpcRefused(err)
}

func rpcAsREST(raw bool) func(*probe) error {
	return func(p *probe) error {
		want, err := p.baseline()
		if err != nil {
			return err
		}
		p.last = nil
		got, _, err := p.rpcInfer(p.m.rpcRequest(p.m.example(1, 0), raw))
		if err != nil {
			return err
		}
		return differentOutputs(got, want.outputs, rounding)
	}
}

func rpcNames(p *probe) error {
	outputs, a, err := p.rpcInfer(p.rpcExample())
	if err != nil {
		return err
	}
	if a.GetModelName() != p.m.Name || len(outputs) != len(p.m.Outputs) {
		return fmt.Errorf("model_name %q and %d outputs of %d", a.GetModelName(), len(outputs), len(p.m.Outputs))
	}
	for _, t := range outputs {
		if !slices.ContainsFunc(p.m.Outputs, func(s spec) bool {
			return s.Name == t.name && s.Datatype == t.datatype && fits(t.shape, s.Shape)
		}) {
			return fmt.Errorf("%s of %s with shape %v; in the metadata: %v", t.name, t.datatype, t.shape, p.m.Outputs)
		}
	}
	return nil
}

func rpcVersions(p *probe) error {
	for _, v := range p.m.Versions {
		q := p.m.rpcRequest(p.m.example(1, 0), true)
		q.ModelVersion = v
		_, a, err := p.rpcInfer(q)
		if err != nil {
			return err
		}
		if a.GetModelVersion() != v {
			return fmt.Errorf("model_version: %q for %s", a.GetModelVersion(), v)
		}
	}
	return nil
}

func rpcID(id string) func(*probe) error {
	return func(p *probe) error {
		q := p.rpcExample()
		q.Id = id
		_, a, err := p.rpcInfer(q)
		if err == nil && a.GetId() != id {
			err = fmt.Errorf("id: %q", a.GetId())
		}
		return err
	}
}

// rpcAsking asks for outputs by their names and gives the names that came.
func (p *probe) rpcAsking(names ...string) ([]string, error) {
	q := p.m.rpcRequest(p.m.example(1, 0), true)
	for _, n := range names {
		q.Outputs = append(q.Outputs, &pb.ModelInferRequest_InferRequestedOutputTensor{Name: n})
	}
	outputs, _, err := p.rpcInfer(q)
	return (&answer{outputs: outputs}).names(), err
}

func rpcOneOutput(p *probe) error {
	for _, s := range p.m.Outputs {
		got, err := p.rpcAsking(s.Name)
		if err != nil {
			return err
		}
		if !slices.Equal(got, []string{s.Name}) {
			return fmt.Errorf("the outputs %v for %s", got, s.Name)
		}
	}
	return nil
}

func rpcOutputOrder(p *probe) error {
	names := specNames(p.m.Outputs)
	slices.Reverse(names)
	got, err := p.rpcAsking(names...)
	if err == nil && !slices.Equal(got, names) {
		err = fmt.Errorf("the outputs %v for %v", got, names)
	}
	return err
}

func rpcParameters(p *probe) error {
	all := map[string]*pb.InferParameter{
		"x-boolean":  {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: true}},
		"x-integer":  {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: -1}},
		"x-text":     {ParameterChoice: &pb.InferParameter_StringParam{StringParam: "a"}},
		"x-double":   {ParameterChoice: &pb.InferParameter_DoubleParam{DoubleParam: 1.5}},
		"x-unsigned": {ParameterChoice: &pb.InferParameter_Uint64Param{Uint64Param: 1 << 63}},
	}
	q := p.rpcExample()
	q.Parameters, q.Inputs[0].Parameters = all, all
	_, _, err := p.rpcInfer(q)
	return err
}

func rpcUnknownFields(p *probe) error {
	q := p.rpcExample()
	extra := protowire.AppendString(protowire.AppendTag(nil, 4711, protowire.BytesType), "from a later version")
	q.ProtoReflect().SetUnknown(extra)
	q.Inputs[0].ProtoReflect().SetUnknown(extra)
	_, _, err := p.rpcInfer(q)
	return err
}

func rpcArithmetic(p *probe) error {
	inputs := p.m.example(2, 5)
	outputs, _, err := p.rpcInfer(p.m.rpcRequest(inputs, true))
	if err != nil {
		return err
	}
	return arithmetic(inputs, &answer{outputs: outputs})
}

func rpcBatch(p *probe) error {
	want, err := p.rowsOf(7)
	if err != nil {
		return err
	}
	p.last = nil
	got, _, err := p.rpcInfer(p.m.rpcRequest(p.m.example(7, 0), true))
	if err != nil {
		return err
	}
	return differentOutputs(got, want.outputs, rounding)
}

func rpcConcurrent(n int) func(*probe) error {
	return func(p *probe) error {
		const kinds = 4
		var want [kinds][]tensor
		for i := range want {
			outputs, _, err := p.rpcInfer(p.m.rpcRequest(p.m.example(1, i), false))
			if err != nil {
				return err
			}
			want[i] = outputs
		}
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				q := p.m.rpcRequest(p.m.example(1, i%kinds), false)
				q.Id = "call-" + strconv.Itoa(i)
				outputs, a, err := p.rpcInfer(q)
				if err == nil && a.GetId() != q.GetId() {
					err = fmt.Errorf("id %q for %s", a.GetId(), q.GetId())
				}
				errs[i] = first(err, func() error { return differentOutputs(outputs, want[i%kinds], rounding) })
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	}
}

func rpcUnknownMethod(p *probe) error {
	ctx, cancel := p.callContext()
	defer cancel()
	err := p.t.grpc.conn.Invoke(ctx, "/inference.GRPCInferenceService/NoSuchMethod", &pb.ServerLiveRequest{}, &pb.ServerLiveResponse{})
	if status.Code(err) != codes.Unimplemented {
		return fmt.Errorf("%s", status.Code(err))
	}
	return nil
}

func rpcHealth(p *probe) error {
	a, err := call(p, grpc_health_v1.NewHealthClient(p.t.grpc.conn).Check, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return unlessUnimplemented("grpc.health.v1", err)
	}
	if a.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("status: %s", a.GetStatus())
	}
	return nil
}

// exchangeInStream sends requests in one stream and reads as many answers.
func (p *probe) exchangeInStream(requests ...*pb.ModelInferRequest) ([]*pb.ModelStreamInferResponse, error) {
	ctx, cancel := p.callContext()
	defer cancel()
	stream, err := p.t.grpc.client.ModelStreamInfer(ctx)
	if err != nil {
		return nil, err
	}
	var answers []*pb.ModelStreamInferResponse
	for _, q := range requests {
		if err := stream.Send(q); err != nil && !errors.Is(err, io.EOF) { // EOF: Recv says why
			return nil, err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	for {
		a, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, unlessUnimplemented("ModelStreamInfer", err)
		}
		answers = append(answers, a)
	}
	if len(answers) != len(requests) {
		return nil, fmt.Errorf("%d answers to %d requests", len(answers), len(requests))
	}
	return answers, nil
}

func rpcStream(p *probe) error {
	var requests []*pb.ModelInferRequest
	for i := range 5 {
		q := p.rpcExample()
		q.Id = "stream-" + strconv.Itoa(i)
		requests = append(requests, q)
	}
	answers, err := p.exchangeInStream(requests...)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, a := range answers {
		if a.GetErrorMessage() != "" {
			return fmt.Errorf("error_message: %s", a.GetErrorMessage())
		}
		seen[a.GetInferResponse().GetId()] = true
	}
	if len(seen) != len(requests) || !seen["stream-4"] {
		return fmt.Errorf("the ids %v", seen)
	}
	return nil
}

func rpcStreamError(p *probe) error {
	bad := p.rpcExample()
	bad.Inputs = nil
	answers, err := p.exchangeInStream(p.rpcExample(), bad, p.rpcExample())
	if err != nil {
		return err
	}
	failed := 0
	for _, a := range answers {
		if a.GetErrorMessage() != "" {
			failed++
		}
	}
	if failed != 1 {
		return fmt.Errorf("%d answers with error_message, not 1", failed)
	}
	return nil
}

func rpcIndex(p *probe) error {
	a, err := call(p, p.t.grpc.client.RepositoryIndex, &pb.RepositoryIndexRequest{})
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(a.GetModels(), func(e *pb.RepositoryIndexResponse_ModelIndex) bool {
		return e.GetName() == p.m.Name && e.GetState() == "READY"
	}) {
		return fmt.Errorf("%s not READY: %v", p.m.Name, a.GetModels())
	}
	return nil
}

func rpcLoadUnknown(p *probe) error {
	_, err := call(p, p.t.grpc.client.RepositoryModelLoad, &pb.RepositoryModelLoadRequest{ModelName: noModel})
	return rpcRefused(err)
}

func rpcStatistics(p *probe) error {
	if _, _, err := p.rpcInfer(p.m.rpcRequest(p.m.example(1, 0), true)); err != nil {
		return err
	}
	a, err := call(p, p.t.grpc.client.ModelStatistics, &pb.ModelStatisticsRequest{Name: p.m.Name})
	if err != nil {
		return err
	}
	for _, s := range a.GetModelStats() {
		if s.GetName() == p.m.Name && s.GetInferenceCount() > 0 && s.GetInferenceStats().GetSuccess().GetCount() > 0 {
			return nil
		}
	}
	return fmt.Errorf("%v", a.GetModelStats())
}

// rpcDatatype holds the answer to the inputs themselves, or to the answer in JSON of
// a model that computes something else.
func rpcDatatype(datatype string, raw bool) func(*probe) error {
	return func(p *probe) error {
		if !p.m.isIdentity() {
			return rpcAsREST(raw)(p)
		}
		inputs, err := p.m.withValues(datatype, extremes(datatype))
		if err != nil {
			inputs = p.m.example(1, 0) // fewer rows than there are values
		}
		outputs, _, err := p.rpcInfer(p.m.rpcRequest(inputs, raw))
		if err != nil {
			return err
		}
		return p.echoed(inputs, &answer{outputs: outputs})
	}
}
