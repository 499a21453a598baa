package oip

import "onnxgate/internal/tensor"

// datatypes are the protocol's names of the element types.
var datatypes = map[tensor.DType]string{
	tensor.Undefined: "", tensor.Bool: "BOOL", tensor.String: "BYTES",
	tensor.Uint8: "UINT8", tensor.Uint16: "UINT16", tensor.Uint32: "UINT32", tensor.Uint64: "UINT64",
	tensor.Int8: "INT8", tensor.Int16: "INT16", tensor.Int32: "INT32", tensor.Int64: "INT64",
	tensor.Half: "FP16", tensor.Float32: "FP32", tensor.Float64: "FP64",
}

// Datatype returns the protocol's name of an element type, "" when it has none.
func Datatype(d tensor.DType) string { return datatypes[d] }

// What the protocol's metadata says of this server; the platform is one of the
// protocol's own list.
const (
	ServerName = "onnxgate"
	Platform   = "onnx_onnxv1"
	Backend    = "onnxruntime"
)

// Extensions are those of Triton's that are served, by their names in the server's
// metadata, which are the same over REST and gRPC.
func Extensions() []string {
	return []string{"binary_tensor_data", "model_configuration", "model_repository", "parameters", "statistics"}
}
