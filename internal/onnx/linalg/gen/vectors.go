package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	lanes     = 8 // linalg's
	laneBytes = 4 * lanes
	abreast   = 4 // blocks whose sums are made side by side
)

// compareBlocks writes a function that takes x feature by feature into the sums of
// several blocks, then of those that are left, by the instructions of step.
func compareBlocks(name, does string, step func(x, sum reg.VecVirtual, vectors Op)) {
	TEXT(name, NOSPLIT, "func(dst, x, blocks *float32, features, n int)")
	Doc(name + " " + does)
	Pragma("noescape")
	eachBlock(step, func() {})
	VZEROUPPER()
	RET()
}

// weighDepth is linalg's.
const weighDepth = 1024

// strands is sums that are made of products while something else is computed, so that none
// has to wait for that before it.
type strands struct {
	sums                  []reg.VecVirtual
	weights, values, left reg.Register // left counts up to 0
}

const strandsParams = "sums, weights, values *float32, count int"

func newStrands(sums int) *strands {
	s := &strands{make([]reg.VecVirtual, sums), Load(Param("weights"), GP64()), Load(Param("values"), GP64()), Load(Param("count"), GP64())}
	to := Load(Param("sums"), GP64())
	for i := range s.sums {
		s.sums[i] = XMM()
		VMOVSS(Mem{Base: to, Disp: 4 * i}, s.sums[i])
	}
	LEAQ(Mem{Base: s.weights, Index: s.left, Scale: 4}, s.weights)
	LEAQ(Mem{Base: s.values, Index: s.left, Scale: 4}, s.values)
	NEGQ(s.left)
	return s
}

// doc says what is done meanwhile.
func (s *strands) doc(does string) {
	Doc(does, fmt.Sprintf("Meanwhile it adds to each of %d sums the products of count weights and values, which for the next stand %d behind.", len(s.sums), weighDepth))
}

// add adds up to n products to each sum.
func (s *strands) add(n int, enough string) {
	for range n {
		TESTQ(s.left, s.left)
		JE(LabelRef(enough))
		for i, sum := range s.sums {
			weight := XMM()
			VMOVSS(Mem{Base: s.weights, Index: s.left, Scale: 4, Disp: 4 * weighDepth * i}, weight)
			VFMADD231SS(Mem{Base: s.values, Index: s.left, Scale: 4, Disp: 4 * weighDepth * i}, weight, sum)
		}
		INCQ(s.left)
	}
	Label(enough)
}

// finish adds the products that are left.
func (s *strands) finish() {
	Label("rest")
	s.add(1, "done")
	TESTQ(s.left, s.left)
	JNE(LabelRef("rest"))
	to := Load(Param("sums"), GP64())
	for i, sum := range s.sums {
		VMOVSS(sum, Mem{Base: to, Disp: 4 * i})
	}
}

// compareWeighing writes compareBlocks, and after each feature of several blocks adds so
// many products to each of so many sums.
func compareWeighing(name, does string, sums, atOnce int, step func(x, sum reg.VecVirtual, vectors Op)) {
	TEXT(name, NOSPLIT, "func(dst, x, blocks *float32, features, n int, "+strandsParams+")")
	Pragma("noescape")
	s := newStrands(sums)
	s.doc(name + " " + does)
	eachBlock(step, func() { s.add(atOnce, "weighed") })
	s.finish()
	VZEROUPPER()
	RET()
}

