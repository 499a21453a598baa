package nodetests

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/decode"
	"onnxgate/internal/tensor"
)

// value is an input or output: a tensor, or a sequence of them; neither for an
// optional that holds nothing.
type value struct {
	tensor   *tensor.Tensor
	sequence []*tensor.Tensor // not nil for an empty one
}

func readPorts(c *testCase, set, what string, ports []port) ([]value, error) {
	list := make([]value, len(ports))
	for i, p := range ports {
		name := filepath.Join(casesFolder(), c.Folder, set, fmt.Sprintf("%s_%d.pb", what, i))
		data, err := os.ReadFile(name)
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
func readValue(form string, data []byte) (value, error) {
	switch form {
	case "tensor":
		t, err := decode.Tensor(data, onnx.Limits{})
		return value{tensor: t}, err
	case "sequence":
		v := value{sequence: []*tensor.Tensor{}}
		err := fields(data, func(num protowire.Number, body []byte) error {
			if num != 3 { // tensor_values
				return nil
			}
			t, err := decode.Tensor(body, onnx.Limits{})
			v.sequence = append(v.sequence, t)
			return err
		})
		return v, err
	case "optional":
		var v value
		err := fields(data, func(num protowire.Number, body []byte) (err error) {
			switch int(num) {
			case 3: // tensor_value
				v, err = readValue("tensor", body)
			case 5: // sequence_value
				v, err = readValue("sequence", body)
			}
			return err
		})
		return v, err
	}
	return value{}, fmt.Errorf("a %s is nothing that the suite had so far", form)
}

// fields calls do for each length-delimited field of a message.
func fields(b []byte, do func(num protowire.Number, body []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(num, typ, b[n:])
		if size < 0 {
			return protowire.ParseError(size)
		}
		if typ == protowire.BytesType {
			body, _ := protowire.ConsumeBytes(b[n:])
			if err := do(num, body); err != nil {
				return err
			}
		}
		b = b[n+size:]
	}
	return nil
}

// compareOutput compares an output with what the case expects and with what
// the program said of it.
func compareOutput(spec *tensor.Spec, got, want value, c *testCase) error {
	if want.tensor == nil {
		return fmt.Errorf("it should be a sequence or nothing, but is a tensor")
	}
	t := got.tensor
	if spec.DType != t.DType() || spec.Ranked && !fits(spec.Dims, t.Shape()) {
		return fmt.Errorf("the program promises %v%s, but gives %v%v", spec.DType, onnx.FormatDims(spec.Dims), t.DType(), t.Shape())
	}
	return compareTensors(t, want.tensor, c.RTol, c.ATol)
}

func fits(dims []tensor.Dim, shape tensor.Shape) bool {
	return slices.EqualFunc(dims, shape, func(d tensor.Dim, n int) bool { return d.Size < 0 || d.Size == n })
}

// compareTensors compares types, shapes and elements: floats within the
// tolerances, all else exactly.
func compareTensors(got, want *tensor.Tensor, rtol, atol float64) error {
	if got.DType() != want.DType() || !slices.Equal(got.Shape(), want.Shape()) {
		return fmt.Errorf("%v%v, want %v%v", got.DType(), got.Shape(), want.DType(), want.Shape())
	}
	near := func(g, w float64) bool {
		if math.IsNaN(w) || math.IsInf(w, 0) {
			return g == w || math.IsNaN(g) && math.IsNaN(w)
		}
		return math.Abs(g-w) <= atol+rtol*math.Abs(w)
	}
	switch want.DType() {
	case tensor.Float32:
		return compareElements(got, want, func(g, w float32) bool { return near(float64(g), float64(w)) })
	case tensor.Float64:
		return compareElements(got, want, near)
	case tensor.Half:
		return compareElements(got, want, func(g, w tensor.Float16) bool { return near(halfValue(g), halfValue(w)) })
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

// halfValue is a binary16's value by the definition of the format, not by the
// engine's own conversion.
func halfValue(h tensor.Float16) float64 {
	sign, exp, frac := 1-2*float64(h>>15), int(h>>10&31), float64(h&1023)
	switch {
	case exp == 0:
		return sign * math.Ldexp(frac, -24)
	case exp < 31:
		return sign * math.Ldexp(1+frac/1024, exp-15)
	case frac > 0:
		return math.NaN()
	}
	return math.Inf(int(sign))
}

func same[T comparable](got, want T) bool { return got == want }

func compareElements[T tensor.Element](got, want *tensor.Tensor, equal func(got, want T) bool) error {
	expected := tensor.Of[T](want)
	for i, g := range tensor.Of[T](got) {
		if !equal(g, expected[i]) {
			return fmt.Errorf("element %d of %v is %v, want %v", i, want.Shape(), g, expected[i])
		}
	}
	return nil
}
