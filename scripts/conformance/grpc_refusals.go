package main

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "onnxgate/api/inferencepb"
)

// rpcRefusal is a call of ModelInfer that cannot be served.
type rpcRefusal struct {
	name   string
	level  level
	what   string
	choose chooser
	make   func(*model) *pb.ModelInferRequest
}

func rpcRefusals() []rpcRefusal {
	const raw, typed = true, false
	return []rpcRefusal{
		{"unknown-model", must, "an unknown model", typedModel, rpcEdit(typed, func(q *pb.ModelInferRequest) { q.ModelName = noModel })},
		{"unknown-version", must, "an unknown version", typedModel, rpcEdit(typed, func(q *pb.ModelInferRequest) { q.ModelVersion = "987654321" })},
		{"no-inputs", must, "no inputs", anyModel, rpcEdit(raw, func(q *pb.ModelInferRequest) { q.Inputs, q.RawInputContents = nil, nil })},
		{"missing-input", must, "one input of two", twoInputs, rpcEdit(raw, func(q *pb.ModelInferRequest) {
			q.Inputs, q.RawInputContents = q.GetInputs()[1:], q.GetRawInputContents()[1:]
		})},
		{"unknown-input", should, "an input that the model does not have", anyModel, rpcEdit(raw, addInput("no-such-input"))},
		{"duplicate-input", should, "an input twice", anyModel, duplicateRPC},
		{"unknown-output", should, "an output that the model does not have", typedModel, rpcEdit(typed, func(q *pb.ModelInferRequest) {
			q.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "no-such-output"}}
		})},
		{"mixed-contents", must, "typed contents beside raw ones", typedModel, mixedContents},
		{"no-contents", must, "an input without contents", typedModel, rpcEdit(typed, func(q *pb.ModelInferRequest) { q.Inputs[0].Contents = nil })},
		{"too-few-elements", must, "an element less than the shape has", typedModel, rpcResized(typed, -1)},
		{"too-many-elements", must, "an element more than the shape has", typedModel, rpcResized(typed, 1)},
		{"other-contents", must, "elements in the field of another datatype", numeric("float", "int", "uint"), otherContents},
		{"too-few-raw", must, "raw contents for fewer inputs than there are", anyModel, rpcEdit(raw, func(q *pb.ModelInferRequest) {
			q.RawInputContents = q.GetRawInputContents()[:len(q.GetRawInputContents())-1]
		})},
		{"too-many-raw", must, "raw contents for more inputs than there are", anyModel, rpcEdit(raw, func(q *pb.ModelInferRequest) { q.RawInputContents = append(q.GetRawInputContents(), []byte{0}) })},
		{"raw-too-short", must, "raw contents of fewer bytes than the shape takes", anyModel, rpcEdit(raw, func(q *pb.ModelInferRequest) { q.RawInputContents[0] = q.GetRawInputContents()[0][1:] })},
		{"raw-too-long", must, "raw contents of more bytes than the shape takes", anyModel, rpcEdit(raw, func(q *pb.ModelInferRequest) { q.RawInputContents[0] = append(q.GetRawInputContents()[0], 0) })},
		{"shape-negative", must, "-1 as a dimension", anyModel, rpcShape(-1)},
		{"shape-huge", must, "2⁶² as a dimension", anyModel, rpcShape(1 << 62)},
		{"shape-overflow", must, "dimensions whose product is 2⁶⁴ times the number of elements", anyModel, rpcEdit(raw, func(q *pb.ModelInferRequest) {
			q.Inputs[0].Shape = append([]int64{1 << 32, 1 << 32}, q.GetInputs()[0].GetShape()...)
		})},
		{"shape-rank", should, "a dimension more than in the metadata", anyModel, rpcEdit(raw, func(q *pb.ModelInferRequest) {
			q.Inputs[0].Shape = append(slices.Clone(q.GetInputs()[0].GetShape()), 1)
		})},
		{"no-shape", must, "an input without shape", anyModel, rpcEdit(raw, func(q *pb.ModelInferRequest) { q.Inputs[0].Shape = nil })},
		{"unknown-datatype", must, "FLOAT as a datatype", anyModel, rpcEdit(raw, func(q *pb.ModelInferRequest) { q.Inputs[0].Datatype = "FLOAT" })},
		{"no-datatype", should, "an input without datatype", anyModel, rpcEdit(raw, func(q *pb.ModelInferRequest) { q.Inputs[0].Datatype = "" })},
		{"bytes-length", must, "an element of BYTES whose length goes beyond the contents", withDatatype("BYTES"), brokenBytes},
	}
}