// eachBlock writes the loops of compareBlocks, which do what meanwhile says after each
// feature of several blocks.
func eachBlock(step func(x, sum reg.VecVirtual, vectors Op), meanwhile func()) {
	dst, x, blocks := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("blocks"), GP64())
	features, n := Load(Param("features"), GP64()), Load(Param("n"), GP64())
	size, size3 := GP64(), GP64() // of a block and of three, in bytes
	MOVQ(features, size)
	SHLQ(U8(5), size)
	LEAQ(Mem{Base: size, Index: size, Scale: 2}, size3)

	for _, count := range []int{abreast, 1} {
		next, done := fmt.Sprintf("blocks_%d", count), fmt.Sprintf("done_%d", count)
		Label(next)
		CMPQ(n, U8(count))
		JLT(LabelRef(done))
		sums := make([]reg.VecVirtual, count)
		for i := range sums {
			sums[i] = YMM()
			VXORPS(sums[i], sums[i], sums[i])
		}
		feature := GP64()
		XORQ(feature, feature)
		Label(next + "_features")
		value := YMM()
		VBROADCASTSS(Mem{Base: x, Index: feature, Scale: 4}, value)
		for i, sum := range sums {
			step(value, sum, rowOf(i, blocks, nil, size, size3))
		}
		if count == abreast {
			meanwhile()
		}
		ADDQ(U8(laneBytes), blocks)
		INCQ(feature)
		CMPQ(feature, features)
		JLT(LabelRef(next + "_features"))
		for i, sum := range sums {
			VMOVUPS(sum, Mem{Base: dst, Disp: i * laneBytes})
		}
		if count == abreast {
			ADDQ(size3, blocks)
		}
		ADDQ(U32(count*laneBytes), dst)
		SUBQ(U8(count), n)
		JMP(LabelRef(next))
		Label(done)
	}
}

// compareRows writes a function that takes eight rows of x, a stride apart, feature
// by feature, into their sums with the vectors of a block.
func (e *element) compareRows(name, does string, step func(x, sum reg.VecVirtual, vectors Op)) {
	TEXT(name, NOSPLIT, fmt.Sprintf("func(sums *%[1]s, width int, x, block *%[1]s, stride, features int)", e.name))
	Doc(name+" "+does, "The rows of sums are a width apart.")
	Pragma("noescape")
	to, width := Load(Param("sums"), GP64()), Load(Param("width"), GP64())
	x, block := Load(Param("x"), GP64()), Load(Param("block"), GP64())
	stride, features := Load(Param("stride"), GP64()), Load(Param("features"), GP64())
	stride3, upper, width3, upperTo := GP64(), GP64(), GP64(), GP64()
	for _, s := range [][4]reg.Register{{stride, stride3, x, upper}, {width, width3, to, upperTo}} {
		SHLQ(U8(e.shift), s[0])
		LEAQ(Mem{Base: s[0], Index: s[0], Scale: 2}, s[1])
		LEAQ(Mem{Base: s[2], Index: s[0], Scale: 4}, s[3])
	}
	sums := make([]reg.VecVirtual, lanes)
	for i := range sums {
		sums[i] = YMM()
		e.load(rowOf(i, to, upperTo, width, width3), sums[i])
	}
	Label("features")
	vectors := YMM()
	e.load(Mem{Base: block}, vectors)
	for i, sum := range sums {
		value := YMM()
		e.broadcast(rowOf(i, x, upper, stride, stride3), value)
		step(value, sum, vectors)
	}
	ADDQ(U8(1<<e.shift), x)
	ADDQ(U8(1<<e.shift), upper)
	ADDQ(U8(laneBytes), block)
	DECQ(features)
	JNE(LabelRef("features"))
	for i, sum := range sums {
		e.load(sum, rowOf(i, to, upperTo, width, width3))
	}
	VZEROUPPER()
	RET()
}

// lanesOfProducts writes a function that adds products in eight lanes, each product
// rounded before.
func lanesOfProducts() {
	TEXT("lanesOfProducts", NOSPLIT, "func(sums, x, y *float32, n int)")
	Doc("lanesOfProducts adds to eight sums the products of n times eight elements of x and y.")
	Pragma("noescape")
	to, x, y, n := Load(Param("sums"), GP64()), Load(Param("x"), GP64()), Load(Param("y"), GP64()), Load(Param("n"), GP64())
	sums := YMM()
	VMOVUPS(Mem{Base: to}, sums)
	Label("next")
	v := YMM()
	VMOVUPS(Mem{Base: x}, v)
	VMULPS(Mem{Base: y}, v, v)
	VADDPS(v, sums, sums)
	ADDQ(U8(laneBytes), x)
	ADDQ(U8(laneBytes), y)
	DECQ(n)
	JNE(LabelRef("next"))
	VMOVUPS(sums, Mem{Base: to})
	VZEROUPPER()
	RET()
}

