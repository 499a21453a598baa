// Command models writes the models that the conformance suite knows best, as a
// folder for ONNXGATE_MODELS_DIR:
//
//	go run ./scripts/conformance/models FOLDER
//
// `simple` adds and subtracts, `identity` and `identity_fp16` answer what they are
// sent, in every datatype of the protocol. The iris classifier is embedded in the
// binary and is copied beside them.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/onnxtest"
	"onnxgate/internal/tensor"
	"onnxgate/models"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: models FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "models:", err)
		os.Exit(1)
	}
}

func write(folder string) error {
	if err := os.CopyFS(folder, models.FS); err != nil {
		return err
	}
	for name, m := range map[string]*onnx.Model{
		"simple":        simple(),
		"identity":      identity(everyOther...),
		"identity_fp16": identity(datatype{"fp16", tensor.Half}),
	} {
		version := filepath.Join(folder, name, "1")
		if err := os.MkdirAll(version, 0o700); err != nil { //nolint:gosec // the caller's own folder
			return err
		}
		if err := os.WriteFile(filepath.Join(version, "model.onnx"), onnxtest.Encode(m), 0o600); err != nil { //nolint:gosec // the caller's own folder
			return err
		}
	}
	return nil
}

type datatype struct {
	name  string
	dtype tensor.DType
}

// everyOther are the datatypes that JSON holds without doubt: all but FP16.
var everyOther = []datatype{
	{"bool", tensor.Bool},
	{"uint8", tensor.Uint8},
	{"uint16", tensor.Uint16},
	{"uint32", tensor.Uint32},
	{"uint64", tensor.Uint64},
	{"int8", tensor.Int8},
	{"int16", tensor.Int16},
	{"int32", tensor.Int32},
	{"int64", tensor.Int64},
	{"fp32", tensor.Float32},
	{"fp64", tensor.Float64},
	{"bytes", tensor.String},
}

// rows is a tensor of so many columns.
func rows(name string, t tensor.DType, columns int) *onnx.ValueInfo {
	shape := onnx.TensorOf(t, tensor.Dim{Size: -1, Name: "N"}, tensor.Dim{Size: columns})
	return &onnx.ValueInfo{Name: name, Type: &shape}
}

func simple() *onnx.Model {
	in := onnxtest.Names("INPUT0", "INPUT1")
	m := onnxtest.Model(
		onnxtest.Node("Add", in, onnxtest.Names("OUTPUT0")),
		onnxtest.Node("Sub", in, onnxtest.Names("OUTPUT1")),
	)
	m.Graph.Inputs = []*onnx.ValueInfo{rows("INPUT0", tensor.Int32, 16), rows("INPUT1", tensor.Int32, 16)}
	m.Graph.Outputs = []*onnx.ValueInfo{rows("OUTPUT0", tensor.Int32, 16), rows("OUTPUT1", tensor.Int32, 16)}
	return m
}

func identity(datatypes ...datatype) *onnx.Model {
	m := onnxtest.Model()
	m.Graph.Inputs, m.Graph.Outputs = nil, nil
	for _, d := range datatypes {
		in, out := "in_"+strings.ToLower(d.name), "out_"+strings.ToLower(d.name)
		node := onnxtest.Node("Identity", onnxtest.Names(in), onnxtest.Names(out))
		node.Name = out
		m.Graph.Nodes = append(m.Graph.Nodes, node)
		m.Graph.Inputs = append(m.Graph.Inputs, rows(in, d.dtype, 1))
		m.Graph.Outputs = append(m.Graph.Outputs, rows(out, d.dtype, 1))
	}
	return m
}
