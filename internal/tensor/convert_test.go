package tensor_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/tensor"
)

func converted[D tensor.Element](t *testing.T, from *tensor.Tensor) ([]D, string) {
	t.Helper()
	out, err := tensor.Convert(from, tensor.DTypeOf[D]())
	if err != nil {
		return nil, err.Error()
	}
	return tensor.Of[D](out), ""
}

func TestNumbersBecomeNumbersThatHoldThem(t *testing.T) {
	if got, _ := converted[float32](t, vector(t, 0.1, math.Inf(-1))); !cmp.Equal(got, []float32{0.1, float32(math.Inf(-1))}) {
		t.Errorf("float32: %v", got)
	}
	if got, _ := converted[int64](t, vector(t, -3.0, 0x1p62)); !cmp.Equal(got, []int64{-3, 1 << 62}) {
		t.Errorf("int64 of doubles: %v", got)
	}
	if got, _ := converted[uint8](t, vector[int32](t, 0, 255)); !cmp.Equal(got, []uint8{0, 255}) {
		t.Errorf("uint8: %v", got)
	}
	if got, _ := converted[int8](t, vector[int64](t, -128, 127)); !cmp.Equal(got, []int8{-128, 127}) {
		t.Errorf("int8: %v", got)
	}
	if got, _ := converted[float64](t, vector[uint64](t, math.MaxUint64)); got[0] != 0x1p64 {
		t.Errorf("float64: %v", got)
	}
	if got, _ := converted[int64](t, vector[int64](t, math.MinInt64)); got[0] != math.MinInt64 {
		t.Errorf("int64 of itself: %v", got)
	}
	if got, _ := converted[float64](t, vector[tensor.Float16](t, 0x3c00)); got[0] != 1 {
		t.Errorf("float64 of float16: %v", got)
	}
	if got, _ := converted[float32](t, vector(t, math.NaN())); got[0] == got[0] {
		t.Errorf("NaN became %v", got)
	}
}

func TestWhatATypeCannotHoldIsRefusedByElement(t *testing.T) {
	for name, c := range map[string]struct {
		from *tensor.Tensor
		to   tensor.DType
		want string
	}{
		"fraction":         {vector(t, 1, 2.5), tensor.Int64, "element 1, 2.5, is no int64"},
		"NaN":              {vector(t, math.NaN()), tensor.Int32, "element 0, NaN, is no int32"},
		"large":            {vector(t, 1e300), tensor.Float32, "element 0, 1e+300, is no float32"},
		"large for half":   {vector[int32](t, 65520), tensor.Half, "element 0, 65520, is no float16"},
		"negative":         {vector[int8](t, -1), tensor.Uint64, "element 0, -1, is no uint64"},
		"above":            {vector[uint64](t, 1<<63), tensor.Int64, "is no int64"},
		"just below":       {vector[int64](t, -129), tensor.Int8, "element 0, -129, is no int8"},
		"beyond 64 bits":   {vector(t, 0x1p64), tensor.Uint64, "is no uint64"},
		"text":             {vector(t, "1"), tensor.Float32, "string does not become float32"},
		"to text":          {vector(t, 1.0), tensor.String, "float64 does not become string"},
		"booleans":         {vector(t, true), tensor.Float32, "bool does not become float32"},
		"numbers to truth": {vector[int8](t, 1), tensor.Bool, "int8 does not become bool"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := tensor.Convert(c.from, c.to); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
