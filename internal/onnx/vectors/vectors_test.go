package vectors

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

// Each vector is compared as if it were the only one, by whatever instructions
// and beside whatever others.
func TestVectorsAreComparedOneByOne(t *testing.T) {
	const features, most, rows = 5, 75, 2
	data, x := numbers(most*features), numbers(1000)[1000-rows*features:]
	for _, kind := range []Kind{Linear, RBF} {
		for count := 1; count <= most; count++ {
			for _, vector := range []bool{false, vectorUnit()} {
				s := New(Kernel{Kind: kind, Gamma: 0.1}, data[:count*features], count)
				s.vector = vector
				got := make([]float32, rows*s.Width())
				if err := s.Run(t.Context(), got, x, rows); err != nil {
					t.Fatal(err)
				}
				for v := range count {
					want := []float32{product(0, x[features:], data[v*features:][:features])}
					if kind == RBF {
						want[0] = distance(0, x[features:], data[v*features:][:features])
						exponentials(want, -0.1)
					}
					if g := got[s.Width()+v]; g != want[0] && math.Nextafter32(g, want[0]) != want[0] {
						t.Fatalf("kernel %d, vector %d of %d: %v, want %v", kind, v, count, g, want[0])
					}
				}
			}
		}
	}
}

func TestVectorInstructionsGiveTheBitsOfGo(t *testing.T) {
	if !vectorUnit() {
		t.Skip("this processor has no vector unit that is used")
	}
	for features := 1; features < 20; features++ {
		for n := 1; n < 11; n++ {
			x, blocks := numbers(features), make([]block, n*features)
			for i, v := range numbers(n * features * lanes) {
				blocks[i/lanes][i%lanes] = v * 1.1
			}
			x[features/2] = float32(math.Inf(1 - 2*(n%2)))
			if n%3 == 0 {
				x[0] = 1e30
			}
			a, b := make([]float32, 2*n*lanes), make([]float32, 2*n*lanes)
			distances(a[:n*lanes], x, blocks)
			distancesVector(b[:n*lanes], x, blocks)
			products(a[n*lanes:], x, blocks)
			productsVector(b[n*lanes:], x, blocks)
			scale(a[:lanes], 1.7, -0.3)
			scaleVector(b[:lanes], 1.7, -0.3)
			if !slices.Equal(bits(a), bits(b)) {
				t.Fatalf("%d features, %d blocks: %v, want %v", features, n, b, a)
			}
		}
	}
}

func bits(v []float32) []uint32 {
	out := make([]uint32, len(v))
	for i, f := range v {
		if f != f {
			continue // any NaN is as good as another
		}
		out[i] = math.Float32bits(f)
	}
	return out
}

// A comparison with ever so many vectors ends with its request.
func TestVectorsAreLeftWhenTheRequestEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	const count, features = 1 << 12, 1 << 10
	data := make([]float32, count*features)
	for _, n := range []int{count, 1} {
		s := New(Kernel{Kind: RBF}, data, n)
		if err := s.Run(ctx, make([]float32, s.Width()), make([]float32, s.Features()), 1); !errors.Is(err, context.Canceled) {
			t.Errorf("%d vectors: %v", n, err)
		}
	}
}

// They fuse products and sums where Go does not, which can show in the last bit.
func TestVectorInstructionsGiveTheExponentialsOfMath(t *testing.T) {
	if !vectorUnit() {
		t.Skip("this processor has no vector unit that is used")
	}
	v := make([]float32, 2*lanes)
	for x := -120.0; x < 110; {
		for i := range v {
			x += 0.00037
			v[i] = float32(-2 * x)
		}
		arguments := slices.Clone(v)
		exponentialsVector(v, -0.5)
		for i, a := range arguments {
			near(t, "exp", float64(a)/-2, v[i], math.Exp(float64(a)/-2))
		}
	}
	inf := float32(math.Inf(1))
	v = []float32{float32(math.NaN()), inf, -inf, 0, 1e30, -1e30, 1, 0}
	exponentialsVector(v, 1)
	if v[0] == v[0] || !slices.Equal(v[1:], []float32{inf, 0, 1, inf, 0, math.E, 1}) {
		t.Errorf("%v", v)
	}
}

