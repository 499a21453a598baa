package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// distance adds to sum the squares of the differences of x and vectors, each rounded
// before.
func (e *element) distance(x, sum reg.VecVirtual, vectors Op) {
	d := YMM()
	e.sub(vectors, x, d)
	e.mul(d, d, d)
	e.add(d, sum, sum)
}

// fusedDistance is distance with the squares fused with the sum.
func (e *element) fusedDistance(x, sum reg.VecVirtual, vectors Op) {
	d := YMM()
	e.sub(vectors, x, d)
	e.fma(d, d, sum)
}

// magnitudes writes a function that adds up the magnitudes of differences in the order of
// SumAligned.
func (e *element) magnitudes() {
	name := "magnitudes" + e.suffix
	TEXT(name, NOSPLIT, fmt.Sprintf("func(dst, x, block *%s, stride, rows, head, pairs, single, tail int)", e.name))
	Doc(name+" writes the sums of the magnitudes of the differences of rows of x, which are a stride apart, and the",
		"vectors of one block. head features come last but for the tail. Before them are pairs of 16 bytes of",
		"features, in two strands, and 0 or 1 single ones.")
	Pragma("noescape")
	dst, x, block := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("block"), GP64())
	stride, rows := Load(Param("stride"), GP64()), Load(Param("rows"), GP64())
	size, four := 1<<e.shift, 16>>e.shift
	SHLQ(U8(e.shift), stride)
	mask := YMM()
	VPCMPEQD(mask, mask, mask)
	e.unsigned(mask)
	sums := make([]reg.VecVirtual, 2*four)
	for i := range sums {
		sums[i] = YMM()
	}
	row, vectors, left := GP64(), GP64(), GP64()
	// step adds the next features to the sums of as many strands.
	step := func(strands int) {
		for i := range strands {
			d := YMM()
			e.broadcast(Mem{Base: row, Disp: i * size}, d)
			e.sub(Mem{Base: vectors, Disp: i * laneBytes}, d, d)
			e.and(mask, d, d)
			e.add(d, sums[i], sums[i])
		}
		ADDQ(U32(uint32(strands*size)), row)
		ADDQ(U32(uint32(strands*laneBytes)), vectors)
	}
	// repeat steps as often as a parameter says.
	repeat := func(param string, strands int) {
		Load(Param(param), left)
		TESTQ(left, left)
		JE(LabelRef(param + "_done"))
		Label(param + "_next")
		step(strands)
		DECQ(left)
		JNE(LabelRef(param + "_next"))
		Label(param + "_done")
	}

	Label("row")
	for _, sum := range sums {
		e.zero(sum)
	}
	head := Load(Param("head"), GP64())
	LEAQ(Mem{Base: x, Index: head, Scale: uint8(size)}, row)
	SHLQ(U8(5), head)
	LEAQ(Mem{Base: block, Index: head, Scale: 1}, vectors)
	repeat("pairs", 2*four)
	for i := range four {
		e.add(sums[four+i], sums[i], sums[i])
	}
	repeat("single", four)
	for n := four / 2; n > 0; n /= 2 {
		for i := range n {
			e.add(sums[n+i], sums[i], sums[i])
		}
	}
	behind, behindVectors := GP64(), GP64()
	MOVQ(row, behind)
	MOVQ(vectors, behindVectors)
	MOVQ(x, row)
	MOVQ(block, vectors)
	repeat("head", 1)
	MOVQ(behind, row)
	MOVQ(behindVectors, vectors)
	repeat("tail", 1)
	e.load(sums[0], Mem{Base: dst})
	ADDQ(U8(laneBytes), dst)
	ADDQ(stride, x)
	DECQ(rows)
	JNE(LabelRef("row"))
	VZEROUPPER()
	RET()
}
