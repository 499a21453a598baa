package linalg

// Dot returns the sum of the products of the elements of a and b, which are of
// one length.
func Dot[T Float](a, b []T) T { return dot(a, b) }

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

func dot[T Number](a, b []T) T {
	b = b[:len(a)]
	if len(a) >= vectorLen {
		switch x := any(a).(type) {
		case []float32:
			if y, ok := any(b).([]float32); ok {
				return T(dotFloat32(x, y))
			}
		case []float64:
			if y, ok := any(b).([]float64); ok {
				return T(dotFloat64(x, y))
			}
		}
	}
	return dotGo(a, b)
}

// dotGo adds in four strands, so that one addition does not wait for the last.
func dotGo[T Number](a, b []T) T {
	var s0, s1, s2, s3 T
	b = b[:len(a)]
	for len(a) >= 4 && len(b) >= 4 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		a, b = a[4:], b[4:]
	}
	for i, v := range a {
		s0 += v * b[i]
	}
	return s0 + s1 + (s2 + s3)
}

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
