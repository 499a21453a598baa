// Package vectors compares rows with many vectors at once: the kernels of
// support vector machines, and the products of linear models. It knows no tensors and no attributes.
//
// Sums are made in float32, feature by feature: by vector instructions where
// the processor has them (lanes_amd64.s, which the program in gen writes) and
// by Go otherwise. Squares of differences are rounded before they are added,
// products are not. So does ONNX Runtime on x86, and where large numbers
// cancel out, no other order and rounding would agree with it.
package vectors

import "context"

// Kind is what is computed of two vectors, from their product p or the square
// d of their distance.
type Kind uint8

// The kinds.
const (
	Linear  Kind = iota // p
	Poly                // (gamma p + coef0)^degree
	RBF                 // exp(-gamma d)
	Sigmoid             // tanh(gamma p + coef0)
)

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

// Set is vectors that rows are compared with. It is safe for concurrent use.
type Set struct {
	kernel          Kernel
	count, features int
	// blocks has features blocks for each lanes vectors, the last of them filled
	// up with zeros. plain has the vectors one after the other where that would
	// take much more memory than they do.
	blocks []block
	plain  []float32
	vector bool // by vector instructions
}

// maxFilled is up to how many features fewer than lanes vectors fill a block.
const maxFilled = 1 << 14

// New returns a set of count vectors, which stand one after the other in data.
// It may keep data.
func New(k Kernel, data []float32, count int) *Set {
	s := &Set{kernel: k, count: count, features: len(data) / count, vector: vectorUnit()}
	if count < lanes && s.features > maxFilled {
		s.plain = data
		return s
	}
	s.blocks = make([]block, s.Width()/lanes*s.features)
	for v := range count {
		column := s.blocks[v/lanes*s.features:]
		for i, c := range data[v*s.features : (v+1)*s.features] {
			column[i][v%lanes] = c
		}
	}
	return s
}

// Features returns how many elements a vector has.
func (s *Set) Features() int { return s.features }

// Width returns how many values Run writes for a row: one for each vector, and
// some more without a meaning.
func (s *Set) Width() int {
	if s.plain != nil {
		return s.count
	}
	return (s.count + lanes - 1) / lanes * lanes
}

const (
	// groupValues bounds how many values of a group of rows there are.
	groupValues = 1 << 15
	maxGroup    = 64
	// blockBytes is of how many bytes the blocks are that all rows of a group
	// are compared with, while they are in the processor's cache.
	blockBytes = 1 << 16
	// restWork is how many features are compared between two looks at the
	// context.
	restWork = 1 << 21
	// finishing is what a value costs besides its features.
	finishing = 16
)

// Group returns how many rows it is best to run at once.
func (s *Set) Group() int { return min(max(groupValues/s.Width(), 1), maxGroup) }

// Run writes to dst, Width() values for each row, how the rows of x compare
// with the vectors. It fails with ctx.
func (s *Set) Run(ctx context.Context, dst, x []float32, rows int) error {
	width := s.Width()
	if s.plain != nil {
		return s.runPlain(ctx, dst, x, rows)
	}
	all, work := width/lanes, 0
	some := max(1, blockBytes/(4*lanes*s.features))
	for b := 0; b < all; b += some {
		n := min(some, all-b)
		for r := range rows {
			if work += n * lanes * (s.features + finishing); work > restWork {
				if err := ctx.Err(); err != nil {
					return err
				}
				work = 0
			}
			values := dst[r*width+b*lanes:][:n*lanes]
			s.compare(values, x[r*s.features:(r+1)*s.features], s.blocks[b*s.features:(b+n)*s.features])
			s.finish(values)
		}
	}
	return nil
}

// compare writes the products or squared distances of a row and the vectors of
// some blocks.
func (s *Set) compare(dst, x []float32, blocks []block) {
	switch {
	case s.kernel.Kind == RBF && s.vector:
		distancesVector(dst, x, blocks)
	case s.kernel.Kind == RBF:
		distances(dst, x, blocks)
	case s.vector:
		productsVector(dst, x, blocks)
	default:
		products(dst, x, blocks)
	}
}

// finish makes the values of the kernel from those of blocks.
func (s *Set) finish(values []float32) {
	k := s.kernel
	switch {
	case !s.vector:
		k.finish(values)
	case k.Kind == RBF:
		exponentialsVector(values, -k.Gamma)
	case k.Kind != Linear:
		scaleVector(values, k.Gamma, k.Coef0)
		k.bend(values)
	}
}

// runPlain is Run for a set without blocks, whose vectors are long.
func (s *Set) runPlain(ctx context.Context, dst, x []float32, rows int) error {
	for i := range rows * s.count {
		row, vector := x[i/s.count*s.features:][:s.features], s.plain[i%s.count*s.features:][:s.features]
		sum := float32(0)
		for len(row) > 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(len(row), restWork)
			if s.kernel.Kind == RBF {
				sum = distance(sum, row[:n], vector)
			} else {
				sum = product(sum, row[:n], vector)
			}
			row, vector = row[n:], vector[n:]
		}
		dst[i] = sum
	}
	s.kernel.finish(dst[:rows*s.count])
	return nil
}

// Weigh returns the sum of the weights' products with values, of which there
// are as many or more. It is made in the order of the weights, rounded to
// float32 after each. It fails with ctx.
func (s *Set) Weigh(ctx context.Context, weights, values []float32) (float32, error) {
	sum := float32(0)
	for len(weights) > 0 {
		n := min(len(weights), restWork)
		if n == restWork {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
		}
		if s.vector {
			sum = productVector(sum, weights[:n], values)
		} else {
			sum = product(sum, weights[:n], values)
		}
		weights, values = weights[n:], values[n:]
	}
	return sum, nil
}
