package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// scanBytes keeps the places of 256 rows in eight registers.
func scanBytes() {
	const registers, bytes = 8, 32
	TEXT("scanBytes", NOSPLIT, "func(branches *uint64, n int, columns *uint8, at *uint8)")
	Pragma("noescape")
	Doc("scanBytes asks n branches in turn of 256 rows, and sets the places at. A branch has, from",
		"its lowest byte up, where its column begins, four bytes; the first cell on its far side, as",
		"a signed byte, as those of the columns are; the place of its near side; and how far from",
		"there its far side is.")
	branch, n, columns, list := load("branches"), load("n"), load("columns"), load("at")
	var at [registers]reg.VecVirtual
	for i := range at {
		at[i] = YMM()
		VPXOR(at[i], at[i], at[i])
	}
	column := GP64()
	cell, near, far, asked, here := YMM(), YMM(), YMM(), YMM(), YMM()
	Label("branch")
	MOVL(Mem{Base: branch}, column.As32())
	VPBROADCASTB(Mem{Base: branch, Disp: 4}, cell)
	VPBROADCASTB(Mem{Base: branch, Disp: 5}, near)
	VPBROADCASTB(Mem{Base: branch, Disp: 6}, far)
	for i := range at {
		VPCMPGTB(Mem{Base: columns, Index: column, Scale: 1, Disp: bytes * i}, cell, asked) // on the near side
		VPCMPEQB(near, at[i], here)
		VPANDN(here, asked, asked)
		VPAND(far, asked, asked)
		VPADDB(asked, at[i], at[i])
	}
	ADDQ(U8(8), branch)
	DECQ(n)
	JNZ(LabelRef("branch"))
	for i := range at {
		VMOVDQU(at[i], Mem{Base: list, Disp: bytes * i})
	}
	VZEROUPPER()
	RET()
}
