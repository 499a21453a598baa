// Command gen writes the vector kernels of package linalg for amd64: AVX2 and
// FMA. It is a module of its own, so that onnxgate does not depend on avo.
//
//	cd internal/onnx/linalg/gen
//	go run . -out ../kernels_amd64.s -stubs ../stubs_amd64.go -pkg linalg
package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// element is the instructions of one element type.
type element struct {
	name, suffix               string
	shift                      uint64 // log2 of the size in bytes
	broadcast, load, zero, fma func(...Op)
	add, sub, horizontally     func(...Op)
}

// panelWidth is linalg's.
const panelWidth = 16

func (e *element) lanes() int { return 32 >> e.shift }

func main() {
	ConstraintExpr("!purego")
	single := &element{
		name: "float32", suffix: "Single", shift: 2,
		broadcast: func(o ...Op) { VBROADCASTSS(o[0], o[1]) },
		load:      func(o ...Op) { VMOVUPS(o[0], o[1]) },
		zero:      func(o ...Op) { VXORPS(o[0], o[0], o[0]) },
		fma:       func(o ...Op) { VFMADD231PS(o[0], o[1], o[2]) },
		add:       func(o ...Op) { VADDPS(o[0], o[1], o[2]) },
		sub:       func(o ...Op) { VSUBPS(o[0], o[1], o[2]) },
		horizontally: func(o ...Op) {
			VHADDPS(o[0], o[0], o[0])
			VHADDPS(o[0], o[0], o[0])
		},
	}
	double := &element{
		name: "float64", suffix: "Double", shift: 3,
		broadcast:    func(o ...Op) { VBROADCASTSD(o[0], o[1]) },
		load:         func(o ...Op) { VMOVUPD(o[0], o[1]) },
		zero:         func(o ...Op) { VXORPD(o[0], o[0], o[0]) },
		fma:          func(o ...Op) { VFMADD231PD(o[0], o[1], o[2]) },
		add:          func(o ...Op) { VADDPD(o[0], o[1], o[2]) },
		sub:          func(o ...Op) { VSUBPD(o[0], o[1], o[2]) },
		horizontally: func(o ...Op) { VHADDPD(o[0], o[0], o[0]) },
	}
	single.tile(1, 4)
	single.tile(2, 2)
	single.tile(3, 1)
	single.tile(4, 1)
	double.tile(1, 2)
	double.tile(2, 1)
	for _, e := range []*element{single, double} {
		e.reduce("dot", false)
		e.reduce("distance", true)
	}
	Generate()
}

// tile writes the product of some rows with 16 columns. The accumulators are
// unrolled in depth until there are eight, which is as many as the latency of
// the multiplication asks for.
func (e *element) tile(rows, unroll int) {
	TEXT(fmt.Sprintf("tile%d%s", rows, e.suffix), NOSPLIT, fmt.Sprintf(
		"func(c *%[1]s, cStride int, a *%[1]s, rowStride, colStride int, b *%[1]s, bStride int, depth int, add bool)", e.name))
	Pragma("noescape")
	Doc(fmt.Sprintf("tile%d%s sets, or adds to, rows of 16 at c, of which there are %[1]d: the product of as many rows", rows, e.suffix),
		"at a with depth rows of 16 at b. Strides are in elements.")
	stride := func(name string) reg.Register {
		r := Load(Param(name), GP64())
		SHLQ(U8(e.shift), r)
		return r
	}
	c, cStride := Load(Param("c"), GP64()), stride("cStride")
	a, rowStride, colStride := Load(Param("a"), GP64()), stride("rowStride"), stride("colStride")
	b, bStride := Load(Param("b"), GP64()), stride("bStride")
	depth := Load(Param("depth"), GP64())
	upper := a // rows 2 and 3, where there are any
	if rows > 2 {
		upper = GP64()
		LEAQ(Mem{Base: a, Index: rowStride, Scale: 2}, upper)
	}
	width := panelWidth / e.lanes()
	sums := make([][]reg.VecVirtual, unroll)
	for u := range sums {
		sums[u] = make([]reg.VecVirtual, rows*width)
		for i := range sums[u] {
			sums[u][i] = YMM()
			e.zero(sums[u][i])
		}
	}
	step := func(u int) {
		columns := make([]reg.VecVirtual, width)
		for j := range columns {
			columns[j] = YMM()
			e.load(Mem{Base: b, Disp: 32 * j}, columns[j])
		}
		for i := range rows {
			from := Mem{Base: a}
			if i >= 2 {
				from.Base = upper
			}
			if i%2 == 1 {
				from.Index, from.Scale = rowStride, 1
			}
			factor := YMM()
			e.broadcast(from, factor)
			for j := range columns {
				e.fma(columns[j], factor, sums[u][i*width+j])
			}
		}
		ADDQ(colStride, a)
		if rows > 2 {
			ADDQ(colStride, upper)
		}
		ADDQ(bStride, b)
	}
	if unroll > 1 {
		Label("unrolled")
		CMPQ(depth, U8(uint8(unroll)))
		JL(LabelRef("rest"))
		for u := range unroll {
			step(u)
		}
		SUBQ(U8(uint8(unroll)), depth)
		JMP(LabelRef("unrolled"))
	}
	Label("rest")
	TESTQ(depth, depth)
	JE(LabelRef("done"))
	step(0)
	DECQ(depth)
	JMP(LabelRef("rest"))
	Label("done")
	for u := 1; u < unroll; u++ {
		for i := range sums[0] {
			e.add(sums[u][i], sums[0][i], sums[0][i])
		}
	}
	add := Load(Param("add"), GP8())
	TESTB(add, add)
	JE(LabelRef("set"))
	e.store(c, cStride, sums[0], rows, true)
	VZEROUPPER()
	RET()
	Label("set")
	e.store(c, cStride, sums[0], rows, false)
	VZEROUPPER()
	RET()
}