func TestExponentialsAndTangentsAreThoseOfMath(t *testing.T) {
	for x := -105.0; x < 91; x += 0.00037 {
		v, w := []float32{float32(x)}, []float32{float32(x / 8)}
		exponentials(v, 1)
		tangents(w)
		near(t, "exp", x, v[0], math.Exp(float64(float32(x))))
		near(t, "tanh", x/8, w[0], math.Tanh(float64(float32(x/8))))
	}
	for e := -149; e < 0; e++ {
		x := math.Ldexp(1.3, e)
		w := []float32{float32(-x)}
		tangents(w)
		near(t, "tanh", -x, w[0], math.Tanh(float64(float32(-x))))
	}
	inf := float32(math.Inf(1))
	v, w := []float32{float32(math.NaN()), inf, -inf}, []float32{float32(math.NaN()), inf, -inf}
	exponentials(v, 1)
	tangents(w)
	if v[0] == v[0] || v[1] != inf || v[2] != 0 || w[0] == w[0] || w[1] != 1 || w[2] != -1 {
		t.Errorf("%v, %v", v, w)
	}
}

// near takes the float32 next to the right one for right.
func near(t *testing.T, what string, x float64, got float32, want float64) {
	t.Helper()
	if w := float32(want); got != w && math.Nextafter32(got, w) != w {
		t.Fatalf("%s(%v) is %v, want %v", what, x, got, w)
	}
}

func TestWeightsAreTakenInTheirOrder(t *testing.T) {
	const n = 1000
	weights, values := numbers(n), numbers(2 * n)[n:]
	want := product(0, weights, values)
	for _, vector := range []bool{false, vectorUnit()} {
		s := &Set{vector: vector}
		if got, err := s.Weigh(t.Context(), weights, values); err != nil || got != want {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	many := make([]float32, restWork)
	if _, err := (&Set{}).Weigh(ctx, many, many); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Few vectors that are long stand one after the other, for which there is room.
func TestFewLongVectorsAreNotPadded(t *testing.T) {
	const features = maxFilled + 1
	data := numbers(2 * features)
	s := New(Kernel{Kind: RBF, Gamma: 1e-6}, data, 2)
	if s.Width() != 2 || s.blocks != nil {
		t.Fatalf("%d values, %d blocks", s.Width(), len(s.blocks))
	}
	got, want := make([]float32, 2), []float32{0, distance(0, data[:features], data[features:])}
	if err := s.Run(t.Context(), got, data[:features], 1); err != nil {
		t.Fatal(err)
	}
	exponentials(want, -1e-6)
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	linear := New(Kernel{}, data, 2)
	if err := linear.Run(t.Context(), got, data[:features], 1); err != nil || got[1] != product(0, data[:features], data[features:]) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestKernelsAreAppliedToProducts(t *testing.T) {
	data, x := numbers(9*3), []float32{0.5, -1, 2}
	for _, k := range []Kernel{
		{Kind: Linear},
		{Kind: Poly, Gamma: 0.5, Coef0: 0.25, Degree: 1},
		{Kind: Poly, Gamma: 0.5, Coef0: 0.25, Degree: 2},
		{Kind: Poly, Gamma: 0.5, Coef0: 0.25, Degree: 3},
		{Kind: Poly, Gamma: 0.5, Coef0: 9, Degree: 2.5},
		{Kind: RBF, Gamma: 0.3},
		{Kind: Sigmoid, Gamma: 0.2, Coef0: -0.1},
	} {
		s := New(k, data, 9)
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
	case Linear:
	}
	return p
}

func TestARowThatIsTooShortPanics(t *testing.T) {
	s := New(Kernel{}, make([]float32, 8*4), 8)
	defer func() {
		if recover() == nil {
			t.Error("three features of four were compared")
		}
	}()
	_ = s.Run(t.Context(), make([]float32, s.Width()), make([]float32, 3), 1)
}
