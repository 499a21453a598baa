package vectors

// vectorUnit reports whether the processor and the system have the registers
// that the functions below use.
func vectorUnit() bool { return hasUnit() }

// distancesVector is distances.
func distancesVector(dst, x []float32, blocks []block) {
	if n := fitting(dst, x, blocks); n > 0 {
		distancesAVX(&dst[0], &x[0], &blocks[0][0], len(x), n)
	}
}

// productsVector is products.
func productsVector(dst, x []float32, blocks []block) {
	if n := fitting(dst, x, blocks); n > 0 {
		productsAVX(&dst[0], &x[0], &blocks[0][0], len(x), n)
	}
}

// fitting returns how many times lanes vectors there are. It panics when a
// slice is shorter than that.
func fitting(dst, x []float32, blocks []block) int {
	n := len(dst) / lanes
	if len(x) == 0 {
		clear(dst)
		return 0
	}
	_ = blocks[:n*len(x)]
	return n
}

// exponentialsVector is exponentials, for a number of values that lanes divides.
func exponentialsVector(values []float32, by float32) {
	if n := len(values) / lanes; n > 0 {
		expAVX(&values[0], by, n)
	}
}

// scaleVector is scale, for a number of values that lanes divides.
func scaleVector(values []float32, by, plus float32) {
	if n := len(values) / lanes; n > 0 {
		scaleAVX(&values[0], by, plus, n)
	}
}

// productVector is product.
func productVector(sum float32, x, vector []float32) float32 {
	if len(x) == 0 {
		return sum
	}
	return productAVX(sum, &x[0], &vector[:len(x)][0], len(x))
}
