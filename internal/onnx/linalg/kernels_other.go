//go:build !amd64 || purego

package linalg

// vectorUnit says that there are kernels of vector instructions.
const vectorUnit = false

func tileFloat32(target[float32], Matrix[float32], []float32, int, int) bool { return false }

func tileFloat64(target[float64], Matrix[float64], []float64, int, int) bool { return false }

func addInLanes(sums *block, x, y []float32) { addInLanesGo(sums, x, y) }

func distanceFloat32(a, b []float32) float32 { return distanceGo(a, b) }

func distanceFloat64(a, b []float64) float64 { return distanceGo(a, b) }

func distances(dst, x []float32, blocks []block) { distancesGo(dst, x, blocks) }

func fusedDistances(dst, x []float32, blocks []block) { distancesGo(dst, x, blocks) }

func products(dst, x []float32, blocks []block) { productsGo(dst, x, blocks) }

func distancesAndProduct(dst, x []float32, blocks []block, sum float32, weights, values []float32) float32 {
	distancesGo(dst, x, blocks)
	return productGo(sum, weights, values)
}

func productsAndProduct(dst, x []float32, blocks []block, sum float32, weights, values []float32) float32 {
	productsGo(dst, x, blocks)
	return productGo(sum, weights, values)
}

func productsAndTwo(dst, x []float32, blocks []block, sums *[2]float32, weights, values []float32, n int) {
	productsGo(dst, x, blocks)
	addTwoGo(sums, weights, values, n)
}

func exponentialsAndTwo(dst []float32, by float32, sums *[2]float32, weights, values []float32, n int) {
	exponentialsGo(dst, by)
	addTwoGo(sums, weights, values, n)
}

func addTwo(sums *[2]float32, weights, values []float32, n int) {
	addTwoGo(sums, weights, values, n)
}

func eightDistances(sums []float32, width int, x []float32, stride int, vectors []block) {
	eightGo(addSquares, sums, width, x, stride, vectors)
}

func eightFusedDistances(sums []float32, width int, x []float32, stride int, vectors []block) {
	eightGo(addSquares, sums, width, x, stride, vectors)
}

func eightProducts(sums []float32, width int, x []float32, stride int, vectors []block) {
	eightGo(addProducts[float32], sums, width, x, stride, vectors)
}

func squaresApart[T Float](sums, v, packed []T, features int) {
	squaresApartGo(sums, v, packed, features)
}

func magnitudesApart[T Float](sums, v, packed []T, features, head int) {
	magnitudesApartGo(sums, v, packed, features, head)
}

func addBlockParts(sums, x []float32, xStride int, blocks []block, stride, depth, n int) {
	addBlocksGo(sums, x, xStride, blocks, stride, depth, n)
}

func addPanelParts(sums, x []float32, xStride int, panels []float32, stride, depth, n int) {
	addPanelsGo(sums, x, xStride, panels, stride, depth, n)
}

func addChainsOf(sums *[abreast]float32, x, y []float32, at *[abreast]int, n int) {
	addChainsGo(sums, x, y, at, n)
}

func product(sum float32, x, vector []float32) float32 { return productGo(sum, x, vector) }

func productsEight(sums *[lanes]float32, weights, values []float32, stride int) {
	productsEightGo(sums, weights, values, stride)
}

func weighSome(weights, values []float32) float64 { return weighSomeGo(weights, values) }

func exponentials(values []float32, by float32) { exponentialsGo(values, by) }

func sigmoids(values []float32) { sigmoidsGo(values) }

func wholePowers(values []float32, degree int) { wholePowersGo(values, degree) }

func tangents(values []float32) { tangentsGo(values) }

func logarithms([]float32) int { return 0 }

func powers([]float32, []float64) int { return 0 }

func cubes([]float32, []float32) int { return 0 }

func roots([]float32, []float32) int { return 0 }

func untilLessOf([]float32, float32) int { return 0 }

func untilMoreOf([]float32, float32) int { return 0 }

func apply(Operation, []float32, []float32, []float32) int { return 0 }

func scale(values []float32, by, plus float32) { scaleGo(values, by, plus) }

func sumLane(*[wide / 2]float64, []float32) int { return 0 }

func sumRow([]float64, []float32) int { return 0 }

func squareLane(*[wide / 2]float64, []float32) int { return 0 }

func squareRow([]float64, []float32) int { return 0 }

func magnitudeLane(*[wide / 2]float64, []float32) int { return 0 }

func magnitudeRow([]float64, []float32) int { return 0 }

func maxLane(*[wide]float32, []float32) int { return 0 }

func maxRow([]float32, []float32) int { return 0 }

func minLane(*[wide]float32, []float32) int { return 0 }

func minRow([]float32, []float32) int { return 0 }

func below([]float64, []float32, float64) (int, float64) { return 0, 0 }

func share([]float32, []float64, float64) int { return 0 }

func addStrands(*block, []float32) int { return 0 }
