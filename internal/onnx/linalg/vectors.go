package linalg

import "context"

// Kind is what is computed of two vectors, from their product p or the square
// d of their distance.
type Kind uint8

// The kinds.
const (
	Linear    Kind = iota // p
	Poly                  // (gamma p + coef0)^degree
	RBF                   // exp(-gamma d)
	Sigmoid               // tanh(gamma p + coef0)
	Squared               // d
	Euclidean             // the root of d
)

// apart reports whether a kind is of the distance.
func (k Kind) apart() bool { return k == RBF || k == Squared || k == Euclidean }

// Kernel is a kind with its parameters.
type Kernel struct {
	Kind                 Kind
	Gamma, Coef0, Degree float32
}

// lanes is how many vectors are compared with a row side by side. Each has a
// sum of its own, so that the sums do not wait for each other.
const lanes = 8

// block is one feature of lanes vectors.
type block = [lanes]float32

// Vectors is vectors that rows are compared with. It is safe for concurrent use.
type Vectors struct {
	kernel          Kernel
	count, features int
	// blocks has features blocks for each lanes vectors, the last of them filled
	// up with zeros. plain has the vectors one after the other where that would
	// take much more memory than they do.
	blocks []block
	plain  []float32
	plus   []float32    // is added to the products of Linear; for several rows of one block
	wide   *wideVectors // has the vectors instead where they are wide
}

// maxFilled is up to how many features fewer than lanes vectors fill a block.
const maxFilled = 1 << 14

// NewLinear returns NewVectors for their products with rows, to each of which its own of
// plus is added.
func NewLinear(data, plus []float32) *Vectors {
	s := NewVectors(Kernel{Kind: Linear}, data, len(plus))
	if s.wide != nil {
		copy(s.wide.start, plus)
	} else {
		s.plus = make([]float32, max(s.Width(), lanes*lanes))
		for at := 0; at < len(s.plus); at += s.Width() {
			copy(s.plus[at:], plus)
		}
	}
	return s
}

// NewVectors returns the count vectors that stand one after the other in data.
// It may keep data.
func NewVectors(k Kernel, data []float32, count int) *Vectors {
	s := &Vectors{kernel: k, count: count, features: len(data) / count}
	switch {
	case s.features >= wideFeatures && !k.Kind.apart():
		s.wide = newWide(k, data, count)
	case count < lanes && s.features > maxFilled:
		s.plain = data
	default:
		s.blocks = blocksOf(data, count, s.features)
	}
	return s
}

// blocksOf returns vectors that stand one after the other as blocks.
func blocksOf(data []float32, count, features int) []block {
	blocks := make([]block, (count+lanes-1)/lanes*features)
	for v := range count {
		column := blocks[v/lanes*features:]
		for i, c := range data[v*features : (v+1)*features] {
			column[i][v%lanes] = c
		}
	}
	return blocks
}

// Features returns how many elements a vector has.
func (s *Vectors) Features() int { return s.features }

// Width returns how many values Run writes for a row: one for each vector, and
// some more without a meaning.
func (s *Vectors) Width() int {
	switch {
	case s.wide != nil:
		return len(s.wide.start)
	case s.plain != nil:
		return s.count
	}
	return filled(s.count)
}

// filled returns how many values there are of count vectors in blocks.
func filled(count int) int { return (count + lanes - 1) / lanes * lanes }

const (
	// groupValues bounds how many values of a group of rows there are.
	groupValues = 1 << 15
	maxGroup    = 64
	// blockBytes is of how many bytes the blocks are that all rows of a group
	// are compared with, while they are in the processor's cache.
	blockBytes = 1 << 16
	// featuresAtOnce is of how many features rows and vectors are compared that stay in
	// the processor's first cache.
	featuresAtOnce = 256
	// finishing is what a value costs besides its features.
	finishing = 16
	// weighedAtOnce is how many vectors Weighed compares a row with at a time. It
	// divides weighDepth.
	weighedAtOnce = 16 * lanes
	// fewFeatures is up to how many features vectors are compared faster than a sum waits
	// for their products.
	fewFeatures = 24
)

