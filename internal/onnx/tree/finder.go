package tree

import "math"

// finder finds the cells of a row's values, one for each slot. It divides the
// range of the bounds of a feature into buckets of equal width, which suits what
// models are trained on better than the order of floats does: that has as many
// places below a thousandth as above it.
type finder[T float] struct {
	columns []column[T]
	starts  []uint32 // of each bucket of a column: the bounds in those before it
	bounds  []T      // ascending in a column, then window that no value exceeds
	crowded []int    // columns too many of whose bounds are in one bucket
	slots   []slot

	features int                         // of a row, at least
	search   func(x []T, cells []uint32) // finds the cells in the other columns
}

// column is what finds the cells of one slot. walk_amd64.s knows its fields.
type column[T float] struct {
	// A value less lo, times scale, is its bucket, from 0 to last.
	lo, scale, last T
	feature         uint32
	starts, bounds  uint32 // where its own begin
	first           uint32 // the cell below all bounds
	nan             uint32 // the cell of NaN
}

// window is how many bounds one bucket may hold: all of them are compared.
const window = 16

func newFinder[T float](slots []slot) *finder[T] {
	f := &finder[T]{columns: make([]column[T], len(slots)), slots: slots}
	bounds := 0
	for i := range slots {
		bounds += slots[i].axis.n
	}
	f.bounds = make([]T, 0, bounds+len(slots)*window)
	f.starts = make([]uint32, 0, bounds/2+len(slots)*2)
	for i := range slots {
		if !f.add(&f.columns[i], &slots[i]) {
			f.crowded = append(f.crowded, i)
		}
		f.features = max(f.features, slots[i].axis.feature+1)
	}
	f.search = f.searchGo
	useVectors(f)
	return f
}

// add fills the column of a slot, and reports whether its bounds are in buckets.
func (f *finder[T]) add(c *column[T], s *slot) bool {
	a := &s.axis
	*c = column[T]{
		feature: place(a.feature), nan: place(a.nan), starts: place(len(f.starts)), bounds: place(len(f.bounds)),
	}
	if s.nanFirst {
		c.first, c.nan = 1, 0
	}
	for _, k := range a.bounds[:a.n] {
		f.bounds = append(f.bounds, floor[T](k))
	}
	own := f.bounds[c.bounds:]
	for range window {
		f.bounds = append(f.bounds, T(math.Inf(1)))
	}
	c.divide(own)
	buckets := make([]uint32, int(c.last)+2)
	for _, b := range own {
		buckets[c.bucket(b)+1]++
	}
	for i := 1; i < len(buckets); i++ {
		if buckets[i] > window {
			c.last = 0 // so that the other columns are found nevertheless
			f.starts = append(f.starts, 0)
			return false
		}
		buckets[i] += buckets[i-1]
	}
	f.starts = append(f.starts, buckets[:len(buckets)-1]...)
	return true
}

// floor returns the highest T whose order is not above k.
func floor[T float](k uint64) T {
	v := T(unorder(k))
	if order(float64(v)) <= k {
		return v
	}
	// T is float32: a float64 is itself.
	return T(math.Nextafter32(float32(v), float32(math.Inf(-1))))
}

// divide makes a bucket for two bounds. One bound, and a range that T cannot
// hold, leave one bucket.
func (c *column[T]) divide(bounds []T) {
	n := len(bounds)
	if n == 0 {
		return
	}
	c.lo, c.scale = bounds[0], 0
	width := bounds[n-1] - bounds[0]
	if scale := T(n/2) / width; scale > 0 && !math.IsInf(float64(scale), 0) {
		c.scale, c.last = scale, T(n/2)
	}
}

// bucket returns the bucket of a value, which does not fall when the value
// rises. That of NaN is the first.
func (c *column[T]) bucket(x T) int {
	if at := (x - c.lo) * c.scale; at > 0 {
		return int(min(at, c.last))
	}
	return 0
}

// cells sets the cells of a row, by slot.
func (f *finder[T]) cells(x []T, cells []uint32) {
	f.search(x, cells)
	for _, i := range f.crowded {
		if v := x[f.columns[i].feature]; v == v {
			cells[i] = f.columns[i].first + place(f.slots[i].axis.cell(float64(v)))
		}
	}
}

// searchGo is search for any T on any processor.
func (f *finder[T]) searchGo(x []T, cells []uint32) {
	cells = cells[:len(f.columns)]
	for i := range cells {
		c := &f.columns[i]
		v := x[c.feature]
		if v != v {
			cells[i] = c.nan
			continue
		}
		below := f.starts[int(c.starts)+c.bucket(v)]
		cell := c.first + below
		for _, b := range f.bounds[c.bounds+below:][:window] {
			cell += lower(b, v)
		}
		cells[i] = cell
	}
}

// lower returns 1 when a is below b, and 0 otherwise.
func lower[T float](a, b T) uint32 {
	var one uint32
	if a < b {
		one = 1
	}
	return one
}
