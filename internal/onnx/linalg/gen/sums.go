package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// reduce writes the sum of the squared differences of two vectors whose length is a
// multiple of 32 bytes.
func (e *element) reduce() {
	const name = "distance"
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
		e.sub(Mem{Base: b, Disp: 32 * i}, x, x)
		e.fma(x, x, sums[i])
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
