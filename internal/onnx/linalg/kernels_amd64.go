//go:build !purego

package linalg

import "golang.org/x/sys/cpu"

// vectorUnit says that the processor has what the kernels of kernels_amd64.s
// need.
var vectorUnit = cpu.X86.HasAVX2 && cpu.X86.HasFMA

// The kernels know no bounds: their callers below touch the last element that
// each will read or write before they call it.

// tileFloat32 is tile by vector instructions; it reports false, and does
// nothing, when the processor lacks them.
func tileFloat32(c target[float32], a Matrix[float32], b []float32, stride, depth int) bool {
	if !vectorUnit {
		return false
	}
	touch(c, a, b, stride, depth)
	to, from, left := c.data, a.Data, c.rows
	if n := left / tileRows; n > 0 {
		tile4Single(&to[0], c.stride, &from[0], a.RowStride, a.ColStride, &b[0], stride, depth, n, c.add)
		if left -= n * tileRows; left == 0 {
			return true
		}
		to, from = to[n*tileRows*c.stride:], from[n*tileRows*a.RowStride:]
	}
	switch left {
	case 1:
		tile1Single(&to[0], c.stride, &from[0], a.RowStride, a.ColStride, &b[0], stride, depth, 1, c.add)
	case 2:
		tile2Single(&to[0], c.stride, &from[0], a.RowStride, a.ColStride, &b[0], stride, depth, 1, c.add)
	default:
		tile3Single(&to[0], c.stride, &from[0], a.RowStride, a.ColStride, &b[0], stride, depth, 1, c.add)
	}
	return true
}

// tileFloat64 is tileFloat32 for float64, two rows at a time.
func tileFloat64(c target[float64], a Matrix[float64], b []float64, stride, depth int) bool {
	if !vectorUnit {
		return false
	}
	touch(c, a, b, stride, depth)
	n := c.rows / 2
	if n > 0 {
		tile2Double(&c.data[0], c.stride, &a.Data[0], a.RowStride, a.ColStride, &b[0], stride, depth, n, c.add)
	}
	if n *= 2; n < c.rows {
		tile1Double(&c.data[n*c.stride], c.stride, &a.Data[n*a.RowStride], a.RowStride, a.ColStride, &b[0], stride, depth, 1, c.add)
	}
	return true
}

// touch panics where a tile would leave its slices.
func touch[T Float](c target[T], a Matrix[T], b []T, stride, depth int) {
	_ = c.data[(c.rows-1)*c.stride+panelWidth-1]
	_ = a.Data[(c.rows-1)*a.RowStride+(depth-1)*a.ColStride]
	_ = b[(depth-1)*stride+panelWidth-1]
}

// addInLanes adds to each of sums every eighth product of x and y.
func addInLanes(sums *block, x, y []float32) {
	if n := len(x) / lanes; vectorUnit && n > 0 {
		_ = y[len(x)-1]
		lanesOfProducts(&sums[0], &x[0], &y[0], n)
		x, y = x[n*lanes:], y[n*lanes:]
	}
	addInLanesGo(sums, x, y)
}

func distanceFloat32(a, b []float32) float32 {
	n := len(a) &^ 7
	if !vectorUnit || n == 0 {
		return distanceGo(a, b)
	}
	_ = b[n-1]
	return distanceSingle(&a[0], &b[0], n) + distanceGo(a[n:], b[n:])
}

func distanceFloat64(a, b []float64) float64 {
	n := len(a) &^ 3
	if !vectorUnit || n == 0 {
		return distanceGo(a, b)
	}
	_ = b[n-1]
	return distanceDouble(&a[0], &b[0], n) + distanceGo(a[n:], b[n:])
}

// distances is distancesGo.
func distances(dst, x []float32, blocks []block) {
	if n := len(dst) / lanes; vectorUnit && n > 0 && len(x) > 0 {
		_ = blocks[:n*len(x)]
		distancesOfBlocks(&dst[0], &x[0], &blocks[0][0], len(x), n)
		return
	}
	distancesGo(dst, x, blocks)
}

// fusedDistances is distancesGo, but for rounding.
func fusedDistances(dst, x []float32, blocks []block) {
	if n := len(dst) / lanes; vectorUnit && n > 0 && len(x) > 0 {
		_ = blocks[:n*len(x)]
		fusedDistancesOfBlocks(&dst[0], &x[0], &blocks[0][0], len(x), n)
		return
	}
	distancesGo(dst, x, blocks)
}

// products is productsGo.
func products(dst, x []float32, blocks []block) {
	if n := len(dst) / lanes; vectorUnit && n > 0 && len(x) > 0 {
		_ = blocks[:n*len(x)]
		productsOfBlocks(&dst[0], &x[0], &blocks[0][0], len(x), n)
		return
	}
	productsGo(dst, x, blocks)
}

