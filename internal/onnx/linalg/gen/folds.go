package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// fold writes the two functions that take float32 into accumulators by the
// instructions of step: name+"LaneSingle" takes all into the few that the registers
// hold, name+"RowSingle" each into its own. The elements for one register of
// accumulators are of xBytes.
func fold(name, acc, does string, xBytes int, step func(acc reg.VecVirtual, x Mem)) {
	const accBytes = 32
	TEXT(name+"LaneSingle", NOSPLIT, "func(acc *"+acc+", x *float32, n int)")
	Doc(name + "LaneSingle " + does + " n times as many elements of x as four registers hold.")
	Pragma("noescape")
	to, x, n := Load(Param("acc"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	sums := make([]reg.VecVirtual, abreast)
	for i := range sums {
		sums[i] = YMM()
		VMOVUPS(Mem{Base: to, Disp: i * accBytes}, sums[i])
	}
	Label("next")
	for i := range sums {
		step(sums[i], Mem{Base: x, Disp: i * xBytes})
	}
	ADDQ(U32(uint32(abreast*xBytes)), x)
	DECQ(n)
	JNE(LabelRef("next"))
	for i := range sums {
		VMOVUPS(sums[i], Mem{Base: to, Disp: i * accBytes})
	}
	VZEROUPPER()
	RET()

	TEXT(name+"RowSingle", NOSPLIT, "func(acc *"+acc+", x *float32, n int)")
	Doc(name + "RowSingle " + does + " n times as many elements of x as a register holds, each into its own.")
	Pragma("noescape")
	to, x, n = Load(Param("acc"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	Label("next")
	sum := YMM()
	VMOVUPS(Mem{Base: to}, sum)
	step(sum, Mem{Base: x})
	VMOVUPS(sum, Mem{Base: to})
	ADDQ(U8(accBytes), to)
	ADDQ(U8(xBytes), x)
	DECQ(n)
	JNE(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// sum is the step that adds in float64.
func sum(acc reg.VecVirtual, x Mem) {
	v := YMM()
	VCVTPS2PD(x, v)
	VADDPD(v, acc, acc)
}

// extreme returns the step of an instruction that picks one of two. Of NaN it
// picks the last of its sources, so that the accumulator's stays; that of an
// element is put in afterwards.
func extreme(pick func(...Op)) func(acc reg.VecVirtual, x Mem) {
	return func(acc reg.VecVirtual, x Mem) {
		const unordered = 3
		v, nan := YMM(), YMM()
		VMOVUPS(x, v)
		VCMPPS(U8(unordered), v, v, nan)
		pick(acc, v, acc)
		VORPS(nan, acc, acc)
	}
}
