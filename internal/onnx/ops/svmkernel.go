package ops

import (
	"context"
	"math"
)

// The kernels of a support vector machine: of the product p of two vectors,
// or of their squared distance d.
const (
	linearKernel  kernelKind = iota // p
	polyKernel                      // (gamma p + coef0)^degree
	rbfKernel                       // exp(-gamma d)
	sigmoidKernel                   // tanh(gamma p + coef0)
)

type kernelKind uint8

type vectorKernel struct {
	kind                 kernelKind
	gamma, coef0, degree float32
}

// lanes is how many vectors are compared with a row side by side. Each has a
// sum of its own that takes the features in their order, so that the sums do
// not wait for each other and still are those of one vector after the other.
const lanes = 8

// vectorSet is vectors that rows are compared with. The first of them stand in
// blocks of lanes vectors, feature by feature; those that fill no block follow
// in tail, one after the other.
type vectorSet struct {
	vectorKernel
	count, features int
	blocks          [][lanes]float32 // features entries a block
	tail            []float32
}

// newVectorSet returns the set of count vectors, which stand one after the
// other in data.
func newVectorSet(k vectorKernel, data []float32, count int) *vectorSet {
	v := &vectorSet{vectorKernel: k, count: count, features: len(data) / count}
	full := count / lanes
	v.blocks = make([][lanes]float32, full*v.features)
	for b := range full {
		for lane := range lanes {
			for i, c := range data[(b*lanes+lane)*v.features:][:v.features] {
				v.blocks[b*v.features+i][lane] = c
			}
		}
	}
	v.tail = data[full*lanes*v.features:]
	return v
}

const (
	// groupValues bounds the kernel values that are held at a time.
	groupValues = 1 << 15
	maxGroup    = 64
	// restWork is how many features are compared between two looks at the
	// context.
	restWork = 1 << 21
)

// group returns how many rows are compared with a block while it is at hand.
func (v *vectorSet) group() int { return min(max(groupValues/v.count, 1), maxGroup) }

// run writes the kernel values of rows with all vectors.
func (v *vectorSet) run(ctx context.Context, dst, x []float32, rows int) error {
	work := 0
	for b := range v.count / lanes {
		if work += rows * v.features * lanes; work > restWork {
			if err := ctx.Err(); err != nil {
				return err
			}
			work = 0
		}
		v.block(dst[b*lanes:], x, v.blocks[b*v.features:(b+1)*v.features], rows)
	}
	first := v.count / lanes * lanes
	for r := range rows {
		row := x[r*v.features : (r+1)*v.features]
		for k := first; k < v.count; k++ {
			vector := v.tail[(k-first)*v.features:][:v.features]
			if v.kind == rbfKernel {
				dst[r*v.count+k] = distance(row, vector)
			} else {
				dst[r*v.count+k] = dot(row, vector)
			}
		}
	}
	v.finish(dst[:rows*v.count])
	return nil
}

// block compares rows with one block. dst is that of the first row.
func (v *vectorSet) block(dst, x []float32, block [][lanes]float32, rows int) {
	for r := range rows {
		row, out := x[r*v.features:(r+1)*v.features], (*[lanes]float32)(dst[r*v.count:])
		if v.kind == rbfKernel {
			distances(out, row, block)
		} else {
			dots(out, row, block)
		}
	}
}

// finish makes kernel values of products and distances.
func (v *vectorSet) finish(dst []float32) {
	switch v.kind {
	case linearKernel:
	case rbfKernel:
		expScaled(dst, -v.gamma)
	case polyKernel:
		raise := power(v.degree)
		for i, p := range dst {
			dst[i] = raise(float32(v.gamma*p) + v.coef0)
		}
	case sigmoidKernel:
		for i, p := range dst {
			dst[i] = float32(math.Tanh(float64(float32(v.gamma*p) + v.coef0)))
		}
	}
}

// distances writes the squared distances of x to the vectors of a block. The
// products are rounded one by one, on every machine alike.
func distances(out *[lanes]float32, x []float32, block [][lanes]float32) {
	var a, b, c, d, e, f, g, h float32
	block = block[:len(x)]
	for i, v := range x {
		s := &block[i]
		t := v - s[0]
		a += float32(t * t)
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
	*out = [lanes]float32{a, b, c, d, e, f, g, h}
}

// dots writes the products of x with the vectors of a block.
func dots(out *[lanes]float32, x []float32, block [][lanes]float32) {
	var a, b, c, d, e, f, g, h float32
	block = block[:len(x)]
	for i, v := range x {
		s := &block[i]
		a += float32(v * s[0])
		b += float32(v * s[1])
		c += float32(v * s[2])
		d += float32(v * s[3])
		e += float32(v * s[4])
		f += float32(v * s[5])
		g += float32(v * s[6])
		h += float32(v * s[7])
	}
	*out = [lanes]float32{a, b, c, d, e, f, g, h}
}

// distance is distances for one vector.
func distance(x, vector []float32) float32 {
	var sum float32
	vector = vector[:len(x)]
	for i, v := range x {
		d := v - vector[i]
		sum += float32(d * d)
	}
	return sum
}

// dot is dots for one vector.
func dot(x, vector []float32) float32 {
	var sum float32
	vector = vector[:len(x)]
	for i, v := range x {
		sum += float32(v * vector[i])
	}
	return sum
}

// expScaled replaces each v by exp(by v), rounded to float32 within 0.51 units
// in the last place. There is no branch for the usual values.
func expScaled(values []float32, by float32) {
	const (
		// Adding it and taking it away again rounds to an integer.
		rounder = 3 << 51
		log2e   = math.Log2E
		ln2     = math.Ln2
	)
	for i, v := range values {
		x := by * v
		if !(x > -100 && x < 88) {
			values[i] = float32(math.Exp(float64(x)))
			continue
		}
		z := float64(x)
		shifted := z*log2e + rounder // ends with the bits of an integer k
		r := z - (shifted-rounder)*ln2
		// Taylor's series up to r^9, whose rest is below 1e-11.
		r2 := r * r
		r4 := r2 * r2
		low := (1 + r) + r2*(1.0/2+r*(1.0/6))
		high := (1.0/24 + r*(1.0/120)) + r2*(1.0/720+r*(1.0/5040))
		e := low + r4*(high+r4*(1.0/40320+r*(1.0/362880)))
		values[i] = float32(e * math.Float64frombits((math.Float64bits(shifted)+1023)<<52)) // e 2^k
	}
}
