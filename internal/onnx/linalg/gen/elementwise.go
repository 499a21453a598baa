package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// elementwise writes a function of two vectors, by an instruction.
func elementwise(name, does string, of func(...Op)) {
	TEXT(name, NOSPLIT, "func(dst, a, b *float32, n int)")
	Doc(name + " " + does + " n times eight elements.")
	Pragma("noescape")
	dst, a, b, n := Load(Param("dst"), GP64()), Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("n"), GP64())
	offset := GP64()
	XORQ(offset, offset)
	Label("next")
	x := YMM()
	VMOVUPS(Mem{Base: a, Index: offset, Scale: 1}, x)
	of(Mem{Base: b, Index: offset, Scale: 1}, x, x)
	VMOVUPS(x, Mem{Base: dst, Index: offset, Scale: 1})
	ADDQ(U8(laneBytes), offset)
	DECQ(n)
	JNE(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// square is the step that adds squares in float64.
func square(acc reg.VecVirtual, x Mem) {
	v := YMM()
	VCVTPS2PD(x, v)
	VFMADD231PD(v, v, acc)
}

// magnitude is the step that adds what is left without signs in float64.
func magnitude(acc reg.VecVirtual, x Mem) {
	v, sign := YMM(), YMM()
	VCVTPS2PD(x, v)
	VPCMPEQQ(sign, sign, sign)
	VPSLLQ(U8(63), sign, sign)
	VANDNPD(v, sign, v)
	VADDPD(v, acc, acc)
}
