package oip_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	pb "onnxgate/api/inferencepb"
	"onnxgate/internal/fault"
	"onnxgate/internal/oip"
	"onnxgate/internal/tensor"
	"onnxgate/internal/testkit"
)

// typed is a tensor of each datatype that has a field of contents, with the edges
// of its range.
var typed = []struct {
	dtype    tensor.DType
	contents *pb.InferTensorContents
	value    any
}{
	{tensor.Bool, &pb.InferTensorContents{BoolContents: []bool{true, false}}, []bool{true, false}},
	{tensor.Int8, &pb.InferTensorContents{IntContents: []int32{-128, 127}}, []int8{-128, 127}},
	{tensor.Int16, &pb.InferTensorContents{IntContents: []int32{-32768, 32767}}, []int16{-32768, 32767}},
	{tensor.Int32, &pb.InferTensorContents{IntContents: []int32{-1 << 31, 1<<31 - 1}}, []int32{-1 << 31, 1<<31 - 1}},
	{tensor.Int64, &pb.InferTensorContents{Int64Contents: []int64{-1 << 63, 1<<63 - 1}}, []int64{-1 << 63, 1<<63 - 1}},
	{tensor.Uint8, &pb.InferTensorContents{UintContents: []uint32{0, 255}}, []uint8{0, 255}},
	{tensor.Uint16, &pb.InferTensorContents{UintContents: []uint32{0, 65535}}, []uint16{0, 65535}},
	{tensor.Uint32, &pb.InferTensorContents{UintContents: []uint32{0, 1<<32 - 1}}, []uint32{0, 1<<32 - 1}},
	{tensor.Uint64, &pb.InferTensorContents{Uint64Contents: []uint64{0, 1<<64 - 1}}, []uint64{0, 1<<64 - 1}},
	{tensor.Float32, &pb.InferTensorContents{Fp32Contents: []float32{-1.5, 3e38}}, []float32{-1.5, 3e38}},
	{tensor.Float64, &pb.InferTensorContents{Fp64Contents: []float64{-1.5, 1e308}}, []float64{-1.5, 1e308}},
	{tensor.String, &pb.InferTensorContents{BytesContents: [][]byte{[]byte("a"), nil}}, []string{"a", ""}},
}

// pair is a spec of two elements.
func pair(d tensor.DType) []tensor.Spec {
	return []tensor.Spec{{Name: "x", DType: d, Ranked: true, Dims: []tensor.Dim{{Size: -1}}}}
}

func readProtobuf(m *pb.ModelInferRequest, specs []tensor.Spec) (*oip.Request, error) {
	message, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	into := make([]*tensor.Tensor, len(specs))
	for i := range into {
		into[i] = new(tensor.Tensor)
	}
	return new(oip.Reader).ReadProtobuf(message, oip.Contract{Inputs: specs, Outputs: specs, MaxRows: 100}, into)
}

