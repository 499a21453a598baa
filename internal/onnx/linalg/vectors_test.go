package linalg

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
)

func numbers(n int) []float32 {
	data := make([]float32, n)
	for i := range data {
		data[i] = float32(math.Sin(float64(i)*1.7)) * 3
	}
	return data
}

// Each vector is compared as if it were the only one, beside whatever others.
func TestVectorsAreComparedOneByOne(t *testing.T) {
	const features, most, rows = 5, 75, 2*lanes + 1
	data, x := numbers(most*features), numbers(1000)[1000-rows*features:]
	for _, kind := range []Kind{Linear, RBF, Squared, Euclidean} {
		for count := 1; count <= most; count++ {
			s := NewVectors(Kernel{Kind: kind, Gamma: 0.1}, data[:count*features], count)
			got := make([]float32, rows*s.Width())
			if err := s.Run(t.Context(), got, x, rows); err != nil {
				t.Fatal(err)
			}
			for i := range rows * count {
				r, v := i/count, i%count
				row := x[r*features:][:features]
				want := []float32{productGo(0, row, data[v*features:][:features])}
				if kind.apart() {
					want[0] = distance(0, row, data[v*features:][:features])
				}
				switch kind {
				case RBF:
					exponentialsGo(want, -0.1)
				case Euclidean:
					want[0] = float32(math.Sqrt(float64(want[0])))
				case Linear, Poly, Sigmoid, Squared:
				}
				tolerance := 1e-7 // a unit in the last place; where squares are fused with sums, of each of these
				if kind == Squared || kind == Euclidean {
					tolerance *= features
				}
				if g := got[r*s.Width()+v]; !(math.Abs(float64(g-want[0])) <= tolerance*math.Abs(float64(want[0]))) {
					t.Fatalf("kernel %d, row %d, vector %d of %d: %v, want %v", kind, r, v, count, g, want[0])
				}
			}
		}
	}
}

// A comparison with ever so many vectors ends with its request.
func TestVectorsAreLeftWhenTheRequestEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	const count, features = 1 << 12, 1 << 10
	data := make([]float32, count*features)
	for _, n := range []int{count, 1} {
		s := NewVectors(Kernel{Kind: RBF}, data, n)
		if err := s.Run(ctx, make([]float32, s.Width()), make([]float32, s.Features()), 1); !errors.Is(err, context.Canceled) {
			t.Errorf("%d vectors: %v", n, err)
		}
		if _, err := s.Weighed(ctx, 0, make([]float32, n), make([]float32, s.Width()), make([]float32, s.Features())); !errors.Is(err, context.Canceled) {
			t.Errorf("%d vectors, weighed: %v", n, err)
		}
	}
}

func TestExponentialsAreThoseOfMath(t *testing.T) {
	for x := -105.0; x < 91; x += 0.00037 {
		v := []float32{float32(x)}
		exponentialsGo(v, 1)
		nearest(t, "exp", x, v[0], math.Exp(float64(float32(x))))
	}
	inf := float32(math.Inf(1))
	v := []float32{float32(math.NaN()), inf, -inf}
	exponentialsGo(v, 1)
	if v[0] == v[0] || v[1] != inf || v[2] != 0 {
		t.Errorf("%v", v)
	}
}

// nearest takes the float32 next to the right one for right.
func nearest(t *testing.T, what string, x float64, got float32, want float64) {
	t.Helper()
	if w := float32(want); got != w && math.Nextafter32(got, w) != w {
		t.Fatalf("%s(%v) is %v, want %v", what, x, got, w)
	}
}

