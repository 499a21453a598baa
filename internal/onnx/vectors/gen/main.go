// Command gen writes the assembly of package vectors:
//
//	go run . -out ../lanes_amd64.s -stubs ../lanes_amd64.go -pkg vectors
package main

import (
	"fmt"
	"math"
	"slices"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	lanes     = 8
	laneBytes = 4 * lanes
	abreast   = 4 // blocks whose sums are made side by side
)

func main() {
	hasUnit()
	compare("distancesAVX", "writes the squared distances of x, of the given number of features, to the vectors of n blocks.", func(x, sum VecVirtual, vectors Mem) {
		d := YMM()
		VSUBPS(vectors, x, d)
		VMULPS(d, d, d)
		VADDPS(d, sum, sum)
	})
	compare("productsAVX", "writes the products of x, of the given number of features, with the vectors of n blocks.", func(x, sum VecVirtual, vectors Mem) {
		VFMADD231PS(vectors, x, sum)
	})
	product()
	scale()
	exponentials()
	Generate()
}

// hasUnit asks the processor for AVX2 and FMA, and whether the system saves the
// registers.
func hasUnit() {
	TEXT("hasUnit", NOSPLIT, "func() bool")
	Doc("hasUnit reports whether AVX2 and FMA can be used.")
	const units, registers, avx2 = 1<<28 | 1<<27 | 1<<12, 6, 1 << 5
	MOVL(U32(1), EAX)
	XORL(ECX, ECX)
	CPUID()
	ANDL(U32(units), ECX)
	CMPL(ECX, U32(units))
	JNE(LabelRef("no"))
	XORL(ECX, ECX)
	XGETBV()
	ANDL(U32(registers), EAX)
	CMPL(EAX, U32(registers))
	JNE(LabelRef("no"))
	MOVL(U32(7), EAX)
	XORL(ECX, ECX)
	CPUID()
	ANDL(U32(avx2), EBX)
	JZ(LabelRef("no"))
	yes := GP8()
	MOVB(U8(1), yes)
	Store(yes, ReturnIndex(0))
	RET()
	Label("no")
	no := GP8()
	MOVB(U8(0), no)
	Store(no, ReturnIndex(0))
	RET()
}

// compare writes a function that takes x feature by feature into the sums of
// several blocks, then of those that are left, by the instructions of step.
func compare(name, does string, step func(x, sum VecVirtual, vectors Mem)) {
	TEXT(name, NOSPLIT, "func(dst, x, blocks *float32, features, n int)")
	Doc(name + " " + does)
	Pragma("noescape")
	dst, x, blocks := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("blocks"), GP64())
	features, n := Load(Param("features"), GP64()), Load(Param("n"), GP64())
	size := GP64() // of a block, in bytes
	MOVQ(features, size)
	SHLQ(U8(5), size)

	for _, count := range []int{abreast, 1} {
		next, done := name+"_"+string(rune('0'+count)), name+"_done_"+string(rune('0'+count))
		Label(next)
		CMPQ(n, U8(count))
		JLT(LabelRef(done))
		at := make([]Register, count)
		sums := make([]VecVirtual, count)
		for i := range count {
			sums[i] = YMM()
			VXORPS(sums[i], sums[i], sums[i])
			p := GP64()
			MOVQ(blocks, p)
			ADDQ(size, blocks)
			at[i] = p
		}
		feature, offset := GP64(), GP64()
		XORQ(feature, feature)
		XORQ(offset, offset)
		Label(next + "_features")
		value := YMM()
		VBROADCASTSS(Mem{Base: x, Index: feature, Scale: 4}, value)
		for i := range count {
			step(value, sums[i], Mem{Base: at[i], Index: offset, Scale: 1})
		}
		ADDQ(U8(laneBytes), offset)
		INCQ(feature)
		CMPQ(feature, features)
		JLT(LabelRef(next + "_features"))
		for i := range count {
			VMOVUPS(sums[i], Mem{Base: dst, Disp: i * laneBytes})
		}
		ADDQ(U32(count*laneBytes), dst)
		SUBQ(U8(count), n)
		JMP(LabelRef(next))
		Label(done)
	}
	VZEROUPPER()
	RET()
}

// product writes productAVX, which adds one product after the other.
func product() {
	TEXT("productAVX", NOSPLIT, "func(sum float32, x, vector *float32, n int) float32")
	Doc("productAVX adds to sum the products of the n elements of x and vector.")
	Pragma("noescape")
	sum := XMM()
	Load(Param("sum"), sum)
	x, vector, n := Load(Param("x"), GP64()), Load(Param("vector"), GP64()), Load(Param("n"), GP64())
	i := GP64()
	XORQ(i, i)
	Label("productAVX_next")
	CMPQ(i, n)
	JGE(LabelRef("productAVX_done"))
	v := XMM()
	VMOVSS(Mem{Base: x, Index: i, Scale: 4}, v)
	VFMADD231SS(Mem{Base: vector, Index: i, Scale: 4}, v, sum)
	INCQ(i)
	JMP(LabelRef("productAVX_next"))
	Label("productAVX_done")
	Store(sum, ReturnIndex(0))
	RET()
}

// scale writes scaleAVX.
func scale() {
	TEXT("scaleAVX", NOSPLIT, "func(values *float32, by, plus float32, n int)")
	Doc("scaleAVX multiplies n times eight values and adds to them, rounding once.")
	Pragma("noescape")
	values, n := Load(Param("values"), GP64()), Load(Param("n"), GP64())
	one := XMM()
	by, plus := YMM(), YMM()
	Load(Param("by"), one)
	VBROADCASTSS(one, by)
	Load(Param("plus"), one)
	VBROADCASTSS(one, plus)
	Label("scaleAVX_next")
	CMPQ(n, U8(0))
	JE(LabelRef("scaleAVX_done"))
	v := YMM()
	VMOVUPS(Mem{Base: values}, v)
	VFMADD213PS(plus, by, v)
	VMOVUPS(v, Mem{Base: values})
	ADDQ(U8(laneBytes), values)
	DECQ(n)
	JMP(LabelRef("scaleAVX_next"))
	Label("scaleAVX_done")
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

// exponentials writes expAVX, step by step what exponential does.
func exponentials() {
	least, greatest := spread("least", -110), spread("greatest", 100)
	log2e, ln2, rounder := spread("log2e", math.Log2E), spread("ln2", math.Ln2), spread("rounder", 3<<51)
	bias := spreadBits("bias", 1023)
	var factors []Mem // of the series, from the highest power down
	for power, factorial := 0, 1.0; power <= 8; power++ {
		factors = slices.Insert(factors, 0, spread(fmt.Sprintf("factor%d", power), 1/factorial))
		factorial *= float64(power + 1)
	}

	TEXT("expAVX", NOSPLIT, "func(values *float32, by float32, n int)")
	Doc("expAVX replaces each v of n times eight values by the exponential of v times by.")
	Pragma("noescape")
	values, n := Load(Param("values"), GP64()), Load(Param("n"), GP64())
	factor, by := YMM(), XMM()
	Load(Param("by"), by)
	VBROADCASTSS(by, factor)
	Label("expAVX_next")
	CMPQ(n, U8(0))
	JE(LabelRef("expAVX_done"))
	x := YMM()
	VMULPS(Mem{Base: values}, factor, x)
	high := XMM()
	VEXTRACTF128(U8(1), x, high)
	halves := [2]VecVirtual{YMM(), YMM()}
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
	JMP(LabelRef("expAVX_next"))
	Label("expAVX_done")
	VZEROUPPER()
	RET()
}
