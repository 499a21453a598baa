package ops

import (
	"math"
	"testing"

	"onnxgate/internal/onnx/tree"
)

// ulps is how many float32 lie between got and the exact value.
func ulps(got float32, want float64) float64 {
	if w := float32(want); w == got || w != w && got != got {
		return 0
	}
	unit := math.Max(math.Abs(float64(math.Nextafter32(float32(want), math.MaxFloat32))-float64(float32(want))), 0x1p-149)
	return math.Abs(float64(got)-want) / unit
}

func TestFastFunctionsOfFloat32AreWithinTwoUnits(t *testing.T) {
	for name, c := range map[string]struct {
		fast  func(dst, x []float32)
		exact func(float64) float64
	}{
		"exp": {func(dst, x []float32) {
			var block [1]float64
			block[0] = float64(x[0])
			expInPlace32(block[:])
			dst[0] = float32(block[0])
		}, math.Exp},
	} {
		worst, at := 0.0, float32(0)
		x, y := make([]float32, 1), make([]float32, 1)
		check := func(v float32) {
			x[0] = v
			c.fast(y, x)
			if u := ulps(y[0], c.exact(float64(v))); !(u <= worst) {
				worst, at = u, v
			}
		}
		for bits := uint64(0); bits < 1<<32; bits += 997 { // NaN and infinities among them
			check(math.Float32frombits(uint32(bits)))
		}
		for _, v := range []float32{0, 88.72283, 88.72284, -103.97, -103.98, -104, 89, -89, -87.33655, 700, -700, float32(math.Inf(1)), float32(math.Inf(-1))} {
			check(v)
			check(math.Nextafter32(v, 1000))
			check(math.Nextafter32(v, -1000))
		}
		if worst > 2 {
			t.Errorf("%s(%v) is %v units off", name, at, worst)
		}
	}
}

// The tails of LOGISTIC keep their digits.
func TestTheLogisticOfLinearModelsIsRoundedOnce(t *testing.T) {
	for _, x := range []float32{-80, -40, -20, -17, -15, -8, -3, 0, 2, 16, 90} {
		scores := []float32{x, -x}
		finish(tree.TransformLogistic, scores, 2)
		for i, v := range []float64{float64(x), -float64(x)} {
			if off := ulps(scores[i], 1/(1+math.Exp(-v))); off > 1 {
				t.Errorf("of %v: %v, which is off by %v", v, scores[i], off)
			}
		}
	}
}