// What is weighed while it is computed has the bits of what is weighed afterwards.
func TestVectorsAreWeighedInOrder(t *testing.T) {
	const most = 3*weighDepth + weighedAtOnce + 5*lanes + 3
	counts := []int{
		1, lanes, 37, weighedAtOnce, weighedAtOnce + 1, 2 * weighedAtOnce, weighDepth, weighDepth + 1,
		weighDepth + 3*weighedAtOnce + 5, 2*weighDepth - 1, 2 * weighDepth, 2*weighDepth + 9, most,
	}
	for _, features := range []int{5, fewFeatures + 1} {
		data, weights, x := numbers(most*features), numbers(most), numbers(features)
		for _, kind := range []Kind{Linear, Poly, RBF, Sigmoid} {
			for _, count := range counts {
				s := NewVectors(Kernel{Kind: kind, Gamma: 0.1, Coef0: 0.3, Degree: 3}, data[:count*features], count)
				values := make([]float32, s.Width())
				if err := s.Run(t.Context(), values, x, 1); err != nil {
					t.Fatal(err)
				}
				want := weigh(0.7, weights[:count], values)
				clear(values)
				if got, err := s.Weighed(t.Context(), 0.7, weights[:count], values, x); err != nil || got != want {
					t.Errorf("kernel %d, %d vectors of %d features: %v, %v, want %v", kind, count, features, got, err, want)
				}
			}
		}
	}
}

// Few vectors that are long stand one after the other, for which there is room.
func TestFewLongVectorsAreNotPadded(t *testing.T) {
	const features = maxFilled + 1
	data := numbers(2 * features)
	s := NewVectors(Kernel{Kind: RBF, Gamma: 1e-6}, data, 2)
	if s.Width() != 2 || s.blocks != nil {
		t.Fatalf("%d values, %d blocks", s.Width(), len(s.blocks))
	}
	got, want := make([]float32, 2), []float32{0, distance(0, data[:features], data[features:])}
	if err := s.Run(t.Context(), got, data[:features], 1); err != nil {
		t.Fatal(err)
	}
	exponentialsGo(want, -1e-6)
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if w := NewVectors(Kernel{}, data, 2).Width(); w != 2 {
		t.Errorf("products of %d values", w)
	}
}

func TestKernelsAreAppliedToProducts(t *testing.T) {
	data, x := numbers(9*3), []float32{0.5, -1, 2}
	for _, k := range []Kernel{
		{Kind: Linear},
		{Kind: Squared},
		{Kind: Euclidean},
		{Kind: Poly, Gamma: 0.5, Coef0: 0.25, Degree: 1},
		{Kind: Poly, Gamma: 0.5, Coef0: 0.25, Degree: 2},
		{Kind: Poly, Gamma: 0.5, Coef0: 0.25, Degree: 3},
		{Kind: Poly, Gamma: 0.5, Coef0: 9, Degree: 2.5},
		{Kind: RBF, Gamma: 0.3},
		{Kind: Sigmoid, Gamma: 0.2, Coef0: -0.1},
	} {
		s := NewVectors(k, data, 9)
		got := make([]float32, s.Width())
		if err := s.Run(t.Context(), got, x, 1); err != nil {
			t.Fatal(err)
		}
		for v := range 9 {
			if want := k.of(x, data[v*3:v*3+3]); !(math.Abs(float64(got[v])-want) <= 1e-5*max(1, math.Abs(want))) {
				t.Errorf("%+v, vector %d: %v, want %v", k, v, got[v], want)
			}
		}
	}
}

// of is the definition of the kernels.
func (k Kernel) of(x, v []float32) float64 {
	p, d := 0.0, 0.0
	for i := range x {
		a, b := float64(x[i]), float64(v[i])
		p += a * b
		d += (a - b) * (a - b)
	}
	gamma, coef0 := float64(k.Gamma), float64(k.Coef0)
	switch k.Kind {
	case Poly:
		return math.Pow(gamma*p+coef0, float64(k.Degree))
	case RBF:
		return math.Exp(-gamma * d)
	case Sigmoid:
		return math.Tanh(gamma*p + coef0)
	case Squared:
		return d
	case Euclidean:
		return math.Sqrt(d)
	case Linear:
	}
	return p
}

func TestARowThatIsTooShortPanics(t *testing.T) {
	s := NewVectors(Kernel{}, make([]float32, 8*4), 8)
	defer func() {
		if recover() == nil {
			t.Error("three features of four were compared")
		}
	}()
	_ = s.Run(t.Context(), make([]float32, s.Width()), make([]float32, 3), 1)
}
