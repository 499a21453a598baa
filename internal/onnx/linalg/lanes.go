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

// eightGo compares lanes rows of x, which stand one after the other, with the
// vectors of one block.
func eightGo(compare func(dst, x []float32, blocks []block), dst, x []float32, vectors []block) {
	for i := range lanes {
		compare(dst[i*lanes:(i+1)*lanes], x[i*len(vectors):(i+1)*len(vectors)], vectors)
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
