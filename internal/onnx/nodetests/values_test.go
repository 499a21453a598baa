package nodetests

import (
	"fmt"
	"math"
	"os"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/decode"
	"onnxgate/internal/onnx/onnxtest"
	"onnxgate/internal/tensor"
)

func readPorts(c *testCase, set, what string, ports []port) ([]*tensor.Tensor, error) {
	list := make([]*tensor.Tensor, len(ports))
	for i, p := range ports {
		data, err := os.ReadFile(portFile(c, set, what, i))
		if err == nil {
			list[i], err = readValue(p.Form, data)
		}
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", what, p.Name, err)
		}
	}
	return list, nil
}

// readValue reads a TensorProto, a SequenceProto or an OptionalProto.
func readValue(form string, data []byte) (*tensor.Tensor, error) {
	switch form {
	case "tensor":
		return decode.Tensor(data, onnx.Limits{})
	case "sequence":
		items, err := members(data)
		return tensor.NewSequence(items...), err
	case "optional":
		items, err := members(data)
		if len(items) == 0 {
			return tensor.NewOptional(nil), err
		}
		return tensor.NewOptional(items[0]), err
	}
	return nil, fmt.Errorf("a %s is nothing that the suite had so far", form)
}

// formOfField names what stands in the fields of SequenceProto, and in the same
// ones of OptionalProto.
var formOfField = map[int]string{3: "tensor", 5: "sequence", 7: "optional"}

// members reads the values in a SequenceProto or OptionalProto.
func members(data []byte) ([]*tensor.Tensor, error) {
	var items []*tensor.Tensor
	err := fields(data, func(num protowire.Number, _, body []byte) error {
		form, ok := formOfField[int(num)]
		if !ok || body == nil {
			return nil
		}
		item, err := readValue(form, body)
		items = append(items, item)
		return err
	})
	return items, err
}

// checkOutput compares an output with what the program said of it and with
// what the case expects.
func checkOutput(spec *tensor.Spec, got, want *tensor.Tensor, c *testCase) error {
	if spec.Kind != got.Kind() || spec.DType != got.DType() || spec.Ranked && !fits(spec.Dims, got.Shape()) {
		return fmt.Errorf("the program promises a %v of %v%s, but gives a %v of %v%v",
			spec.Kind, spec.DType, onnx.FormatDims(spec.Dims), got.Kind(), got.DType(), got.Shape())
	}
	return compare(got, want, c.RTol, c.ATol)
}

func fits(dims []tensor.Dim, shape tensor.Shape) bool {
	return slices.EqualFunc(dims, shape, func(d tensor.Dim, n int) bool { return d.Size < 0 || d.Size == n })
}

// compare compares values of any kind: floats within the tolerances, all else
// exactly.
func compare(got, want *tensor.Tensor, rtol, atol float64) error {
	if got.Kind() != want.Kind() || got.DType() != want.DType() || !slices.Equal(got.Shape(), want.Shape()) {
		return fmt.Errorf("a %v of %v%v, want a %v of %v%v",
			got.Kind(), got.DType(), got.Shape(), want.Kind(), want.DType(), want.Shape())
	}
	if want.Kind() == tensor.KindTensor {
		return compareTensors(got, want, func(g, w float64) bool { return near(g, w, rtol, atol) })
	}
	for i, item := range want.Items() {
		if err := compare(got.Items()[i], item, rtol, atol); err != nil {
			return fmt.Errorf("item %d: %w", i, err)
		}
	}
	return nil
}

// near is the rule of ONNX's own runner.
func near(got, want, rtol, atol float64) bool {
	if math.IsNaN(want) || math.IsInf(want, 0) {
		return got == want || math.IsNaN(got) && math.IsNaN(want)
	}
	return math.Abs(got-want) <= atol+rtol*math.Abs(want)
}

func compareTensors(got, want *tensor.Tensor, near func(got, want float64) bool) error {
	switch want.DType() {
	case tensor.Float32:
		return compareElements(got, want, func(g, w float32) bool { return near(float64(g), float64(w)) })
	case tensor.Float64:
		return compareElements(got, want, near)
	case tensor.Half:
		return compareElements(got, want, func(g, w tensor.Float16) bool { return near(onnxtest.HalfValue(g), onnxtest.HalfValue(w)) })
	case tensor.Int8:
		return compareElements(got, want, same[int8])
	case tensor.Int16:
		return compareElements(got, want, same[int16])
	case tensor.Int32:
		return compareElements(got, want, same[int32])
	case tensor.Int64:
		return compareElements(got, want, same[int64])
	case tensor.Uint8:
		return compareElements(got, want, same[uint8])
	case tensor.Uint16:
		return compareElements(got, want, same[uint16])
	case tensor.Uint32:
		return compareElements(got, want, same[uint32])
	case tensor.Uint64:
		return compareElements(got, want, same[uint64])
	case tensor.Bool:
		return compareElements(got, want, same[bool])
	case tensor.String:
		return compareElements(got, want, same[string])
	case tensor.Undefined:
	}
	return fmt.Errorf("no elements to compare")
}

func compareElements[T tensor.Element](got, want *tensor.Tensor, equal func(got, want T) bool) error {
	expected := tensor.Of[T](want)
	for i, g := range tensor.Of[T](got) {
		if !equal(g, expected[i]) {
			return fmt.Errorf("element %d of %v is %v, want %v", i, want.Shape(), g, expected[i])
		}
	}
	return nil
}

func same[T comparable](got, want T) bool { return got == want }