func answerOf(t *testing.T, specs []tensor.Spec, req *oip.Request) *pb.ModelInferResponse {
	t.Helper()
	p := oip.Protobuf(&oip.Response{Model: "m", Version: "3", ID: req.ID, Specs: specs, Outputs: req.Inputs, Wanted: req.Outputs, Binary: req.Binary})
	b := p.Append(nil)
	if len(b) != p.Size() {
		t.Fatalf("%d bytes, announced as %d", len(b), p.Size())
	}
	answer := &pb.ModelInferResponse{}
	if err := proto.Unmarshal(b, answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestProtobufTensorsComeBackAsTheyWent(t *testing.T) {
	for _, tc := range typed {
		name, specs := oip.Datatype(tc.dtype), pair(tc.dtype)
		input := &pb.ModelInferRequest_InferInputTensor{Name: "x", Datatype: name, Shape: []int64{2}, Contents: tc.contents}
		req, err := readProtobuf(&pb.ModelInferRequest{ModelName: "m", Id: "7", Inputs: []*pb.ModelInferRequest_InferInputTensor{input}}, specs)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(tc.value, testkit.Elements(req.Inputs[0])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		want := &pb.ModelInferResponse{ModelName: "m", ModelVersion: "3", Id: "7", Outputs: []*pb.ModelInferResponse_InferOutputTensor{
			{Name: "x", Datatype: name, Shape: []int64{2}, Contents: tc.contents},
		}}
		if diff := cmp.Diff(want, answerOf(t, specs, req), protocmp.Transform()); diff != "" {
			t.Errorf("%s answer (-want +got):\n%s", name, diff)
		}
		raw := oip.AppendBytes(nil, req.Inputs[0])
		input.Contents, want.RawOutputContents, want.Outputs[0].Contents = nil, [][]byte{raw}, nil
		again, err := readProtobuf(&pb.ModelInferRequest{Id: "7", Inputs: []*pb.ModelInferRequest_InferInputTensor{input}, RawInputContents: [][]byte{raw}}, specs)
		if err != nil {
			t.Errorf("%s as bytes: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, answerOf(t, specs, again), protocmp.Transform()); diff != "" {
			t.Errorf("%s as bytes, answer (-want +got):\n%s", name, diff)
		}
	}
}

func TestHalvesTravelAsBytesAlone(t *testing.T) {
	specs := pair(tensor.Half)
	input := &pb.ModelInferRequest_InferInputTensor{Name: "input-0", Datatype: "FP16", Shape: []int64{1}}
	req, err := readProtobuf(&pb.ModelInferRequest{Inputs: []*pb.ModelInferRequest_InferInputTensor{input}, RawInputContents: [][]byte{{0, 0x3c}}}, specs)
	if err != nil {
		t.Fatal(err)
	}
	req.Binary = nil // as if the inputs had been typed
	if raw := answerOf(t, specs, req).GetRawOutputContents(); len(raw) != 1 || len(raw[0]) != 2 {
		t.Errorf("%v, want two bytes", raw)
	}
	input.Contents = &pb.InferTensorContents{Fp32Contents: []float32{1}}
	if _, err := readProtobuf(&pb.ModelInferRequest{Inputs: []*pb.ModelInferRequest_InferInputTensor{input}}, specs); fault.KindOf(err) != fault.Content {
		t.Errorf("typed: %v", err)
	}
}

func TestProtobufThatDoesNotFitIsRefused(t *testing.T) {
	input := func(change func(*pb.ModelInferRequest_InferInputTensor)) *pb.ModelInferRequest {
		in := &pb.ModelInferRequest_InferInputTensor{Name: "x", Datatype: "INT8", Shape: []int64{2}, Contents: &pb.InferTensorContents{IntContents: []int32{1, 2}}}
		change(in)
		return &pb.ModelInferRequest{Inputs: []*pb.ModelInferRequest_InferInputTensor{in}}
	}
	parameter := map[string]*pb.InferParameter{"shared_memory_region": {}}
	for name, tc := range map[string]struct {
		m    *pb.ModelInferRequest
		want string
	}{
		"out of range":       {input(func(in *pb.ModelInferRequest_InferInputTensor) { in.Contents.IntContents[1] = 128 }), "element 1 is out of the range"},
		"another field":      {input(func(in *pb.ModelInferRequest_InferInputTensor) { in.Contents.Int64Contents = []int64{1} }), "belong into int_contents"},
		"too few":            {input(func(in *pb.ModelInferRequest_InferInputTensor) { in.Shape[0] = 3 }), "has 2 elements, and shape [3] holds 3"},
		"a huge shape":       {input(func(in *pb.ModelInferRequest_InferInputTensor) { in.Shape = []int64{1 << 40} }), "whole numbers from 0"},
		"too many rows":      {input(func(in *pb.ModelInferRequest_InferInputTensor) { in.Shape[0] = 101 }), "at most 100 rows"},
		"a negative extent":  {input(func(in *pb.ModelInferRequest_InferInputTensor) { in.Shape[0] = -1 }), "not -1"},
		"another rank":       {input(func(in *pb.ModelInferRequest_InferInputTensor) { in.Shape = []int64{1, 2} }), "must have shape [-1]"},
		"another datatype":   {input(func(in *pb.ModelInferRequest_InferInputTensor) { in.Datatype = "INT16" }), `is INT8, not "INT16"`},
		"an unknown input":   {input(func(in *pb.ModelInferRequest_InferInputTensor) { in.Name = "y" }), `there is no input "y"; there is "x"`},
		"no input":           {&pb.ModelInferRequest{}, `input "x" is missing`},
		"elements elsewhere": {input(func(in *pb.ModelInferRequest_InferInputTensor) { in.Parameters = parameter }), "shared memory is not served"},
		"both forms": {func() *pb.ModelInferRequest {
			m := input(func(*pb.ModelInferRequest_InferInputTensor) {})
			m.RawInputContents = [][]byte{{1, 2}}
			return m
		}(), "not both"},
		"bytes without input": {&pb.ModelInferRequest{RawInputContents: [][]byte{{1, 2}}}, "1 tensors, and there are 0 inputs"},
		"an unknown output": {func() *pb.ModelInferRequest {
			m := input(func(*pb.ModelInferRequest_InferInputTensor) {})
			m.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "z"}}
			return m
		}(), `there is no output "z"`},
	} {
		if _, err := readProtobuf(tc.m, pair(tensor.Int8)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func FuzzReadProtobuf(f *testing.F) {
	for _, tc := range typed {
		m, err := proto.Marshal(&pb.ModelInferRequest{ModelName: "m", Inputs: []*pb.ModelInferRequest_InferInputTensor{
			{Name: "x", Datatype: oip.Datatype(tc.dtype), Shape: []int64{2}, Contents: tc.contents},
		}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(m, uint8(tc.dtype))
	}
	f.Add([]byte("\xff0"), uint8(5)) // no type of the wire format
	f.Fuzz(func(t *testing.T, message []byte, d uint8) {
		dtype := tensor.DType(d%13 + 1)
		into := []*tensor.Tensor{new(tensor.Tensor)}
		if _, _, err := oip.Target(message); err != nil && fault.KindOf(err) != fault.Syntax {
			t.Errorf("%x: %v", message, err)
		}
		req, err := new(oip.Reader).ReadProtobuf(message, oip.Contract{Inputs: pair(dtype), Outputs: pair(dtype), MaxRows: 1000}, into)
		if kind := fault.KindOf(err); err != nil && kind != fault.Content && kind != fault.Syntax && kind != fault.Unsupported {
			t.Errorf("%x: %v", message, err)
		}
		if err == nil && len(req.Inputs[0].Shape()) != 1 {
			t.Errorf("%x: shape %v", message, req.Inputs[0].Shape())
		}
	})
}
