package linalg

import "context"

// SquaredDistance returns the sum of the squares of the differences of a and b,
// which are of one length.
func SquaredDistance[T Float](a, b []T) T {
	b = b[:len(a)]
	switch x := any(a).(type) {
	case []float32:
		if y, ok := any(b).([]float32); ok && len(a) >= vectorLen {
			return T(distanceFloat32(x, y))
		}
	case []float64:
		if y, ok := any(b).([]float64); ok && len(a) >= vectorLen {
			return T(distanceFloat64(x, y))
		}
	}
	return distanceGo(a, b)
}

// vectorLen is from where on the vector kernels pay.
const vectorLen = 16

func distanceGo[T Float](a, b []T) T {
	var s0, s1, s2, s3 T
	b = b[:len(a)]
	for len(a) >= 4 && len(b) >= 4 {
		d0, d1, d2, d3 := a[0]-b[0], a[1]-b[1], a[2]-b[2], a[3]-b[3]
		s0 += d0 * d0
		s1 += d1 * d1
		s2 += d2 * d2
		s3 += d3 * d3
		a, b = a[4:], b[4:]
	}
	for i, v := range a {
		d := v - b[i]
		s0 += d * d
	}
	return s0 + s1 + (s2 + s3)
}

// weighDepth is how many products of weights ONNX Runtime adds up before it adds their
// sum to that of those before.
const weighDepth = 1024

// Weigh returns sum and the weights' products with values, of which there are as many
// or more. They are added in their order, rounded to float32 after each, so many
// at a time as ONNX Runtime does. It fails with ctx.
func Weigh(ctx context.Context, sum float32, weights, values []float32) (float32, error) {
	var w Work
	for len(weights) > 0 {
		n := min(len(weights), weighDepth)
		if err := w.add(ctx, n); err != nil {
			return 0, err
		}
		sum += product(0, weights[:n], values)
		weights, values = weights[n:], values[n:]
	}
	return sum, nil
}

// WeighRows sets each of dst to Weigh of it and a row of values, which begin a stride
// apart.
func WeighRows(ctx context.Context, dst, weights, values []float32, stride int) error {
	var w Work
	for ; len(dst) >= lanes; dst, values = dst[lanes:], values[lanes*stride:] {
		for at := 0; at < len(weights); at += weighDepth {
			some := weights[at:min(at+weighDepth, len(weights))]
			if err := w.add(ctx, lanes*len(some)); err != nil {
				return err
			}
			var sums [lanes]float32
			productsEight(&sums, some, values[at:], stride)
			for i, sum := range sums {
				dst[i] += sum
			}
		}
	}
	for i := range dst {
		var err error
		if dst[i], err = Weigh(ctx, dst[i], weights, values[i*stride:]); err != nil {
			return err
		}
	}
	return nil
}

func productsEightGo(sums *[lanes]float32, weights, values []float32, stride int) {
	for i := range sums {
		sums[i] = productGo(sums[i], weights, values[i*stride:])
	}
}

// WeighWide is Weigh with the products rounded to float32 and added in float64,
// in any order. w goes on from call to call, so that many short ones cost no
// more looks at ctx than a long one.
func WeighWide(ctx context.Context, w *Work, weights, values []float32) (sum float64, err error) {
	if err := w.add(ctx, 1); err != nil { // a call without weights costs something too
		return 0, err
	}
	for len(weights) > 0 {
		n := min(len(weights), workAtOnce)
		if err := w.add(ctx, n); err != nil {
			return 0, err
		}
		sum += weighSome(weights[:n], values)
		weights, values = weights[n:], values[n:]
	}
	return sum, nil
}

// WeighParts sets each of dst to WeighWide of a part of the weights and values: the
// i-th from ends[i] up to ends[i+1].
func WeighParts(ctx context.Context, w *Work, dst []float64, weights, values []float32, ends []int) error {
	if len(weights) > workAtOnce {
		for i := range dst {
			var err error
			if dst[i], err = WeighWide(ctx, w, weights[ends[i]:ends[i+1]], values[ends[i]:]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := w.add(ctx, len(weights)+len(dst)); err != nil {
		return err
	}
	for i := range dst {
		from, to := ends[i], ends[i+1]
		if to-from < vectorLen {
			dst[i] = weighSomeGo(weights[from:to], values[from:to])
		} else {
			dst[i] = weighSome(weights[from:to], values[from:to])
		}
	}
	return nil
}

func weighSomeGo(weights, values []float32) float64 {
	var a, b, c, d float64
	values = values[:len(weights)]
	for len(values) >= 4 && len(weights) >= 4 {
		a += float64(weights[0] * values[0])
		b += float64(weights[1] * values[1])
		c += float64(weights[2] * values[2])
		d += float64(weights[3] * values[3])
		weights, values = weights[4:], values[4:]
	}
	for i, w := range weights {
		a += float64(w * values[i])
	}
	return (a + b) + (c + d)
}
