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

// lanewise writes a function of one vector.
func lanewise(name, does string, of func(dst, x Mem)) {
	TEXT(name, NOSPLIT, "func(dst, x *float32, n int)")
	Doc(name + " " + does + " n times eight elements of x.")
	Pragma("noescape")
	dst, x, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	Label("next")
	of(Mem{Base: dst}, Mem{Base: x})
	ADDQ(U8(laneBytes), dst)
	ADDQ(U8(laneBytes), x)
	DECQ(n)
	JNE(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// cube multiplies in float64.
func cube(dst, x Mem) {
	for half := range 2 {
		v, cube, result := YMM(), YMM(), XMM()
		VCVTPS2PD(x.Offset(16*half), v)
		VMULPD(v, v, cube)
		VMULPD(v, cube, cube)
		VCVTPD2PSY(cube, result)
		VMOVUPS(result, dst.Offset(16*half))
	}
}

func root(dst, x Mem) {
	v := YMM()
	VSQRTPS(x, v)
	VMOVUPS(v, dst)
}

// until writes a function that looks for what a comparison with a limit holds of.
func until(name, does string, comparison uint64) {
	TEXT(name, NOSPLIT, "func(x *float32, limit float32, n int) int")
	Doc(name + " returns how many of n times eight elements of x, eight by eight, come before those with one that is " + does + " the limit or NaN.")
	Pragma("noescape")
	x, n := Load(Param("x"), GP64()), Load(Param("n"), GP64())
	limit, found := YMM(), GP64()
	VBROADCASTSS(NewParamAddr("limit", 8), limit)
	start := GP64()
	MOVQ(n, start)
	Label("next")
	v, mask := YMM(), GP32()
	VMOVUPS(Mem{Base: x}, v)
	VCMPPS(U8(comparison), limit, v, v)
	VMOVMSKPS(v, mask)
	TESTL(mask, mask)
	JNE(LabelRef("done"))
	ADDQ(U8(laneBytes), x)
	DECQ(n)
	JNE(LabelRef("next"))
	Label("done")
	MOVQ(start, found)
	SUBQ(n, found)
	VZEROUPPER()
	Store(found, ReturnIndex(0))
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
