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
	var a, b [4]float32
	copy(a[:], body)
	n := 4
	if len(body) >= 8 {
		copy(b[:], body[4:])
		for n = 8; n+8 <= len(body); n += 8 {
			v := (*[8]float32)(body[n:])
			a[0], a[1], a[2], a[3] = a[0]+v[0], a[1]+v[1], a[2]+v[2], a[3]+v[3]
			b[0], b[1], b[2], b[3] = b[0]+v[4], b[1]+v[5], b[2]+v[6], b[3]+v[7]
		}
		for i := range a {
			a[i] += b[i]
		}
		if n+4 <= len(body) {
			for i := range a {
				a[i] += body[n+i]
			}
			n += 4
		}
	}
	return addInOrder(addInOrder((a[0]+a[2])+(a[1]+a[3]), x[:head]), body[n:])
}

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
