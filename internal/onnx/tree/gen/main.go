// Command gen writes the walks of package tree for amd64 with BMI2. It is a
// module of its own, so that onnxgate does not depend on avo.
//
//	cd internal/onnx/tree/gen
//	go run . -out ../walk_amd64.s -stubs ../stubs_amd64.go -pkg tree
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const lanes = 8

func main() {
	ConstraintExpr("!purego")
	walkGroups()
	stepLanes()
	walkSmallGroups()
	walkSmallLanes()
	searchColumns()
	scanBytes()
	Generate()
}

// load puts a parameter into a register.
func load(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

// follow takes one step of a walk that is at a place: it reads the node and
// compares it with the word of its slot, and leaves the next place.
func follow(nodes, words, shift, half, at, node reg.GPVirtual, displacement int) {
	MOVQ(Mem{Base: nodes, Index: at, Scale: 8}, node)
	SHRXL(shift.As32(), node.As32(), at.As32())
	CMPL(node.As32(), Mem{Base: words, Index: at, Scale: 4, Disp: displacement}) // carries when the word exceeds
	SHRXQ(half, node, at)
	ADCL(U8(0), at.As32())
}

// constant returns a register with a number.
func constant(n uint64) reg.GPVirtual {
	r := GP64()
	MOVQ(U32(n), r)
	return r
}

// walkGroups keeps the walks of a group in registers.
func walkGroups() {
	TEXT("walkGroups", NOSPLIT, "func(nodes *uint64, words *uint32, shift uint, root uint32, depth, groups, stride int, at *uint32)")
	Pragma("noescape")
	Doc("walkGroups takes eight walks for each group of rows from root, depth steps each, and sets",
		"the places at. The words of a slot are eight, one for each walk, and the lower half of a node",
		"shifted is eight times its slot. The next group's words are stride bytes behind.")
	nodes, words, shift, half := load("nodes"), load("words"), load("shift"), constant(32)
	node, depth := GP64(), GP64()
	eachGroup(words, node, func(at []reg.GPVirtual) {
		for i := range at {
			Load(Param("root"), at[i].As32())
		}
		Load(Param("depth"), depth)
		Label("step")
		for i := range at {
			follow(nodes, words, shift, half, at[i], node, 4*i)
		}
		DECQ(depth)
		JNZ(LabelRef("step"))
	})
}

// walkSmallGroups is walkGroups for small nodes.
func walkSmallGroups() {
	TEXT("walkSmallGroups", NOSPLIT, "func(nodes, words *uint32, slot, child uint, root uint32, depth, groups, stride int, at *uint32)")
	Pragma("noescape")
	Doc("walkSmallGroups is walkGroups for small nodes. A node shifted by slot is eight times its slot",
		"and three bits more; its last bits, as many as child, are how far the places below are from root.")
	nodes, words, slot, child := load("nodes"), load("words"), load("slot"), load("child")
	node, own, root := GP64(), GP64(), GP64()
	Load(Param("root"), root)
	left := AllocLocal(8)
	eachGroup(words, node, func(at []reg.GPVirtual) {
		for i := range at {
			MOVL(root.As32(), at[i].As32())
		}
		Load(Param("depth"), node)
		MOVQ(node, left)
		Label("step")
		for i := range at {
			MOVL(Mem{Base: nodes, Index: at[i], Scale: 4}, node.As32())
			SHRXL(slot.As32(), node.As32(), own.As32())
			BZHIL(child.As32(), node.As32(), at[i].As32())
			ANDL(I8(-lanes), own.As32())
			CMPL(node.As32(), Mem{Base: words, Index: own, Scale: 4, Disp: 4 * i}) // carries when the word exceeds
			ADCL(root.As32(), at[i].As32())
		}
		DECQ(left)
		JNZ(LabelRef("step"))
	})
}

// eachGroup walks the groups of rows one after the other. free is a register.
func eachGroup(words, free reg.GPVirtual, walk func(at []reg.GPVirtual)) {
	left, to := AllocLocal(8), AllocLocal(8)
	Load(Param("groups"), free)
	MOVQ(free, left)
	Load(Param("at"), free)
	MOVQ(free, to)
	at := make([]reg.GPVirtual, lanes)
	for i := range at {
		at[i] = GP64()
	}
	Label("group")
	walk(at)
	MOVQ(to, free)
	for i := range at {
		MOVL(at[i].As32(), Mem{Base: free, Disp: 4 * i})
	}
	ADDQ(U8(4*lanes), free)
	MOVQ(free, to)
	Load(Param("stride"), free)
	ADDQ(free, words)
	DECQ(left)
	JNZ(LabelRef("group"))
	RET()
}

// stepLanes keeps its walks in memory: they are many, so that the processor
// waits for the nodes of several at once.
func stepLanes() {
	const unrolled = 4
	TEXT("stepLanes", NOSPLIT, "func(nodes *uint64, words *uint32, shift uint, at *uint32, n int)")
	Pragma("noescape")
	Doc("stepLanes takes one step of each of n walks, a multiple of four, at the places at.",
		"A slot has one word, and the lower half of a node shifted is its slot.")
	nodes, words, shift, half := load("nodes"), load("words"), load("shift"), constant(32)
	list, n := load("at"), load("n")
	at, node := GP64(), GP64()
	Label("lanes")
	for i := range unrolled {
		MOVL(Mem{Base: list, Disp: 4 * i}, at.As32())
		follow(nodes, words, shift, half, at, node, 0)
		MOVL(at.As32(), Mem{Base: list, Disp: 4 * i})
	}
	ADDQ(U8(4*unrolled), list)
	SUBQ(U8(unrolled), n)
	JNZ(LabelRef("lanes"))
	RET()
}

// walkSmallLanes is stepLanes for several steps of small nodes.
func walkSmallLanes() {
	const unrolled = 8
	TEXT("walkSmallLanes", NOSPLIT, "func(nodes, words *uint32, slot, child uint, roots, at *uint32, n, depth int)")
	Pragma("noescape")
	Doc("walkSmallLanes takes depth steps of each of n walks, a multiple of eight, at the places at. A node",
		"shifted by slot is its slot, which has one word; its last bits, as many as child, are how far",
		"the first place below is from the root of the walk.")
	nodes, words, slot, child := load("nodes"), load("words"), load("slot"), load("child")
	depth, next, node := load("depth"), GP64(), GP64()
	roots, at, left := GP64(), GP64(), GP64()
	Label("walk")
	Load(Param("roots"), roots)
	Load(Param("at"), at)
	Load(Param("n"), left)
	Label("walks")
	for i := range unrolled {
		MOVL(Mem{Base: at, Disp: 4 * i}, next.As32())
		MOVL(Mem{Base: nodes, Index: next, Scale: 4}, node.As32())
		BZHIL(child.As32(), node.As32(), next.As32())
		own := GP64()
		SHRXL(slot.As32(), node.As32(), own.As32())
		CMPL(node.As32(), Mem{Base: words, Index: own, Scale: 4}) // carries when the word exceeds
		ADCL(Mem{Base: roots, Disp: 4 * i}, next.As32())
		MOVL(next.As32(), Mem{Base: at, Disp: 4 * i})
	}
	ADDQ(U8(4*unrolled), roots)
	ADDQ(U8(4*unrolled), at)
	SUBQ(U8(unrolled), left)
	JNZ(LabelRef("walks"))
	DECQ(depth)
	JNZ(LabelRef("walk"))
	RET()
}

// searchColumns compares sixteen bounds at once. Fields and sizes are those of
// column.
func searchColumns() {
	const (
		lo, scale, last, feature, starts, bounds, first, nan = 0, 4, 8, 12, 16, 20, 24, 28
		columnBytes, lanes                                   = 32, 8
		greater                                              = 0x1e // and neither is NaN
	)
	TEXT("searchColumns", NOSPLIT, "func(x, columns *float32, n int, starts *uint32, bounds *float32, cells *uint32)")
	Pragma("noescape")
	Doc("searchColumns finds the cells of the values of a row x in n columns.")
	x, c, n := load("x"), load("columns"), load("n")
	allStarts, allBounds, cells := load("starts"), load("bounds"), load("cells")
	at, value, window, zero := XMM(), XMM(), YMM(), XMM()
	VXORPS(zero, zero, zero)
	i, cell, from, count := GP64(), GP64(), GP64(), GP64()
	Label("column")
	MOVL(Mem{Base: c, Disp: feature}, i.As32())
	VMOVSS(Mem{Base: x, Index: i, Scale: 4}, value)
	VSUBSS(Mem{Base: c, Disp: lo}, value, at)
	VMULSS(Mem{Base: c, Disp: scale}, at, at)
	VMAXSS(zero, at, at) // zero for NaN
	VMINSS(Mem{Base: c, Disp: last}, at, at)
	VCVTTSS2SI(at, i.As32())
	ADDL(Mem{Base: c, Disp: starts}, i.As32())
	MOVL(Mem{Base: allStarts, Index: i, Scale: 4}, cell.As32())
	MOVL(Mem{Base: c, Disp: bounds}, from.As32())
	ADDQ(cell, from)
	ADDL(Mem{Base: c, Disp: first}, cell.As32())
	VBROADCASTSS(value, window)
	for half := range 2 {
		below := YMM()
		VCMPPS(U8(greater), Mem{Base: allBounds, Index: from, Scale: 4, Disp: 4 * lanes * half}, window, below)
		VMOVMSKPS(below, count.As32())
		POPCNTL(count.As32(), count.As32())
		ADDL(count.As32(), cell.As32())
	}
	VUCOMISS(value, value)
	CMOVLPS(Mem{Base: c, Disp: nan}, cell.As32())
	MOVL(cell.As32(), Mem{Base: cells})
	ADDQ(U8(columnBytes), c)
	ADDQ(U8(4), cells)
	DECQ(n)
	JNZ(LabelRef("column"))
	VZEROUPPER()
	RET()
}
