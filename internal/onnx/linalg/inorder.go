package linalg

// SumAligned returns the sum of x, which stands at place at of a tensor, in the
// type of x. As ONNX Runtime does, it adds vectors of 16 bytes from the first place
// on that they divide, in two strands; the rest comes last.
func SumAligned[T Float](x []T, at int) T {
	switch v := any(x).(type) {
	case []float32:
		return T(sumFours(v, at))
	case []float64:
		return T(sumTwos(v, at))
	}
	return sumInOrder(x)
}

func sumFours(x []float32, at int) float32 {
	head := min(-at&3, len(x))
	body := x[head:]
	if len(body) < 4 {
		return sumInOrder(x)
	}
	a0, a1, a2, a3 := body[0], body[1], body[2], body[3]
	rest := body[4:]
	if len(rest) >= 4 {
		b0, b1, b2, b3 := rest[0], rest[1], rest[2], rest[3]
		rest = rest[4:]
		if len(rest) >= longSum {
			sums := block{a0, a1, a2, a3, b0, b1, b2, b3}
			rest = rest[addStrands(&sums, rest):]
			a0, a1, a2, a3, b0, b1, b2, b3 = sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7]
		}
		for ; len(rest) >= 8; rest = rest[8:] {
			v := (*[8]float32)(rest)
			a0, a1, a2, a3 = a0+v[0], a1+v[1], a2+v[2], a3+v[3]
			b0, b1, b2, b3 = b0+v[4], b1+v[5], b2+v[6], b3+v[7]
		}
		a0, a1, a2, a3 = a0+b0, a1+b1, a2+b2, a3+b3
		if len(rest) >= 4 {
			a0, a1, a2, a3 = a0+rest[0], a1+rest[1], a2+rest[2], a3+rest[3]
			rest = rest[4:]
		}
	}
	return addInOrder(addInOrder((a0+a2)+(a1+a3), x[:head]), rest)
}

// longSum is from how many elements on vectors pay.
const longSum = 32

func sumTwos(x []float64, at int) float64 {
	head := min(-at&1, len(x))
	body := x[head:]
	if len(body) < 2 {
		return sumInOrder(x)
	}
	a, n := [2]float64(body), 2
	if len(body) >= 4 {
		b := [2]float64(body[2:])
		for n = 4; n+4 <= len(body); n += 4 {
			v := (*[4]float64)(body[n:])
			a[0], a[1], b[0], b[1] = a[0]+v[0], a[1]+v[1], b[0]+v[2], b[1]+v[3]
		}
		a[0], a[1] = a[0]+b[0], a[1]+b[1]
		if n+2 <= len(body) {
			a[0], a[1] = a[0]+body[n], a[1]+body[n+1]
			n += 2
		}
	}
	return addInOrder(addInOrder(a[0]+a[1], x[:head]), body[n:])
}

func sumInOrder[T Float](x []T) T {
	if len(x) == 0 {
		return 0
	}
	return addInOrder(x[0], x[1:])
}

func addInOrder[T Float](sum T, x []T) T {
	for _, v := range x {
		sum += v
	}
	return sum
}

// AddSquaresInOrder adds to each of acc the squares of its lane of x, one after the
// other and each rounded before, in the type of x, as ONNX Runtime does.
func AddSquaresInOrder[T Float](acc, x []T, lane int) {
	for ; len(acc) >= 4; acc, x = acc[4:], x[4*lane:] {
		p, q, r, s := x[:lane], x[lane:][:lane], x[2*lane:][:lane], x[3*lane:][:lane]
		a, b, c, d := acc[0], acc[1], acc[2], acc[3]
		for i, v := range p {
			e, f, g, h := v*v, q[i]*q[i], r[i]*r[i], s[i]*s[i]
			a, b, c, d = a+e, b+f, c+g, d+h
		}
		acc[0], acc[1], acc[2], acc[3] = a, b, c, d
	}
	for k := range acc {
		for _, v := range x[k*lane:][:lane] {
			square := v * v
			acc[k] += square
		}
	}
}