// productInOrder writes a function that adds one product after the other.
func productInOrder() {
	TEXT("productInOrder", NOSPLIT, "func(sum float32, x, vector *float32, n int) float32")
	Doc("productInOrder adds to sum the products of the n elements of x and vector.")
	Pragma("noescape")
	sum := XMM()
	Load(Param("sum"), sum)
	x, vector, n := Load(Param("x"), GP64()), Load(Param("vector"), GP64()), Load(Param("n"), GP64())
	i := GP64()
	XORQ(i, i)
	Label("productInOrder_next")
	CMPQ(i, n)
	JGE(LabelRef("productInOrder_done"))
	v := XMM()
	VMOVSS(Mem{Base: x, Index: i, Scale: 4}, v)
	VFMADD231SS(Mem{Base: vector, Index: i, Scale: 4}, v, sum)
	INCQ(i)
	JMP(LabelRef("productInOrder_next"))
	Label("productInOrder_done")
	Store(sum, ReturnIndex(0))
	RET()
}

// productsInOrder writes productInOrder for eight vectors at once, none of which
// waits for another.
func productsInOrder() {
	TEXT("productsInOrder", NOSPLIT, "func(sums, weights, values *float32, stride, n int)")
	Doc("productsInOrder adds to eight sums the products of the n weights with values, whose rows are a stride apart.")
	Pragma("noescape")
	to, weights, values := Load(Param("sums"), GP64()), Load(Param("weights"), GP64()), Load(Param("values"), GP64())
	stride, n := Load(Param("stride"), GP64()), Load(Param("n"), GP64())
	SHLQ(U8(2), stride)
	stride3, upper := GP64(), GP64()
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, stride3)
	LEAQ(Mem{Base: values, Index: stride, Scale: 4}, upper)
	sums := make([]reg.VecVirtual, lanes)
	for i := range sums {
		sums[i] = XMM()
		VMOVSS(Mem{Base: to, Disp: 4 * i}, sums[i])
	}
	Label("next")
	weight := XMM()
	VMOVSS(Mem{Base: weights}, weight)
	for i, sum := range sums {
		VFMADD231SS(rowOf(i, values, upper, stride, stride3), weight, sum)
	}
	ADDQ(U8(4), weights)
	ADDQ(U8(4), values)
	ADDQ(U8(4), upper)
	DECQ(n)
	JNE(LabelRef("next"))
	for i, sum := range sums {
		VMOVSS(sum, Mem{Base: to, Disp: 4 * i})
	}
	RET()
}

// rowOf is where the i-th of eight rows is; upper is where the fifth is.
func rowOf(i int, x, upper, stride, stride3 reg.Register) Mem {
	from := Mem{Base: x}
	if i >= 4 {
		from.Base = upper
	}
	switch i % 4 {
	case 1:
		from.Index, from.Scale = stride, 1
	case 2:
		from.Index, from.Scale = stride, 2
	case 3:
		from.Index, from.Scale = stride3, 1
	}
	return from
}

// weighWide writes a function that rounds products to float32 and adds them in
// float64, in any order.
func weighWide() {
	TEXT("weighWide", NOSPLIT, "func(weights, values *float32, n int) float64")
	Doc("weighWide adds up in float64 the products, rounded to float32, of n times eight weights with values.")
	Pragma("noescape")
	weights, values, n := Load(Param("weights"), GP64()), Load(Param("values"), GP64()), Load(Param("n"), GP64())
	low, high := YMM(), YMM()
	VXORPD(low, low, low)
	VXORPD(high, high, high)
	Label("next")
	v, half, wide := YMM(), XMM(), YMM()
	VMOVUPS(Mem{Base: weights}, v)
	VMULPS(Mem{Base: values}, v, v)
	VEXTRACTF128(U8(1), v, half)
	VCVTPS2PD(v.AsX(), wide)
	VADDPD(wide, low, low)
	VCVTPS2PD(half, wide)
	VADDPD(wide, high, high)
	ADDQ(U8(laneBytes), weights)
	ADDQ(U8(laneBytes), values)
	DECQ(n)
	JNE(LabelRef("next"))
	VADDPD(high, low, low)
	upper := XMM()
	VEXTRACTF128(U8(1), low, upper)
	VADDPD(upper, low.AsX(), low.AsX())
	VHADDPD(low.AsX(), low.AsX(), low.AsX())
	VZEROUPPER()
	Store(low.AsX(), ReturnIndex(0))
	RET()
}
