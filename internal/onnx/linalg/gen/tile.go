package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tile writes the product of some rows with 16 columns, and of the rows behind them
// n times in all. Each sum is made in the order of the depth.
func (e *element) tile(rows int) {
	TEXT(fmt.Sprintf("tile%d%s", rows, e.suffix), NOSPLIT, fmt.Sprintf(
		"func(c *%[1]s, cStride int, a *%[1]s, rowStride, colStride int, b *%[1]s, bStride int, depth, n int, add bool)", e.name))
	Pragma("noescape")
	Doc(fmt.Sprintf("tile%d%s sets, or adds to, rows of 16 at c, of which there are n times %[1]d: the product of as many rows", rows, e.suffix),
		"at a with depth rows of 16 at b. Strides are in elements.")
	stride := func(name string) reg.Register {
		r := Load(Param(name), GP64())
		SHLQ(U8(e.shift), r)
		return r
	}
	c, cStride := Load(Param("c"), GP64()), stride("cStride")
	first, rowStride, colStride := Load(Param("a"), GP64()), stride("rowStride"), stride("colStride")
	bStride, n := stride("bStride"), Load(Param("n"), GP64())
	Label("tile")
	a := GP64()
	MOVQ(first, a)
	b, depth := Load(Param("b"), GP64()), Load(Param("depth"), GP64())
	upper := reg.Register(a) // rows 2 and 3, where there are any
	if rows > 2 {
		upper = GP64()
		LEAQ(Mem{Base: a, Index: rowStride, Scale: 2}, upper)
	}
	width := panelWidth / e.lanes()
	sums := make([]reg.VecVirtual, rows*width)
	for i := range sums {
		sums[i] = YMM()
		e.zero(sums[i])
	}
	step := func() {
		columns := make([]reg.VecVirtual, width)
		for j := range columns {
			columns[j] = YMM()
			e.load(Mem{Base: b, Disp: 32 * j}, columns[j])
		}
		for i := range rows {
			from := Mem{Base: a}
			if i >= 2 {
				from.Base = upper
			}
			if i%2 == 1 {
				from.Index, from.Scale = rowStride, 1
			}
			factor := YMM()
			e.broadcast(from, factor)
			for j := range columns {
				e.fma(columns[j], factor, sums[i*width+j])
			}
		}
		ADDQ(colStride, a)
		if rows > 2 {
			ADDQ(colStride, upper)
		}
		ADDQ(bStride, b)
	}
	Label("rest")
	TESTQ(depth, depth)
	JE(LabelRef("done"))
	step()
	DECQ(depth)
	JMP(LabelRef("rest"))
	Label("done")
	add := Load(Param("add"), GP8())
	TESTB(add, add)
	JE(LabelRef("set"))
	e.store(c, cStride, sums, rows, true)
	JMP(LabelRef("next"))
	Label("set")
	e.store(c, cStride, sums, rows, false)
	Label("next")
	for range rows {
		ADDQ(rowStride, first)
	}
	DECQ(n)
	JNE(LabelRef("tile"))
	VZEROUPPER()
	RET()
}

// store writes the rows of a tile, and brings c behind them.
func (e *element) store(c, stride reg.Register, sums []reg.VecVirtual, rows int, add bool) {
	width := len(sums) / rows
	for i := range rows {
		for j := range width {
			to, v := Mem{Base: c, Disp: 32 * j}, sums[i*width+j]
			if add {
				e.add(to, v, v)
			}
			e.load(v, to)
		}
		ADDQ(stride, c)
	}
}