// grpcRefusalCases are refusals and what they have in common.
func grpcRefusalCases() []testCase {
	var cases []testCase
	for _, r := range rpcRefusals() {
		cases = append(cases, testCase{"grpc/refuse-" + r.name, r.level, message("ModelInferRequest"), "an error status for " + r.what, overGRPC(r.choose), r.run})
	}
	return append(cases,
		testCase{"grpc/refuse-not-found", should, "gRPC, Status Codes", "NOT_FOUND for an unknown model", overGRPC(typedModel), rpcNotFound},
		testCase{"grpc/refuse-codes", should, "gRPC, Status Codes", "a code of the caller's fault (INVALID_ARGUMENT, NOT_FOUND …) for each of these", overGRPC(anyModel), rpcCodes},
		testCase{"grpc/refuse-then-serves", must, grpcDoc("Health"), "a valid request is answered after each of these", overGRPC(anyModel), rpcServesAfterwards},
	)
}

func (r rpcRefusal) run(p *probe) error {
	_, err := call(p, p.t.grpc.client.ModelInfer, r.make(p.m))
	return rpcRefused(err)
}

// callers are the codes that blame the request.
var callers = []codes.Code{codes.InvalidArgument, codes.NotFound, codes.FailedPrecondition, codes.OutOfRange, codes.Unimplemented, codes.OK}

func rpcCodes(p *probe) error {
	var bad []string
	for _, r := range rpcRefusals() {
		m, err := r.choose(p.t)
		if err != nil {
			continue
		}
		if _, err = call(p, p.t.grpc.client.ModelInfer, r.make(m)); !slices.Contains(callers, status.Code(err)) {
			bad = append(bad, fmt.Sprintf("%s for %s", status.Code(err), r.name))
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("%s", strings.Join(bad, ", "))
	}
	return nil
}

func rpcServesAfterwards(p *probe) error {
	for _, r := range rpcRefusals() {
		m, err := r.choose(p.t)
		if err != nil {
			continue
		}
		_, _ = call(p, p.t.grpc.client.ModelInfer, r.make(m)) // its outcome is another case
		if _, _, err := p.rpcInfer(p.m.rpcRequest(p.m.example(1, 0), true)); err != nil {
			return fmt.Errorf("after %s: %w", r.name, err)
		}
	}
	return nil
}

func rpcNotFound(p *probe) error {
	q := p.rpcExample()
	q.ModelName = noModel
	_, err := call(p, p.t.grpc.client.ModelInfer, q)
	if status.Code(err) != codes.NotFound {
		return fmt.Errorf("%s", status.Code(err))
	}
	return nil
}

// rpcEdit is the example with a change.
func rpcEdit(raw bool, change func(*pb.ModelInferRequest)) func(*model) *pb.ModelInferRequest {
	return func(m *model) *pb.ModelInferRequest {
		q := m.rpcRequest(m.example(1, 0), raw)
		change(q)
		return q
	}
}

func rpcShape(dimension int64) func(*model) *pb.ModelInferRequest {
	return rpcEdit(true, func(q *pb.ModelInferRequest) {
		q.Inputs[0].Shape = append([]int64{dimension}, q.GetInputs()[0].GetShape()[1:]...)
	})
}

func addInput(name string) func(*pb.ModelInferRequest) {
	return func(q *pb.ModelInferRequest) {
		q.Inputs = append(q.GetInputs(), &pb.ModelInferRequest_InferInputTensor{Name: name, Datatype: "FP32", Shape: []int64{1, 1}})
		q.RawInputContents = append(q.GetRawInputContents(), make([]byte, 4))
	}
}

func duplicateRPC(m *model) *pb.ModelInferRequest {
	inputs := m.example(1, 0)
	return m.rpcRequest(append(inputs, inputs[0]), true)
}

func mixedContents(m *model) *pb.ModelInferRequest {
	q := m.rpcRequest(m.example(1, 0), true)
	q.Inputs[0].Contents = m.example(1, 0)[0].contents()
	return q
}

func rpcResized(raw bool, by int) func(*model) *pb.ModelInferRequest {
	return func(m *model) *pb.ModelInferRequest {
		inputs := m.example(1, 0)
		if v := inputs[0].values; by > 0 {
			inputs[0].values = append(v, v[0])
		} else {
			inputs[0].values = v[1:]
		}
		return m.rpcRequest(inputs, raw)
	}
}

// otherContents sends the elements of a number in the field of texts.
func otherContents(m *model) *pb.ModelInferRequest {
	inputs := m.example(1, 0)
	q := m.rpcRequest(inputs, false)
	n := m.indexOf("float", "int", "uint")
	texts := tensor{datatype: "BYTES"}
	for range inputs[n].values {
		texts.values = append(texts.values, "1")
	}
	q.Inputs[n].Contents = texts.contents()
	return q
}

// brokenBytes gives the first element of BYTES a length of 255 more.
func brokenBytes(m *model) *pb.ModelInferRequest {
	q := m.rpcRequest(m.example(1, 0), true)
	q.RawInputContents[m.index("BYTES")][0] = 0xff
	return q
}
