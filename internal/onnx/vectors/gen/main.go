// Command gen writes the assembly of package vectors:
//
//	go run . -out ../lanes_amd64.s -stubs ../lanes_amd64.go -pkg vectors
package main

import (
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
	Generate()
}

// hasUnit asks the processor for AVX and FMA, and whether the system saves the
// registers.
func hasUnit() {
	TEXT("hasUnit", NOSPLIT, "func() bool")
	Doc("hasUnit reports whether AVX and FMA can be used.")
	const units, registers = 1<<28 | 1<<27 | 1<<12, 6
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
