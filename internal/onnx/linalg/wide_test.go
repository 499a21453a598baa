package linalg

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// wideCases are of three rows, and of the first vector, the middle one and the last.
// The values are those of ONNX Runtime 1.31, of LinearRegressor and SVMRegressor.
var wideCases = []struct {
	name            string
	kernel          Kernel
	features, count int
	want            []float32
}{
	{"one", Kernel{}, 2500, 1, singles(0x454f2bc9, 0x47679f18, 0x47fbc52d)},
	{"a block", Kernel{}, 2500, 3, singles(0x454f2bc9, 0xc713f761, 0xc77bc958, 0x47679f18,
		0x455b2f4d, 0xc712df86, 0x47fbc52d, 0x476560ce, 0x454d28d1)},
	{"two groups", Kernel{}, 700, 20, singles(0x448285ec, 0xc677053b, 0x46fa52ee, 0x46dfd6eb,
		0xc6a95f23, 0x454f3c3d, 0x46b58074, 0xc68277d6, 0xc663803d)},
	{"five groups", Kernel{}, 300, 70, singles(0x43c28baf, 0xc5efd719, 0x4643757b, 0xc584118a,
		0x45e83c2a, 0xc60968d4, 0xc3eb7d34, 0xc5fa7ea4, 0x462f42b5)},
	{"more than features", Kernel{}, 140, 150, singles(0x4394cbea, 0xc562d3c9, 0xc52151d4, 0x45df0c10,
		0x44f1f04c, 0x458d0d7b, 0xc4a67093, 0x45970d4f, 0x450c8e23)},
	{"polynomials of a block", Kernel{Poly, 0.001, 0.3, 2}, 2500, 3, singles(0x41516c87, 0x44b0753b, 0x4580959e,
		0x455dff30, 0x4168c5f0, 0x44adcced, 0x46826e2f, 0x4559c503, 0x414eaa14)},
	{"polynomials of groups", Kernel{Poly, 0.001, 0.3, 2}, 700, 20, singles(0x3fe85ad3, 0x4370d9c0, 0x4482bed5,
		0x44519797, 0x43e4c20c, 0x41512ae7, 0x440a7a73, 0x4386a4c4, 0x434b5a36)},
	{"tangents", Kernel{Sigmoid, 1e-4, 0.3, 1}, 700, 20, singles(0x3ec49a68, 0xbf5b6459, 0x3f7f8991,
		0x3f7f170d, 0xbf741892, 0x3f0f231b, 0x3f7d51cb, 0xbf6100da, 0xbf51da53)},
}

func TestProductsOfWideVectorsAreMadeInONNXRuntimesOrder(t *testing.T) {
	for _, c := range wideCases {
		t.Run(c.name, func(t *testing.T) {
			data, x := quotients[float32](c.count*c.features, 2), quotients[float32](3*c.features, 1)
			s := NewVectors(c.kernel, data, c.count)
			if c.kernel.Kind == Linear {
				s = NewLinear(data, quotients[float32](c.count, 3))
			}
			all, got := make([]float32, 3*s.Width()), []float32{}
			if err := s.Run(t.Context(), all, x, 3); err != nil {
				t.Fatal(err)
			}
			for r := range 3 {
				for _, v := range slices.Compact([]int{0, c.count / 2, c.count - 1}) {
					got = append(got, all[r*s.Width()+v])
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// A row has the same bits alone and among any others.
func TestWideVectorsAreComparedRowByRow(t *testing.T) {
	const rows = maxGroup + lanes + 3
	for _, count := range []int{1, 2, lanes, lanes + 1, 3 * panelWidth, 4*panelWidth + 1, 9 * panelWidth} {
		for _, features := range []int{wideFeatures, 300, 1024, 1025, 4300} {
			data, x := quotients[float32](count*features, 7), quotients[float32](rows*features, 8)
			s := NewLinear(data, quotients[float32](count, 9))
			all, one := make([]float32, rows*s.Width()), make([]float32, s.Width())
			if err := s.Run(t.Context(), all, x, rows); err != nil {
				t.Fatal(err)
			}
			for _, r := range []int{0, maxGroup - 1, rows - 1} {
				if err := s.Run(t.Context(), one, x[r*features:][:features], 1); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(one, all[r*s.Width():][:s.Width()]) {
					t.Fatalf("row %d of %d features, %d vectors: %v, among others %v", r, features, count, one, all[r*s.Width():][:s.Width()])
				}
			}
		}
	}
}

func TestWideVectorsAreLeftWhenTheRequestEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, count := range []int{1, lanes, 40} {
		features := 2 * workAtOnce / count
		s := NewVectors(Kernel{}, make([]float32, count*features), count)
		for _, rows := range []int{1, lanes} {
			if err := s.Run(ctx, make([]float32, rows*s.Width()), make([]float32, rows*features), rows); !errors.Is(err, context.Canceled) {
				t.Errorf("%d vectors, %d rows: %v", count, rows, err)
			}
		}
	}
}

func TestPartsGiveTheBitsOfGo(t *testing.T) {
	const depth, n = 37, abreast
	x := numbers(n * depth)
	panels, blocks := numbers(n*depth*panelWidth), blocksOf(numbers(n*depth*lanes), n*lanes, depth)
	for count := 1; count <= n; count++ {
		want, got := numbers(count*panelWidth), numbers(count*panelWidth)
		addPanelsGo(want, x, depth, panels, depth*panelWidth, depth, count)
		addPanelParts(got, x, depth, panels, depth*panelWidth, depth, count)
		if !slices.Equal(got, want) {
			t.Errorf("%d panels: %v, want %v", count, got, want)
		}
		want, got = numbers(count*lanes), numbers(count*lanes)
		addBlocksGo(want, x, 0, blocks, depth, depth, count)
		addBlockParts(got, x, 0, blocks, depth, depth, count)
		if !slices.Equal(got, want) {
			t.Errorf("%d blocks: %v, want %v", count, got, want)
		}
	}
	var want, got [abreast]float32
	at := [abreast]int{5, 0, 40, 9}
	addChainsGo(&want, x, panels, &at, depth)
	addChainsOf(&got, x, panels, &at, depth)
	if got != want {
		t.Errorf("chains: %v, want %v", got, want)
	}
}

// A row of a product with panels has the same bits alone as among others.
func TestOneRowOfAPackedProductIsThatAmongOthers(t *testing.T) {
	if !vectorUnit {
		t.Skip("products are fused with sums by vector instructions")
	}
	const depth = 2*blockDepth + 3
	for _, cols := range []int{2, panelWidth, 3*panelWidth + 1, 4 * panelWidth, 9*panelWidth - 1} {
		a := RowMajor(quotients[float32](3*depth, 1), 3, depth)
		b := Pack(make([]float32, PanelLen(depth, cols)), RowMajor(quotients[float32](depth*cols, 2), depth, cols))
		all, one := make([]float32, 3*cols), make([]float32, cols)
		if err := GemmPacked(t.Context(), all, a, b); err != nil {
			t.Fatal(err)
		}
		if err := GemmPacked(t.Context(), one, RowMajor(a.Data[depth:2*depth], 1, depth), b); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(one, all[cols:2*cols]) {
			t.Errorf("%d columns: %v, among others %v", cols, one, all[cols:2*cols])
		}
	}
}
