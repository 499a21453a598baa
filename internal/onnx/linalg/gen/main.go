// Command gen writes the vector kernels of package linalg for amd64: AVX2 and
// FMA. It is a module of its own, so that onnxgate does not depend on avo.
//
//	cd internal/onnx/linalg/gen
//	go run . -out ../kernels_amd64.s -stubs ../stubs_amd64.go -pkg linalg
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// element is the instructions of one element type.
type element struct {
	name, suffix               string
	shift                      uint64 // log2 of the size in bytes
	broadcast, load, zero, fma func(...Op)
	add, sub, mul, and         func(...Op)
	horizontally, unsigned     func(...Op)
}

// panelWidth is linalg's.
const panelWidth = 16

func (e *element) lanes() int { return 32 >> e.shift }

func main() {
	ConstraintExpr("!purego")
	single := &element{
		name: "float32", suffix: "Single", shift: 2,
		broadcast: func(o ...Op) { VBROADCASTSS(o[0], o[1]) },
		load:      func(o ...Op) { VMOVUPS(o[0], o[1]) },
		zero:      func(o ...Op) { VXORPS(o[0], o[0], o[0]) },
		fma:       func(o ...Op) { VFMADD231PS(o[0], o[1], o[2]) },
		add:       func(o ...Op) { VADDPS(o[0], o[1], o[2]) },
		sub:       func(o ...Op) { VSUBPS(o[0], o[1], o[2]) },
		mul:       func(o ...Op) { VMULPS(o[0], o[1], o[2]) },
		and:       func(o ...Op) { VANDPS(o[0], o[1], o[2]) },
		unsigned:  func(o ...Op) { VPSRLD(U8(1), o[0], o[0]) },
		horizontally: func(o ...Op) {
			VHADDPS(o[0], o[0], o[0])
			VHADDPS(o[0], o[0], o[0])
		},
	}
	double := &element{
		name: "float64", suffix: "Double", shift: 3,
		broadcast:    func(o ...Op) { VBROADCASTSD(o[0], o[1]) },
		load:         func(o ...Op) { VMOVUPD(o[0], o[1]) },
		zero:         func(o ...Op) { VXORPD(o[0], o[0], o[0]) },
		fma:          func(o ...Op) { VFMADD231PD(o[0], o[1], o[2]) },
		add:          func(o ...Op) { VADDPD(o[0], o[1], o[2]) },
		sub:          func(o ...Op) { VSUBPD(o[0], o[1], o[2]) },
		mul:          func(o ...Op) { VMULPD(o[0], o[1], o[2]) },
		and:          func(o ...Op) { VANDPD(o[0], o[1], o[2]) },
		unsigned:     func(o ...Op) { VPSRLQ(U8(1), o[0], o[0]) },
		horizontally: func(o ...Op) { VHADDPD(o[0], o[0], o[0]) },
	}
	single.tile(1)
	single.tile(2)
	single.tile(3)
	single.tile(4)
	double.tile(1)
	double.tile(2)
	for _, e := range []*element{single, double} {
		e.reduce()
	}
	distance := single.distance
	product := func(x, sum reg.VecVirtual, vectors Op) { VFMADD231PS(vectors, x, sum) }
	compareBlocks("distancesOfBlocks", "writes the squared distances of x, of the given number of features, to the vectors of n blocks.", distance)
	compareBlocks("productsOfBlocks", "writes the products of x, of the given number of features, with the vectors of n blocks.", product)
	compareBlocks("fusedDistancesOfBlocks", "is distancesOfBlocks with each square fused with the sum.", single.fusedDistance)
	compareWeighing("distancesAndSum", "is distancesOfBlocks.", 1, 1, distance)
	compareWeighing("productsAndSum", "is productsOfBlocks.", 1, 1, product)
	compareWeighing("productsAndTwoSums", "is productsOfBlocks.", 2, 2, product)
	single.compareRows("distancesOfRows", "adds to eight rows of sums the squared distances of as many rows of x, which are a stride apart, to the vectors of one block.", distance)
	single.compareRows("fusedDistancesOfRows", "is distancesOfRows with each square fused with the sum.", single.fusedDistance)
	single.compareRows("productsOfRows", "adds to eight rows of sums the products of as many rows of x, which are a stride apart, with the vectors of one block.", product)
	double.compareRows("distancesOfDoubles", "is distancesOfRows for blocks of four vectors.", double.distance)
	single.magnitudes()
	double.magnitudes()
	addParts("addBlocks", 1)
	addParts("addPanels", 2)
	addChains()
	lanesOfProducts()
	productInOrder()
	productsInOrder()
	weighWide()
	scaleLanes()
	byExponentials()
	shareLanes()
	sumLanes()
	tangentLanes()
	wholePowerLanes()
	elementwise("addSingle", "adds", func(o ...Op) { VADDPS(o[0], o[1], o[2]) })
	elementwise("subtractSingle", "subtracts", func(o ...Op) { VSUBPS(o[0], o[1], o[2]) })
	elementwise("multiplySingle", "multiplies", func(o ...Op) { VMULPS(o[0], o[1], o[2]) })
	elementwise("divideSingle", "divides", func(o ...Op) { VDIVPS(o[0], o[1], o[2]) })
	elementwise("apartSingle", "makes the magnitudes of the differences of", apart)
	const notAtLeast, notAtMost = 9, 6 // both hold of NaN
	until("untilLess", "less than", notAtLeast)
	until("untilMore", "more than", notAtMost)
	lanewise("cubeLanes", "sets dst to the third powers of", cube)
	lanewise("rootLanes", "sets dst to the square roots of", root)
	fold("sum", "float64", "adds up", 16, sum)
	fold("square", "float64", "adds up the squares of", 16, square)
	fold("magnitude", "float64", "adds up the magnitudes of", 16, magnitude)
	fold("max", "float32", "keeps the greatest of", 32, extreme(func(o ...Op) { VMAXPS(o[0], o[1], o[2]) }))
	fold("min", "float32", "keeps the least of", 32, extreme(func(o ...Op) { VMINPS(o[0], o[1], o[2]) }))
	Generate()
}
