package linalg

import (
	"math"
	"slices"
	"testing"
)

func TestOperationsOfLanesAreThoseOfGo(t *testing.T) {
	want := map[Operation]func(a, b float32) float32{
		Add:      func(a, b float32) float32 { return a + b },
		Subtract: func(a, b float32) float32 { return a - b },
		Multiply: func(a, b float32) float32 { return a * b },
		Divide:   func(a, b float32) float32 { return a / b },
		Apart:    func(a, b float32) float32 { return float32(math.Abs(float64(a - b))) },
	}
	for op, of := range want {
		for n := range 50 {
			for _, v := range troubles {
				a, b := extremes(n, n*7%(n+1), v), extremes(n, n*5%(n+1), -v)
				dst := make([]float32, n+1)
				dst[n] = 77
				Apply(op, dst[:n], a, b)
				for i := range n {
					if w := of(a[i], b[i]); !same(dst[i], w) {
						t.Fatalf("operation %d of %v and %v is %v, want %v", op, a[i], b[i], dst[i], w)
					}
				}
				if dst[n] != 77 {
					t.Fatalf("operation %d on %d elements writes another", op, n)
				}
			}
		}
	}
}

// some are float32 of all sizes and signs, zeros, infinities and NaN among them.
func some() []float32 {
	list := []float32{0, float32(math.Copysign(0, -1)), 1, -1, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32}
	for b := uint64(0); b < 1<<32; b += 65_537 * 3 {
		list = append(list, math.Float32frombits(uint32(b)))
	}
	for x := float32(-20); x < 20; x += 0.0037 {
		list = append(list, x)
	}
	return list
}

func TestFunctionsOfFloat32AreThoseOfMath(t *testing.T) {
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	for name, c := range map[string]struct {
		of    func(x []float32)
		exact func(float64) float64
	}{
		"exp":           {Exponentials, math.Exp},
		"sigmoid":       {Sigmoids, sigmoid},
		"sigmoid in Go": {sigmoidsGo, sigmoid},
		"log":           {func(x []float32) { Logarithms(x, x) }, math.Log},
		"root":          {func(x []float32) { Roots(x, x) }, math.Sqrt},
	} {
		x := some()
		got := slices.Clone(x)
		c.of(got)
		for i, v := range x {
			within(t, name, float64(v), got[i], c.exact(float64(v)))
		}
	}
}

// Wherever a tangent stands, and on whatever processor, it has the bits that ONNX
// Runtime gives it.
func TestTangentsAreThoseOfONNXRuntime(t *testing.T) {
	of := []float32{1e-45, -1e-40, 1.3e-38, -1e-30, 1e-8, -0.001, 0.1, -0.5, 1, -2.5, 4, -7.9, 8.999, 9, -20}
	want := []float32{
		0, -9.9939e-41, 1.3000066e-38, -9.999999e-31, 9.999999e-9, -9.999996e-4, 0.09966799, -0.46211717,
		0.7615942, -0.98661435, 0.9993292, -0.99999976, 1.0000001, 1, -1,
	}
	for n := range len(of) + 1 {
		got := slices.Clone(of)
		tangentsGo(got[:n])
		Tangents(got[n:])
		if !slices.Equal(got, want) {
			t.Errorf("%d in Go: %v, want %v", n, got, want)
		}
	}
}

func TestTangentsHaveTheBitsOfGoAndAreNearThoseOfMath(t *testing.T) {
	x := some()
	got, plain := slices.Clone(x), slices.Clone(x)
	Tangents(got)
	tangentsGo(plain)
	for i, v := range x {
		if !same(got[i], plain[i]) || math.Signbit(float64(got[i])) != math.Signbit(float64(plain[i])) {
			t.Fatalf("tanh(%v) is %v, in Go %v", v, got[i], plain[i])
		}
		if want := math.Tanh(float64(v)); v != v && got[i] == got[i] || math.Abs(float64(got[i])-want) > 4e-7*math.Abs(want)+0x1p-141 {
			t.Fatalf("tanh(%v) is %v, want %v", v, got[i], want)
		}
	}
}

// Near 1 the logarithm is small, and keeps its digits.
func TestLogarithmsNearOneKeepTheirDigits(t *testing.T) {
	x := []float32{1}
	for below, above := float32(1), float32(1); above < 1.001; {
		below, above = math.Nextafter32(below, 0), math.Nextafter32(above, 2)
		x[0] = above
		Logarithms(x, x)
		within(t, "log", float64(above), x[0], math.Log(float64(above)))
		x[0] = below
		Logarithms(x, x)
		within(t, "log", float64(below), x[0], math.Log(float64(below)))
	}
}

func TestPowersAreThoseOfMath(t *testing.T) {
	for _, y := range []float64{0, 1, 2, 3, 4, 7, 64, 65, -1, -2, -5, 0.5, -0.5, 1.37, -3.3, 20.5, math.Inf(1), math.Inf(-1), math.NaN()} {
		x := some()
		got, of, exponents := make([]float32, len(x)), slices.Clone(x), make([]float64, len(x))
		Powers(got, x, y)
		for i := range exponents {
			exponents[i] = y
		}
		PowersOf(of, of, exponents)
		for i, v := range x {
			within(t, "a power", float64(v), got[i], math.Pow(float64(v), y))
			within(t, "a power among others", float64(v), of[i], math.Pow(float64(v), y))
			within(t, "a power alone", float64(v), Power(v, y), math.Pow(float64(v), y))
		}
	}
}

// within is nearest for NaN and where float32 ends, too.
func within(t *testing.T, what string, x float64, got float32, want float64) {
	t.Helper()
	if same(got, float32(want)) {
		return
	}
	nearest(t, what, x, got, want)
}

func TestElementsAreComputedWithoutAllocation(t *testing.T) {
	x, y, exponents := numbers(100), numbers(100), make([]float64, 100)
	if got := testing.AllocsPerRun(100, func() {
		Apply(Add, x, x, y)
		Exponentials(x)
		Sigmoids(x)
		Tangents(x)
		Logarithms(x, y)
		Powers(x, y, 1.5)
		PowersOf(x, y, exponents)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// Nothing is passed over that was looked for, and no eight elements are taken that could
// have been.
func TestElementsArePassedOverEightByEight(t *testing.T) {
	nan := float32(math.NaN())
	for n := range 35 {
		for at := range n + 1 {
			for _, c := range []struct {
				until      func([]float32, float32) int
				rest, here float32
			}{{UntilLess, 1, 0.5}, {UntilLess, 2, nan}, {UntilMore, 1, 1.5}, {UntilMore, -3, nan}} {
				x := slices.Repeat([]float32{c.rest}, n)
				if at < n {
					x[at] = c.here
				}
				want := 0
				if vectorUnit {
					want = at / lanes * lanes
				}
				limit := float32(1)
				if c.here != c.here {
					limit = c.rest
				}
				if got := c.until(x, limit); got != want {
					t.Errorf("%d of %d: %d, want %d", at, n, got, want)
				}
			}
		}
	}
}
