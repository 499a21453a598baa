package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// belowLanes writes the exponentials of softmax, with those of c.
func (c *constants) belowLanes() {
	TEXT("belowLanes", NOSPLIT, "func(dst *float64, x *float32, top float64, n int) float64")
	Doc("belowLanes sets n times eight of dst to the exponentials of those of x less top, and returns their sum.")
	Pragma("noescape")
	dst, x, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	one, top := XMM(), YMM()
	Load(Param("top"), one)
	VBROADCASTSD(one, top)
	low, high := YMM(), YMM()
	VXORPD(low, low, low)
	VXORPD(high, high, high)
	Label("next")
	for half, sum := range []Op{low, high} {
		v := YMM()
		VCVTPS2PD(Mem{Base: x, Disp: 16 * half}, v)
		VSUBPD(top, v, v)
		e := c.exponentials(v)[0]
		VADDPD(e, sum, sum)
		VMOVUPD(e, Mem{Base: dst, Disp: 32 * half})
	}
	ADDQ(U8(laneBytes), x)
	ADDQ(U8(2*laneBytes), dst)
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

// shareLanes writes the other half of softmax.
func shareLanes() {
	TEXT("shareLanes", NOSPLIT, "func(dst *float32, x *float64, by float64, n int)")
	Doc("shareLanes sets n times eight of dst to those of x times by.")
	Pragma("noescape")
	dst, x, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	one, by := XMM(), YMM()
	Load(Param("by"), one)
	VBROADCASTSD(one, by)
	Label("next")
	for half := range 2 {
		v, result := YMM(), XMM()
		VMULPD(Mem{Base: x, Disp: 32 * half}, by, v)
		VCVTPD2PSY(v, result)
		VMOVUPS(result, Mem{Base: dst, Disp: 16 * half})
	}
	ADDQ(U8(laneBytes), dst)
	ADDQ(U8(2*laneBytes), x)
	DECQ(n)
	JNE(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// sumLanes writes a function that adds in eight lanes.
func sumLanes() {
	TEXT("sumLanes", NOSPLIT, "func(sums, x *float32, n int)")
	Doc("sumLanes adds to eight sums n times as many of x, one after the other.")
	Pragma("noescape")
	to, x, n := Load(Param("sums"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	sums := YMM()
	VMOVUPS(Mem{Base: to}, sums)
	Label("next")
	VADDPS(Mem{Base: x}, sums, sums)
	ADDQ(U8(laneBytes), x)
	DECQ(n)
	JNE(LabelRef("next"))
	VMOVUPS(sums, Mem{Base: to})
	VZEROUPPER()
	RET()
}
