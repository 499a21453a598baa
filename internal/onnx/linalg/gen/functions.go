package main

import (
	"fmt"
	"math"
	"slices"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// scaleLanes writes a function that scales eight values at a time.
func scaleLanes() {
	TEXT("scaleLanes", NOSPLIT, "func(values *float32, by, plus float32, n int)")
	Doc("scaleLanes multiplies n times eight values and adds to them, rounding once.")
	Pragma("noescape")
	values, n := Load(Param("values"), GP64()), Load(Param("n"), GP64())
	one := XMM()
	by, plus := YMM(), YMM()
	Load(Param("by"), one)
	VBROADCASTSS(one, by)
	Load(Param("plus"), one)
	VBROADCASTSS(one, plus)
	Label("scaleLanes_next")
	CMPQ(n, U8(0))
	JE(LabelRef("scaleLanes_done"))
	v := YMM()
	VMOVUPS(Mem{Base: values}, v)
	VFMADD213PS(plus, by, v)
	VMOVUPS(v, Mem{Base: values})
	ADDQ(U8(laneBytes), values)
	DECQ(n)
	JMP(LabelRef("scaleLanes_next"))
	Label("scaleLanes_done")
	VZEROUPPER()
	RET()
}

// spread returns four float64 of a value, in memory. They are given by their
// bits, since the assembler takes a whole number for an integer.
func spread(name string, value float64) Mem { return spreadBits(name, math.Float64bits(value)) }

func spreadBits(name string, bits uint64) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 4 {
		DATA(8*i, U64(bits))
	}
	return m
}

// exponentialLanes writes a function that does, for eight values at a time and
// step by step, what exponential of linalg does.
func exponentialLanes() {
	least, greatest := spread("least", -110), spread("greatest", 100)
	log2e, ln2, rounder := spread("log2e", math.Log2E), spread("ln2", math.Ln2), spread("rounder", 3<<51)
	bias := spreadBits("bias", 1023)
	var factors []Mem // of the series, from the highest power down
	for power, factorial := 0, 1.0; power <= 8; power++ {
		factors = slices.Insert(factors, 0, spread(fmt.Sprintf("factor%d", power), 1/factorial))
		factorial *= float64(power + 1)
	}

	TEXT("exponentialLanes", NOSPLIT, "func(values *float32, by float32, n int)")
	Doc("exponentialLanes replaces each v of n times eight values by the exponential of v times by.")
	Pragma("noescape")
	values, n := Load(Param("values"), GP64()), Load(Param("n"), GP64())
	factor, by := YMM(), XMM()
	Load(Param("by"), by)
	VBROADCASTSS(by, factor)
	Label("exponentialLanes_next")
	CMPQ(n, U8(0))
	JE(LabelRef("exponentialLanes_done"))
	x := YMM()
	VMULPS(Mem{Base: values}, factor, x)
	high := XMM()
	VEXTRACTF128(U8(1), x, high)
	halves := [2]reg.VecVirtual{YMM(), YMM()}
	VCVTPS2PD(x.AsX(), halves[0])
	VCVTPS2PD(high, halves[1])
	for half, x := range halves {
		// The second operand is what comes of NaN.
		limit, shifted, r, e, result := YMM(), YMM(), YMM(), YMM(), XMM()
		VMOVUPD(greatest, limit)
		VMINPD(x, limit, x)
		VMOVUPD(least, limit)
		VMAXPD(x, limit, x)
		VMOVUPD(rounder, shifted)
		VFMADD231PD(log2e, x, shifted)
		VSUBPD(rounder, shifted, r)
		VFNMADD132PD(ln2, x, r)
		VMOVUPD(factors[0], e)
		for _, f := range factors[1:] {
			VFMADD213PD(f, r, e)
		}
		VPADDQ(bias, shifted, shifted)
		VPSLLQ(U8(52), shifted, shifted)
		VMULPD(shifted, e, e)
		VCVTPD2PSY(e, result)
		VMOVUPS(result, Mem{Base: values, Disp: 16 * half})
	}
	ADDQ(U8(laneBytes), values)
	DECQ(n)
	JMP(LabelRef("exponentialLanes_next"))
	Label("exponentialLanes_done")
	VZEROUPPER()
	RET()
}
