//go:build !amd64

package vectors

func vectorUnit() bool { return false }

func distancesVector(dst, x []float32, blocks []block) { distances(dst, x, blocks) }

func productsVector(dst, x []float32, blocks []block) { products(dst, x, blocks) }

func exponentialsVector(values []float32, by float32) { exponentials(values, by) }

func scaleVector(values []float32, by, plus float32) { scale(values, by, plus) }

func productVector(sum float32, x, vector []float32) float32 { return product(sum, x, vector) }