// distancesAndProduct is distances, and returns what product does.
func distancesAndProduct(dst, x []float32, blocks []block, sum float32, weights, values []float32) float32 {
	n, count := len(dst)/lanes, len(weights)
	if !vectorUnit || n == 0 || len(x) == 0 || count == 0 {
		distances(dst, x, blocks)
		return product(sum, weights, values)
	}
	_, _ = blocks[:n*len(x)], values[:count]
	distancesAndSum(&dst[0], &x[0], &blocks[0][0], len(x), n, &sum, &weights[0], &values[0], count)
	return sum
}

// productsAndProduct is products, and returns what product does.
func productsAndProduct(dst, x []float32, blocks []block, sum float32, weights, values []float32) float32 {
	n, count := len(dst)/lanes, len(weights)
	if !vectorUnit || n == 0 || len(x) == 0 || count == 0 {
		products(dst, x, blocks)
		return product(sum, weights, values)
	}
	_, _ = blocks[:n*len(x)], values[:count]
	productsAndSum(&dst[0], &x[0], &blocks[0][0], len(x), n, &sum, &weights[0], &values[0], count)
	return sum
}

// productsAndTwo is products and addTwo.
func productsAndTwo(dst, x []float32, blocks []block, sums *[2]float32, weights, values []float32, n int) {
	if !vectorUnit || len(x) == 0 || n == 0 {
		products(dst, x, blocks)
		addTwo(sums, weights, values, n)
		return
	}
	_, _, _ = blocks[:len(dst)/lanes*len(x)], weights[weighDepth+n-1], values[weighDepth+n-1]
	productsAndTwoSums(&dst[0], &x[0], &blocks[0][0], len(x), len(dst)/lanes, &sums[0], &weights[0], &values[0], n)
}

// exponentialsAndTwo is exponentials of what lanes divides, and addTwo.
func exponentialsAndTwo(dst []float32, by float32, sums *[2]float32, weights, values []float32, n int) {
	if !vectorUnit || n == 0 {
		exponentials(dst, by)
		addTwo(sums, weights, values, n)
		return
	}
	_, _ = weights[weighDepth+n-1], values[weighDepth+n-1]
	exponentialsAndTwoSums(&dst[0], by, len(dst)/lanes, &sums[0], &weights[0], &values[0], n)
}

// addTwo is addTwoGo.
func addTwo(sums *[2]float32, weights, values []float32, n int) {
	if !vectorUnit || n == 0 {
		addTwoGo(sums, weights, values, n)
		return
	}
	_, _ = weights[weighDepth+n-1], values[weighDepth+n-1]
	productsAndTwoSums(&values[0], &values[0], &values[0], 0, 0, &sums[0], &weights[0], &values[0], n)
}

// eightDistances is eightGo of addSquares.
func eightDistances(sums []float32, width int, x []float32, stride int, vectors []block) {
	if !vectorUnit || len(vectors) == 0 {
		eightGo(addSquares, sums, width, x, stride, vectors)
		return
	}
	_, _ = sums[(lanes-1)*width+lanes-1], x[(lanes-1)*stride+len(vectors)-1]
	distancesOfRows(&sums[0], width, &x[0], &vectors[0][0], stride, len(vectors))
}

// eightFusedDistances is eightDistances, but for rounding.
func eightFusedDistances(sums []float32, width int, x []float32, stride int, vectors []block) {
	if !vectorUnit || len(vectors) == 0 {
		eightGo(addSquares, sums, width, x, stride, vectors)
		return
	}
	_, _ = sums[(lanes-1)*width+lanes-1], x[(lanes-1)*stride+len(vectors)-1]
	fusedDistancesOfRows(&sums[0], width, &x[0], &vectors[0][0], stride, len(vectors))
}

// eightProducts is eightGo of addProducts.
func eightProducts(sums []float32, width int, x []float32, stride int, vectors []block) {
	if !vectorUnit || len(vectors) == 0 {
		eightGo(addProducts[float32], sums, width, x, stride, vectors)
		return
	}
	_, _ = sums[(lanes-1)*width+lanes-1], x[(lanes-1)*stride+len(vectors)-1]
	productsOfRows(&sums[0], width, &x[0], &vectors[0][0], stride, len(vectors))
}