// Group returns how many rows it is best to run at once.
func (s *Vectors) Group() int { return min(max(groupValues/s.Width()&^(lanes-1), lanes), maxGroup) }

// Run writes to dst, Width() values for each row, how the rows of x compare
// with the vectors. It fails with ctx.
func (s *Vectors) Run(ctx context.Context, dst, x []float32, rows int) error {
	width := s.Width()
	switch {
	case s.wide != nil:
		return s.wide.run(ctx, dst, x, rows)
	case s.plain != nil:
		return s.runPlain(ctx, dst, x, rows)
	}
	var w Work
	all := width / lanes
	if n := rows &^ (lanes - 1); vectorUnit && n > 0 && s.features <= maxFilled {
		if err := s.runRows(ctx, dst, x, n); err != nil {
			return err
		}
		dst, x, rows = dst[n*width:], x[n*s.features:], rows-n
	}
	some := max(1, blockBytes/(4*lanes*s.features))
	for b := 0; b < all; b += some {
		n := min(some, all-b)
		for r := range rows {
			if err := w.add(ctx, n*lanes*(s.features+finishing)); err != nil {
				return err
			}
			values := dst[r*width+b*lanes:][:n*lanes]
			s.compare(values, x[r*s.features:(r+1)*s.features], s.blocks[b*s.features:(b+n)*s.features])
			s.kernel.finish(values)
			s.add(values, b*lanes)
		}
	}
	return nil
}

// add adds plus to the values of the vectors from one on.
func (s *Vectors) add(values []float32, from int) {
	switch {
	case s.plus == nil:
	case len(values) == lanes:
		put(values, s.plus[from:from+lanes], true)
	default:
		Apply(Add, values, values, s.plus[from:from+len(values)])
	}
}

// Weighed returns Weigh of sum and how one row x compares with the vectors, for which
// values has room for Width() values. A sum in order waits for each of its products, and
// leaves the processor idle otherwise: products are added up while the next vectors are
// compared, and where that takes less, those of two runs of weighDepth side by side.
func (s *Vectors) Weighed(ctx context.Context, sum float32, weights, values, x []float32) (float32, error) {
	if s.plain != nil || s.wide != nil {
		if err := s.Run(ctx, values, x, 1); err != nil {
			return 0, err
		}
		return Weigh(ctx, sum, weights, values)
	}
	var w Work
	blocks := s.blocks
	for s.features <= fewFeatures && len(weights) > weighDepth {
		n := min(len(weights)-weighDepth, weighDepth)
		two, err := s.weighTwo(ctx, &w, n, weights, values, x, blocks)
		if err != nil {
			return 0, err
		}
		if sum, err = s.weighOne(ctx, &w, sum, two[0], n, weights[:weighDepth], values, x, blocks); err != nil {
			return 0, err
		}
		sum += two[1]
		if n += weighDepth; n == len(weights) {
			return sum, nil
		}
		weights, values, blocks = weights[n:], values[n:], blocks[n/lanes*s.features:]
	}
	return s.weighOne(ctx, &w, sum, 0, 0, weights, values, x, blocks)
}

// weighOne is Weighed of the vectors of some blocks, one run after the other. Of the first
// run, part has the products before a vector.
func (s *Vectors) weighOne(ctx context.Context, w *Work, sum, part float32, before int, weights, values, x []float32, blocks []block) (float32, error) {
	width := filled(len(weights))
	for v := (before + weighedAtOnce - 1) / weighedAtOnce * weighedAtOnce; v < width; v += weighedAtOnce {
		n := min(weighedAtOnce, width-v)
		if err := w.add(ctx, n*(s.features+finishing)); err != nil {
			return 0, err
		}
		some, vectors := values[v:v+n], blocks[v/lanes*s.features:][:n/lanes*s.features]
		if s.kernel.Kind.apart() {
			part = distancesAndProduct(some, x, vectors, part, weights[before:v], values[before:v])
		} else {
			part = productsAndProduct(some, x, vectors, part, weights[before:v], values[before:v])
		}
		s.kernel.finish(some)
		if before = v; v%weighDepth == 0 {
			sum, part = sum+part, 0
		}
	}
	return sum + product(part, weights[before:], values[before:]), nil
}

