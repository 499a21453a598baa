package linalg

import "context"

// Measure is what Differences makes of two rows.
type Measure uint8

// The measures. They are in the type of the elements and in ONNX Runtime's order.
const (
	// SumOfSquares adds the squares of the differences as AddSquaresInOrder does.
	SumOfSquares Measure = iota
	// SumOfMagnitudes adds the magnitudes of the differences as SumAligned does, where
	// the rows of x stand one behind the other.
	SumOfMagnitudes
)

// MaxFeatures is of how many features Differences takes rows.
const MaxFeatures = maxFilled

// packBytes is of how many bytes the rows are that stay in the processor's cache while all
// others are compared with them.
const packBytes = 1 << 17

// DifferencesLen returns how much room Differences needs for so many rows of x.
func DifferencesLen[T Float](m Measure, rows, features int) int {
	d := newDifferences[T](m, rows, features)
	return d.group * d.lanes * features
}

// Differences sets dst, [V, N], to how each row of v, [V, features], differs from each of
// x, [N, features]. It packs rows of x in the room, and fails with ctx. There are 1 to
// MaxFeatures features.
func Differences[T Float](ctx context.Context, m Measure, dst, v, x []T, features int, room []T) error {
	d := newDifferences[T](m, len(x)/features, features)
	rows := len(v) / features
	var w Work
	for from := 0; from < d.packs; from += d.group {
		n := min(d.group, d.packs-from)
		for p := range n {
			d.pack(room[p*d.lanes*features:], x, from+p)
		}
		for at := 0; at < rows; at += lanes {
			first := max(0, min(at, rows-lanes)) // the last eight may have been compared in part
			some := v[first*features : min(first+lanes, rows)*features]
			for p := range n {
				if err := w.add(ctx, d.lanes*lanes*features); err != nil {
					return err
				}
				d.compare(dst[first*d.rows:], some, room[p*d.lanes*features:][:d.lanes*features], from+p)
			}
		}
	}
	return nil
}

// differences is how rows of x are packed: some side by side, feature by feature.
type differences[T Float] struct {
	measure        Measure
	rows, features int
	lanes          int // how many rows a pack has; 32 bytes of one feature
	// shift says how far apart the rows of a pack are: 1<<shift. The sums over them begin
	// at like places of a vector of 16 bytes.
	shift int
	packs int // of all rows; of the last some may have none
	group int // how many packs are made at once
}

func newDifferences[T Float](m Measure, rows, features int) differences[T] {
	d := differences[T]{measure: m, rows: rows, features: features, lanes: lanes}
	if _, double := any(T(0)).(float64); double {
		d.lanes /= 2
	}
	if m == SumOfMagnitudes {
		for features<<d.shift%(d.lanes/2) != 0 {
			d.shift++
		}
	}
	d.packs = (rows + d.lanes<<d.shift - 1) / (d.lanes << d.shift) << d.shift
	d.group = min(max(1, packBytes/(4*lanes*features)), d.packs)
	return d
}

// place returns the first row of a pack, and how many it has.
func (d *differences[T]) place(pack int) (first, n int) {
	period := 1 << d.shift
	first = pack>>d.shift*(d.lanes<<d.shift) + pack&(period-1)
	return first, max(0, min(d.lanes, (d.rows-first+period-1)>>d.shift))
}

// pack brings rows of x side by side.
func (d *differences[T]) pack(to, x []T, pack int) {
	first, n := d.place(pack)
	if n < d.lanes {
		clear(to[:d.lanes*d.features])
	}
	for lane := range n {
		for i, v := range x[(first+lane<<d.shift)*d.features:][:d.features] {
			to[i*d.lanes+lane] = v
		}
	}
}

// compare compares up to eight rows of v with a pack, and puts what it finds into its
// columns of dst.
func (d *differences[T]) compare(dst, v, packed []T, pack int) {
	first, n := d.place(pack)
	if n == 0 {
		return
	}
	var sums [lanes * lanes]T
	if d.measure == SumOfSquares {
		squaresApart(sums[:], v, packed, d.features)
	} else {
		magnitudesApart(sums[:], v, packed, d.features, min(-first*d.features&(d.lanes/2-1), d.features))
	}
	for r := range len(v) / d.features {
		to, from := dst[r*d.rows+first:], sums[r*d.lanes:][:n]
		for lane, s := range from {
			to[lane<<d.shift] = s
		}
	}
}

// squaresApartGo sets as many of sums as there are rows of v and lanes of the pack.
func squaresApartGo[T Float](sums, v, packed []T, features int) {
	width := len(packed) / features
	for ; len(v) > 0; v = v[features:] {
		for lane := 0; lane < width; lane += 4 {
			var a, b, c, d T
			for i, from := range v[:features] {
				p := packed[i*width+lane:][:4]
				e, f, g, h := p[0]-from, p[1]-from, p[2]-from, p[3]-from
				e, f, g, h = e*e, f*f, g*g, h*h
				a, b, c, d = a+e, b+f, c+g, d+h
			}
			sums[lane], sums[lane+1], sums[lane+2], sums[lane+3] = a, b, c, d
		}
		sums = sums[width:]
	}
}

// magnitudesApartGo is squaresApartGo for magnitudes, of which the first vector of 16 bytes
// begins behind the head.
func magnitudesApartGo[T Float](sums, v, packed []T, features, head int) {
	width := len(packed) / features
	for ; len(v) > 0; v = v[features:] {
		for lane := range width {
			sums[lane] = magnitudesOfLane(v[:features], packed[lane:], width, head)
		}
		sums = sums[width:]
	}
}

// magnitudesOfLane adds up as sumFours and sumTwos do.
func magnitudesOfLane[T Float](v, packed []T, width, head int) T {
	four := width / 2 // elements of 16 bytes
	var strands [lanes]T
	add := func(n, from int) int {
		for k := range n {
			strands[k] += magnitude(v[from+k] - packed[(from+k)*width])
		}
		return from + n
	}
	i := head
	for i+width <= len(v) {
		i = add(width, i)
	}
	for k := range four {
		strands[k] += strands[four+k]
	}
	if i+four <= len(v) {
		i = add(four, i)
	}
	for n := four / 2; n > 0; n /= 2 {
		for k := range n {
			strands[k] += strands[n+k]
		}
	}
	for k := range head {
		add(1, k)
	}
	for i < len(v) {
		i = add(1, i)
	}
	return strands[0]
}