// squaresApart is squaresApartGo of up to eight rows. The sums are 0 before.
func squaresApart[T Float](sums, v, packed []T, features int) {
	if !vectorUnit || len(v) < lanes*features {
		squaresApartGo(sums, v, packed, features)
		return
	}
	_ = v[lanes*features-1]
	switch to := any(sums).(type) {
	case []float32:
		from, _ := any(v).([]float32)
		with, _ := any(packed).([]float32)
		_, _ = to[lanes*lanes-1], with[lanes*features-1]
		distancesOfRows(&to[0], lanes, &from[0], &with[0], features, features)
	case []float64:
		from, _ := any(v).([]float64)
		with, _ := any(packed).([]float64)
		_, _ = to[lanes*lanes/2-1], with[lanes/2*features-1]
		distancesOfDoubles(&to[0], lanes/2, &from[0], &with[0], features, features)
	}
}

// magnitudesApart is magnitudesApartGo.
func magnitudesApart[T Float](sums, v, packed []T, features, head int) {
	if !vectorUnit {
		magnitudesApartGo(sums, v, packed, features, head)
		return
	}
	rows, width := len(v)/features, len(packed)/features
	pairs, rest := (features-head)/width, (features-head)%width
	single, tail := rest/(width/2), rest%(width/2)
	_ = sums[rows*width-1]
	switch to := any(sums).(type) {
	case []float32:
		from, _ := any(v).([]float32)
		with, _ := any(packed).([]float32)
		magnitudesSingle(&to[0], &from[0], &with[0], features, rows, head, pairs, single, tail)
	case []float64:
		from, _ := any(v).([]float64)
		with, _ := any(packed).([]float64)
		magnitudesDouble(&to[0], &from[0], &with[0], features, rows, head, pairs, single, tail)
	}
}

// addBlockParts is addBlocksGo for 1 to 4 parts.
func addBlockParts(sums, x []float32, xStride int, blocks []block, stride, depth, n int) {
	if !vectorUnit {
		addBlocksGo(sums, x, xStride, blocks, stride, depth, n)
		return
	}
	_, _, _ = sums[n*lanes-1], x[(n-1)*xStride+depth-1], blocks[(n-1)*stride+depth-1]
	addBlocks(&sums[0], &x[0], xStride, &blocks[0][0], stride*lanes, depth, n)
}

// addPanelParts is addPanelsGo for 1 to 4 parts.
func addPanelParts(sums, x []float32, xStride int, panels []float32, stride, depth, n int) {
	if !vectorUnit {
		addPanelsGo(sums, x, xStride, panels, stride, depth, n)
		return
	}
	_, _, _ = sums[n*panelWidth-1], x[(n-1)*xStride+depth-1], panels[(n-1)*stride+depth*panelWidth-1]
	addPanels(&sums[0], &x[0], xStride, &panels[0], stride, depth, n)
}

// addChainsOf is addChainsGo.
func addChainsOf(sums *[abreast]float32, x, y []float32, at *[abreast]int, n int) {
	if !vectorUnit {
		addChainsGo(sums, x, y, at, n)
		return
	}
	for _, from := range at {
		_, _ = x[from:][:n], y[from:][:n]
	}
	addChains(&sums[0], &x[0], &y[0], &at[0], n)
}

// product is productGo.
func product(sum float32, x, vector []float32) float32 {
	if !vectorUnit || len(x) == 0 {
		return productGo(sum, x, vector)
	}
	return productInOrder(sum, &x[0], &vector[:len(x)][0], len(x))
}

// productsEight adds to each of lanes sums the products of weights with a row of
// values, which are stride apart.
func productsEight(sums *[lanes]float32, weights, values []float32, stride int) {
	if !vectorUnit || len(weights) == 0 {
		productsEightGo(sums, weights, values, stride)
		return
	}
	_ = values[(lanes-1)*stride+len(weights)-1]
	productsInOrder(&sums[0], &weights[0], &values[0], stride, len(weights))
}

// weighSome is weighSomeGo.
func weighSome(weights, values []float32) float64 {
	n := len(weights) / lanes
	if !vectorUnit || n == 0 {
		return weighSomeGo(weights, values)
	}
	_ = values[len(weights)-1]
	return weighWide(&weights[0], &values[0], n) + weighSomeGo(weights[n*lanes:], values[n*lanes:])
}

// Of the functions below lanes values are computed at a time; what lanes does not
// divide is left to their twins.

// exponentials is exponentialsGo.
func exponentials(values []float32, by float32) {
	if n := len(values) / lanes; vectorUnit && n > 0 {
		exponentialLanes(&values[0], by, n)
		values = values[n*lanes:]
	}
	exponentialsGo(values, by)
}

// sigmoids is sigmoidsGo.
func sigmoids(values []float32) {
	if n := len(values) / lanes; vectorUnit && n > 0 {
		sigmoidLanes(&values[0], -1, n)
		values = values[n*lanes:]
	}
	sigmoidsGo(values)
}

