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

// apart writes the magnitude of a difference: the greater of it and its negative.
func apart(o ...Op) {
	negative := YMM()
	VMOVUPS(o[0], negative)
	VSUBPS(o[1], negative, negative)
	VSUBPS(o[0], o[1], o[2])
	VMAXPS(negative, o[2], o[2])
}

// cubeLanes writes a function that multiplies in float64.
func cubeLanes() {
	TEXT("cubeLanes", NOSPLIT, "func(dst, x *float32, n int)")
	Doc("cubeLanes raises n times eight elements of x to the power of 3.")
	Pragma("noescape")
	dst, x, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	Label("next")
	for half := range 2 {
		v, cube, result := YMM(), YMM(), XMM()
		VCVTPS2PD(Mem{Base: x, Disp: 16 * half}, v)
		VMULPD(v, v, cube)
		VMULPD(v, cube, cube)
		VCVTPD2PSY(cube, result)
		VMOVUPS(result, Mem{Base: dst, Disp: 16 * half})
	}
	ADDQ(U8(laneBytes), dst)
	ADDQ(U8(laneBytes), x)
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
