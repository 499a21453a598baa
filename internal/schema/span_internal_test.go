package schema

import (
	"math"
	"testing"

	"onnxgate/internal/tensor"
)

// A tensor's numbers are held to spans, a row's to their decimals: at each limit
// both say the same about the numbers around it.
func TestSpansEndWhereTheLimitsDo(t *testing.T) {
	limits := []float64{0, 0.1, -0.1, 0.3, 30, 1e-45, 1e-40, 1e30, 16777217, math.Pi, 0.1 + 0.2, math.MaxFloat32, -math.MaxFloat32, math.Nextafter(0.1, 1), math.Nextafter(0.1, 0)}
	for _, lo := range limits {
		f := field{dtype: tensor.Float32, flo: lo, fhi: math.MaxFloat32, info: typeInfo{class: classFloat}}
		g := field{dtype: tensor.Float32, flo: -math.MaxFloat32, fhi: lo, info: typeInfo{class: classFloat}}
		s := &Schema{fields: []field{f, g}}
		s.compileSpans()
		x := float32(lo)
		for range 4 {
			x = math.Nextafter32(x, float32(math.Inf(-1)))
		}
		for range 9 {
			for i := range s.fields {
				data, err := tensor.New(tensor.Shape{1, 1}, []float32{x})
				if err != nil {
					t.Fatal(err)
				}
				v := value{f: shortest(float64(x), 32)}
				if got, want := keepSpans(data, []*field{&s.fields[i]}, false), s.fields[i].fits(&v); got != want {
					t.Errorf("limit %v, number %v: %v by the span, %v by the rules", lo, x, got, want)
				}
			}
			x = math.Nextafter32(x, float32(math.Inf(1)))
		}
	}
}
