package tree

import (
	"math"
	"testing"
)

// Rows are transformed as each alone.
func TestTransformsOfRowsAreThoseOfEach(t *testing.T) {
	for _, kind := range []Transform{TransformNone, TransformSoftmax, TransformLogistic, TransformSoftmaxZero, TransformProbit} {
		for width := 1; width < 12; width++ {
			const rows = 21
			scores := make([]float32, rows*width)
			for i := range scores {
				scores[i] = float32(math.Sin(float64(i))) * float32(i%7)
			}
			scores[len(scores)/2], scores[len(scores)/3] = -200, float32(math.Inf(1))
			got := append([]float32(nil), scores...)
			kind.Apply(got, width)
			for at := 0; at < len(scores); at += width {
				row := scores[at : at+width]
				transform(kind, row)
				for i, want := range row {
					if g := got[at+i]; math.Abs(float64(g-want)) > 1e-6 || (g != g) != (want != want) {
						t.Fatalf("transform %v of %d columns: %v, want %v", kind, width, g, want)
					}
				}
			}
		}
	}
}
