package linalg

// distancesGo writes the squared distances of x to the vectors of the blocks.
func distancesGo(dst, x []float32, blocks []block) {
	for len(dst) >= lanes {
		var a, b, c, d, e, f, g, h float32
		of := blocks[:len(x)]
		for i, v := range x {
			s := &of[i]
			t := v - s[0]
			a += float32(t * t) // the conversion keeps the product from being fused with the sum
			t = v - s[1]
			b += float32(t * t)
			t = v - s[2]
			c += float32(t * t)
			t = v - s[3]
			d += float32(t * t)
			t = v - s[4]
			e += float32(t * t)
			t = v - s[5]
			f += float32(t * t)
			t = v - s[6]
			g += float32(t * t)
			t = v - s[7]
			h += float32(t * t)
		}
		*(*block)(dst) = block{a, b, c, d, e, f, g, h}
		dst, blocks = dst[lanes:], blocks[len(x):]
	}
}

// productsGo writes the products of x with the vectors of the blocks.
func productsGo(dst, x []float32, blocks []block) {
	for len(dst) >= lanes {
		var sums block
		for i, s := range blocks[:len(x)] {
			v := float64(x[i])
			for lane, w := range s {
				sums[lane] = float32(v*float64(w) + float64(sums[lane]))
			}
		}
		*(*block)(dst) = sums
		dst, blocks = dst[lanes:], blocks[len(x):]
	}
}

// eightGo adds to rows of sums, which are a width apart, what comes of as many rows of x,
// which are a stride apart, and the vectors of one block.
func eightGo(add func(sums []float32, x float32, vectors []float32), sums []float32, width int, x []float32, stride int, vectors []block) {
	for i := range lanes {
		for k := range vectors {
			add(sums[i*width:][:lanes], x[i*stride+k], vectors[k][:])
		}
	}
}

// addSquares adds to each of sums the square of what x and its own of y differ by.
func addSquares(sums []float32, x float32, y []float32) {
	for i, v := range y {
		sums[i] = distance(sums[i], []float32{x}, []float32{v})
	}
}

// distance adds to sum what distances does for one vector.
func distance(sum float32, x, vector []float32) float32 {
	vector = vector[:len(x)]
	for i, v := range x {
		d := v - vector[i]
		sum += float32(d * d)
	}
	return sum
}

// productGo adds to sum what products does for one vector.
func productGo(sum float32, x, vector []float32) float32 {
	vector = vector[:len(x)]
	for i, v := range x {
		sum = float32(float64(v)*float64(vector[i]) + float64(sum))
	}
	return sum
}

// addTwoGo adds to each of two sums the products of n weights and values, those of the
// second weighDepth behind those of the first.
func addTwoGo(sums *[2]float32, weights, values []float32, n int) {
	sums[0] = productGo(sums[0], weights[:n], values)
	sums[1] = productGo(sums[1], weights[weighDepth:][:n], values[weighDepth:])
}

// addBlocksGo adds to n blocks of sums the products of the elements of x, xStride
// apart, with depth blocks each, which are stride apart.
func addBlocksGo(sums, x []float32, xStride int, blocks []block, stride, depth, n int) {
	for i := range n {
		for k := range depth {
			addProducts(sums[i*lanes:][:lanes], x[i*xStride+k], blocks[i*stride+k][:])
		}
	}
}

// addPanelsGo is addBlocksGo for rows of panels; stride is in elements.
func addPanelsGo(sums, x []float32, xStride int, panels []float32, stride, depth, n int) {
	for i := range n {
		for k := range depth {
			addProducts(sums[i*panelWidth:][:panelWidth], x[i*xStride+k], panels[i*stride+k*panelWidth:])
		}
	}
}

// addChainsGo adds to each of sums the products of the n elements of x and of y from its
// place on.
func addChainsGo(sums *[abreast]float32, x, y []float32, at *[abreast]int, n int) {
	for i, from := range at {
		sums[i] = productGo(sums[i], x[from:from+n], y[from:])
	}
}