// weighTwo returns the sums of the first n of each of two runs, of which it compares some
// of the one, then some of the other. Of the first run it compares as many as weighedAtOnce
// divides.
func (s *Vectors) weighTwo(ctx context.Context, w *Work, n int, weights, values, x []float32, blocks []block) (sums [2]float32, err error) {
	added := 0
	for from := 0; from < n; from += weighedAtOnce {
		for run := range sums {
			v, some := from+run*weighDepth, weighedAtOnce
			add := (from - added) / (2 - run) // half of what is ready comes with the other run
			if run == 1 {
				some = min(some, filled(n)-from)
			}
			if err := w.add(ctx, some*(s.features+finishing)); err != nil {
				return sums, err
			}
			dst, vectors := values[v:v+some], blocks[v/lanes*s.features:][:some/lanes*s.features]
			if s.kernel.Kind == RBF {
				distances(dst, x, vectors)
				exponentialsAndTwo(dst, -s.kernel.Gamma, &sums, weights[added:], values[added:], add)
			} else {
				productsAndTwo(dst, x, vectors, &sums, weights[added:], values[added:], add)
				s.kernel.finish(dst)
			}
			added += add
		}
	}
	addTwo(&sums, weights[added:], values[added:], n-added)
	return sums, nil
}

// runRows is Run for a number of rows that lanes divides, of which it takes lanes side
// by side, and some features while these are in the processor's first cache.
func (s *Vectors) runRows(ctx context.Context, dst, x []float32, rows int) error {
	var w Work
	width := s.Width()
	dst = dst[:rows*width]
	clear(dst)
	for k := 0; k < s.features; k += featuresAtOnce {
		n := min(featuresAtOnce, s.features-k)
		for b := 0; b < width; b += lanes {
			vectors := s.blocks[b/lanes*s.features+k:][:n]
			for r := 0; r < rows; r += lanes {
				if err := w.add(ctx, lanes*lanes*(n+finishing)); err != nil {
					return err
				}
				s.compareEight(dst[r*width+b:], x[r*s.features+k:], vectors)
			}
		}
	}
	s.kernel.finish(dst)
	for step := len(s.plus) / width * width; step > 0 && len(dst) > 0; dst = dst[step:] {
		Apply(Add, dst[:step], dst, s.plus)
	}
	return nil
}

// compareEight adds to the sums of lanes rows how they compare with the vectors of one
// block by some of the features.
func (s *Vectors) compareEight(sums, x []float32, vectors []block) {
	switch s.kernel.Kind {
	case RBF:
		eightDistances(sums, s.Width(), x, s.features, vectors)
	case Squared, Euclidean:
		eightFusedDistances(sums, s.Width(), x, s.features, vectors)
	case Linear, Poly, Sigmoid:
		eightProducts(sums, s.Width(), x, s.features, vectors)
	}
}

// compare writes the products or squared distances of a row and the vectors of
// some blocks.
func (s *Vectors) compare(dst, x []float32, blocks []block) {
	switch s.kernel.Kind {
	case RBF:
		distances(dst, x, blocks)
	case Squared, Euclidean:
		fusedDistances(dst, x, blocks)
	case Linear, Poly, Sigmoid:
		products(dst, x, blocks)
	}
}

// runPlain is Run for vectors without blocks, which are few and long. It is of their
// distance.
func (s *Vectors) runPlain(ctx context.Context, dst, x []float32, rows int) error {
	var w Work
	for r := range rows {
		values := dst[r*s.count:][:s.count]
		for v := range values {
			sum := float32(0)
			row, vector := x[r*s.features:][:s.features], s.plain[v*s.features:][:s.features]
			for len(row) > 0 {
				n := min(len(row), workAtOnce)
				if err := w.add(ctx, n); err != nil {
					return err
				}
				sum = distance(sum, row[:n], vector)
				row, vector = row[n:], vector[n:]
			}
			values[v] = sum
		}
		s.kernel.finish(values)
	}
	return nil
}