// wholePowers is wholePowersGo.
func wholePowers(values []float32, degree int) {
	if n := len(values) / lanes; vectorUnit && n > 0 {
		wholePowerLanes(&values[0], degree, n)
		values = values[n*lanes:]
	}
	wholePowersGo(values, degree)
}

// tangents is tangentsGo, of which the values that lanes does not divide are filled up.
func tangents(values []float32) {
	if !vectorUnit {
		tangentsGo(values)
		return
	}
	n := len(values) / lanes
	if n > 0 {
		tangentLanes(&values[0], n)
	}
	if last := values[n*lanes:]; len(last) > 0 {
		var filled block
		copy(filled[:], last)
		tangentLanes(&filled[0], 1)
		copy(last, filled[:])
	}
}

// logarithms replaces the values that lanes divides, and returns their number. Those
// that are not positive and finite become anything.
func logarithms(values []float32) int {
	n := len(values) / lanes
	if !vectorUnit || n == 0 {
		return 0
	}
	logarithmLanes(&values[0], n)
	return n * lanes
}

// powers raises the values that lanes divides to the exponents, which are as many or
// lanes for all, and returns their number. Where a value is not positive and finite,
// or an exponent not finite, it becomes anything.
func powers(values []float32, exponents []float64) int {
	n := len(values) / lanes
	if !vectorUnit || n == 0 {
		return 0
	}
	const bytes = 8
	step := bytes * lanes
	if len(exponents) == lanes {
		step = 0
	} else {
		_ = exponents[n*lanes-1]
	}
	powerLanes(&values[0], &exponents[0], step, n)
	return n * lanes
}

// apply does what Apply does to the elements that lanes divides, and returns their
// number.
func apply(op Operation, dst, a, b []float32) int {
	n := len(dst) / lanes
	if !vectorUnit || n == 0 {
		return 0
	}
	_, _ = a[n*lanes-1], b[n*lanes-1]
	switch op {
	case Add:
		addSingle(&dst[0], &a[0], &b[0], n)
	case Subtract:
		subtractSingle(&dst[0], &a[0], &b[0], n)
	case Multiply:
		multiplySingle(&dst[0], &a[0], &b[0], n)
	case Divide:
		divideSingle(&dst[0], &a[0], &b[0], n)
	case Apart:
		apartSingle(&dst[0], &a[0], &b[0], n)
	default:
		return 0
	}
	return n * lanes
}

// cubes raises what lanes divides of x to the power of 3, and returns its number.
func cubes(dst, x []float32) int {
	n := len(dst) / lanes
	if !vectorUnit || n == 0 {
		return 0
	}
	_ = x[n*lanes-1]
	cubeLanes(&dst[0], &x[0], n)
	return n * lanes
}

// roots is cubes for square roots.
func roots(dst, x []float32) int {
	n := len(x) / lanes
	if !vectorUnit || n == 0 {
		return 0
	}
	_ = dst[n*lanes-1]
	rootLanes(&dst[0], &x[0], n)
	return n * lanes
}

// untilLessOf returns how many times eight elements of x are neither less than the limit nor NaN.
func untilLessOf(x []float32, limit float32) int {
	n := len(x) / lanes
	if !vectorUnit || n == 0 {
		return 0
	}
	return untilLess(&x[0], limit, n)
}

// untilMoreOf is untilLessOf for more.
func untilMoreOf(x []float32, limit float32) int {
	n := len(x) / lanes
	if !vectorUnit || n == 0 {
		return 0
	}
	return untilMore(&x[0], limit, n)
}

// below does what belowGo does to the values that lanes divides, and returns their number
// and the sum.
func below(dst []float64, x []float32, top float64) (int, float64) {
	n := len(x) / lanes
	if !vectorUnit || n == 0 {
		return 0, 0
	}
	_ = dst[n*lanes-1]
	return n * lanes, belowLanes(&dst[0], &x[0], top, n)
}

// share does what shareGo does to the values that lanes divides, and returns their
// number.
func share(dst []float32, x []float64, by float64) int {
	n := len(dst) / lanes
	if !vectorUnit || n == 0 {
		return 0
	}
	_ = x[n*lanes-1]
	shareLanes(&dst[0], &x[0], by, n)
	return n * lanes
}

// addStrands adds to each of sums every eighth of x, but for the rest that lanes does not
// divide, and returns how many it added.
func addStrands(sums *block, x []float32) int {
	n := len(x) / lanes
	if !vectorUnit || n == 0 {
		return 0
	}
	sumLanes(&sums[0], &x[0], n)
	return n * lanes
}

// scale is scaleGo.
func scale(values []float32, by, plus float32) {
	if n := len(values) / lanes; vectorUnit && n > 0 {
		scaleLanes(&values[0], by, plus, n)
		values = values[n*lanes:]
	}
	scaleGo(values, by, plus)
}