// store writes the rows of a tile.
func (e *element) store(c, stride reg.Register, sums []reg.VecVirtual, rows int, add bool) {
	at := GP64()
	MOVQ(c, at)
	width := len(sums) / rows
	for i := range rows {
		for j := range width {
			to, v := Mem{Base: at, Disp: 32 * j}, sums[i*width+j]
			if add {
				e.add(to, v, v)
			}
			e.load(v, to)
		}
		if i+1 < rows {
			ADDQ(stride, at)
		}
	}
}

// reduce writes the sum of products, or of squared differences, of two vectors
// whose length is a multiple of 32 bytes.
func (e *element) reduce(name string, distance bool) {
	TEXT(name+e.suffix, NOSPLIT, fmt.Sprintf("func(a, b *%[1]s, n int) %[1]s", e.name))
	Pragma("noescape")
	Doc(fmt.Sprintf("%s%s takes n elements, a multiple of %d.", name, e.suffix, e.lanes()))
	a, b, n := Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("n"), GP64())
	const unroll = 4
	sums := make([]reg.VecVirtual, unroll)
	for i := range sums {
		sums[i] = YMM()
		e.zero(sums[i])
	}
	step := func(i int) {
		x := YMM()
		e.load(Mem{Base: a, Disp: 32 * i}, x)
		if distance {
			e.sub(Mem{Base: b, Disp: 32 * i}, x, x)
			e.fma(x, x, sums[i])
		} else {
			e.fma(Mem{Base: b, Disp: 32 * i}, x, sums[i])
		}
	}
	advance := func(vectors int) {
		ADDQ(U32(uint32(32*vectors)), a)
		ADDQ(U32(uint32(32*vectors)), b)
		SUBQ(U32(uint32(e.lanes()*vectors)), n)
	}
	Label("unrolled")
	CMPQ(n, U32(uint32(unroll*e.lanes())))
	JL(LabelRef("rest"))
	for i := range unroll {
		step(i)
	}
	advance(unroll)
	JMP(LabelRef("unrolled"))
	Label("rest")
	TESTQ(n, n)
	JE(LabelRef("done"))
	step(0)
	advance(1)
	JMP(LabelRef("rest"))
	Label("done")
	e.add(sums[1], sums[0], sums[0])
	e.add(sums[3], sums[2], sums[2])
	e.add(sums[2], sums[0], sums[0])
	half := XMM()
	VEXTRACTF128(U8(1), sums[0], half)
	low := sums[0].AsX()
	e.add(half, low, low)
	e.horizontally(low)
	VZEROUPPER()
	Store(low, ReturnIndex(0))
	RET()
}
