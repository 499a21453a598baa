package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// addParts writes a function that adds to four or fewer rows of sums, each of width
// lanes, the products of one element after the other of as many parts of x with as
// many parts of b. None waits for another.
func addParts(name string, width int) {
	TEXT(name, NOSPLIT, "func(sums, x *float32, xStride int, b *float32, bStride, depth, n int)")
	Doc(fmt.Sprintf("%s adds to n rows of %d sums the products of depth elements of x, xStride apart, with depth rows", name, width*lanes),
		"at b, bStride apart. n is 1 to 4. Strides are in elements.")
	Pragma("noescape")
	to, x, xStride := Load(Param("sums"), GP64()), Load(Param("x"), GP64()), Load(Param("xStride"), GP64())
	b, bStride := Load(Param("b"), GP64()), Load(Param("bStride"), GP64())
	depth, n := Load(Param("depth"), GP64()), Load(Param("n"), GP64())
	xStride3, bStride3 := GP64(), GP64()
	for _, s := range [][2]reg.GPVirtual{{xStride.(reg.GPVirtual), xStride3}, {bStride.(reg.GPVirtual), bStride3}} {
		SHLQ(U8(2), s[0])
		LEAQ(Mem{Base: s[0], Index: s[0], Scale: 2}, s[1])
	}
	for count := abreast; count > 0; count-- {
		other := fmt.Sprintf("fewer_than_%d", count)
		CMPQ(n, U8(count))
		JNE(LabelRef(other))
		sums := make([]reg.VecVirtual, count*width)
		for i := range sums {
			sums[i] = YMM()
			VMOVUPS(Mem{Base: to, Disp: i * laneBytes}, sums[i])
		}
		next := fmt.Sprintf("next_of_%d", count)
		Label(next)
		for i := range count {
			value := YMM()
			VBROADCASTSS(rowOf(i, x, nil, xStride, xStride3), value)
			for j := range width {
				from := rowOf(i, b, nil, bStride, bStride3)
				from.Disp = j * laneBytes
				VFMADD231PS(from, value, sums[i*width+j])
			}
		}
		ADDQ(U8(4), x)
		ADDQ(U8(width*laneBytes), b)
		DECQ(depth)
		JNE(LabelRef(next))
		for i, sum := range sums {
			VMOVUPS(sum, Mem{Base: to, Disp: i * laneBytes})
		}
		Label(other)
		if count > 1 {
			TESTQ(depth, depth)
			JE(LabelRef("done"))
		}
	}
	Label("done")
	VZEROUPPER()
	RET()
}

// addChains writes a function that adds products to four sums, each of elements that
// stand one behind the other from places of their own on.
func addChains() {
	TEXT("addChains", NOSPLIT, "func(sums, x, y *float32, at *int, n int)")
	Doc("addChains adds to each of four sums the products of the n elements of x and of y from its place on, of which at has four.")
	Pragma("noescape")
	to, x, y := Load(Param("sums"), GP64()), Load(Param("x"), GP64()), Load(Param("y"), GP64())
	at, n := Load(Param("at"), GP64()), Load(Param("n"), GP64())
	SUBQ(x, y) // how far y is from x
	sums, from := make([]reg.VecVirtual, abreast), make([]reg.GPVirtual, abreast)
	for i := range sums {
		sums[i], from[i] = XMM(), GP64()
		VMOVSS(Mem{Base: to, Disp: 4 * i}, sums[i])
		MOVQ(Mem{Base: at, Disp: 8 * i}, from[i])
		LEAQ(Mem{Base: x, Index: from[i], Scale: 4}, from[i])
	}
	Label("next")
	for i, sum := range sums {
		v := XMM()
		VMOVSS(Mem{Base: from[i]}, v)
		VFMADD231SS(Mem{Base: from[i], Index: y, Scale: 1}, v, sum)
		ADDQ(U8(4), from[i])
	}
	DECQ(n)
	JNE(LabelRef("next"))
	for i, sum := range sums {
		VMOVSS(sum, Mem{Base: to, Disp: 4 * i})
	}
	RET()
}
