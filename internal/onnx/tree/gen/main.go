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
	walkLanes()
	stepLanes()
	Generate()
}

// follow takes one step of a walk that is at a place: it reads the node and the
// word of its slot, and leaves the next place.
func follow(nodes, words, shift, at reg.GPVirtual, displacement int, node, slot reg.GPVirtual) {
	MOVQ(Mem{Base: nodes, Index: at, Scale: 8}, node)
	SHRXQ(shift, node, slot)
	MOVL(node.As32(), at.As32())
	SHRQ(U8(32), node)
	SUBL(Mem{Base: words, Index: slot, Scale: 4, Disp: displacement}, node.As32())
	SHRL(U8(31), node.As32())
	ADDL(node.As32(), at.As32())
}

// walkLanes keeps all walks in registers.
func walkLanes() {
	TEXT("walkLanes", NOSPLIT, "func(nodes *uint64, words *uint32, shift uint, depth int, at *uint32)")
	Pragma("noescape")
	Doc("walkLanes takes eight walks, at the eight places at, depth steps each. The words of",
		"a slot are eight, one for each walk, and a node shifted is eight times its slot.")
	nodes, words := Load(Param("nodes"), GP64()).(reg.GPVirtual), Load(Param("words"), GP64()).(reg.GPVirtual)
	shift, depth := Load(Param("shift"), GP64()).(reg.GPVirtual), Load(Param("depth"), GP64()).(reg.GPVirtual)
	from := Load(Param("at"), GP64()).(reg.GPVirtual)
	at := make([]reg.GPVirtual, lanes)
	for i := range at {
		at[i] = GP64()
		MOVL(Mem{Base: from, Disp: 4 * i}, at[i].As32())
	}
	node, slot := GP64(), GP64()
	Label("step")
	for i := range at {
		follow(nodes, words, shift, at[i], 4*i, node, slot)
	}
	DECQ(depth)
	JNZ(LabelRef("step"))
	to := Load(Param("at"), GP64()).(reg.GPVirtual)
	for i := range at {
		MOVL(at[i].As32(), Mem{Base: to, Disp: 4 * i})
	}
	RET()
}

// stepLanes keeps its walks in memory: they are many, so that the processor
// waits for the nodes of several at once.
func stepLanes() {
	const unrolled = 4
	TEXT("stepLanes", NOSPLIT, "func(nodes *uint64, words *uint32, shift uint, at *uint32, n int)")
	Pragma("noescape")
	Doc("stepLanes takes one step of each of n walks, a multiple of four, at the places at.",
		"A slot has one word, and a node shifted is its slot.")
	nodes, words := Load(Param("nodes"), GP64()).(reg.GPVirtual), Load(Param("words"), GP64()).(reg.GPVirtual)
	shift := Load(Param("shift"), GP64()).(reg.GPVirtual)
	list, n := Load(Param("at"), GP64()).(reg.GPVirtual), Load(Param("n"), GP64()).(reg.GPVirtual)
	at, node, slot := GP64(), GP64(), GP64()
	Label("lanes")
	for i := range unrolled {
		MOVL(Mem{Base: list, Disp: 4 * i}, at.As32())
		follow(nodes, words, shift, at, 0, node, slot)
		MOVL(at.As32(), Mem{Base: list, Disp: 4 * i})
	}
	ADDQ(U8(4*unrolled), list)
	SUBQ(U8(unrolled), n)
	JNZ(LabelRef("lanes"))
	RET()
}
