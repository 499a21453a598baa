package linalg

import "context"

// wideFeatures is from how many features on vectors are wide. ONNX Runtime adds up the
// products of fewer in one go, however many vectors there are.
const wideFeatures = 129

// wideVectors is vectors of many features whose products with a row are made, so many at a
// time as ONNX Runtime takes: each such part of a sum is added to the parts before.
type wideVectors struct {
	kernel          Kernel
	count, features int
	depth           int       // how many features a part has; the last may have fewer
	start           []float32 // what the sums of a row begin with
	// The vectors stand one after the other in plain, feature by feature in blocks, or
	// in groups of panelWidth in panels. Places of groups are as place says.
	plain  []float32
	blocks []block
	panels []float32
}

// newWide returns the count vectors that stand one after the other in data, which it
// may keep.
func newWide(k Kernel, data []float32, count int) *wideVectors {
	s := &wideVectors{kernel: k, count: count, features: len(data) / count}
	s.depth = depthAtOnce(RowMajor(data, count, s.features), s.features, count)
	switch {
	case count == 1 || count < lanes && s.features > maxFilled:
		s.plain = data
		s.start = make([]float32, count)
	case count <= lanes:
		s.blocks = blocksOf(data, count, s.features)
		s.start = make([]float32, lanes)
	default:
		s.start = make([]float32, (count+panelWidth-1)/panelWidth*panelWidth)
		s.panels = make([]float32, len(s.start)*s.features)
		s.fillPanels(data)
	}
	if k.Kind == Poly || k.Kind == Sigmoid {
		for i := range s.start {
			s.start[i] = k.Coef0
		}
	}
	return s
}

// fillPanels brings vectors that stand one after the other into groups.
func (s *wideVectors) fillPanels(data []float32) {
	for k := 0; k < s.features; k += s.depth {
		n := min(s.depth, s.features-k)
		for v := range s.count {
			to := s.panels[s.place(v/panelWidth, k, n)*panelWidth+v%panelWidth:]
			for i, c := range data[v*s.features+k:][:n] {
				to[i*panelWidth] = c
			}
		}
	}
}

// fewGroups is up to how many groups of vectors the parts of one of them are taken side
// by side, for one row; of more, so many groups are.
const fewGroups = 3

func (s *wideVectors) groups() int { return max(1, len(s.start)/panelWidth) }

// place returns where the part of n features from k on is of a group, in features of
// groups: behind the part before of the group where groups are few, else behind
// that of the group before.
func (s *wideVectors) place(group, k, n int) int {
	if s.groups() <= fewGroups {
		return group*s.features + k
	}
	return s.groups()*k + group*n
}

// run is Vectors.Run.
func (s *wideVectors) run(ctx context.Context, dst, x []float32, rows int) error {
	width := len(s.start)
	dst = dst[:rows*width]
	for r := range rows {
		copy(dst[r*width:], s.start)
	}
	var err error
	switch {
	case s.plain != nil:
		err = s.runPlain(ctx, dst, x, rows)
	case s.blocks != nil:
		err = s.runBlocks(ctx, dst, x, rows)
	case rows == 1 || !vectorUnit: // tiles in Go do not fuse products with sums
		for r := 0; r < rows && err == nil; r++ {
			err = s.runRow(ctx, dst[r*width:][:width], x[r*s.features:][:s.features])
		}
	default:
		err = s.runPanels(ctx, dst, x, rows)
	}
	if err == nil {
		s.kernel.bend(dst)
	}
	return err
}

// add adds parts of sums to those before.
func (s *wideVectors) add(dst, sums []float32) {
	if s.kernel.Kind == Linear {
		put(dst, sums, true)
		return
	}
	for i, v := range sums {
		dst[i] = fused(s.kernel.Gamma, v, dst[i])
	}
}

// runPanels takes the rows some at a time, part by part.
func (s *wideVectors) runPanels(ctx context.Context, dst, x []float32, rows int) error {
	var w Work
	var sums [maxGroup * panelWidth]float32
	width := len(s.start)
	for from := 0; from < rows; from += maxGroup {
		n := min(maxGroup, rows-from)
		for k := 0; k < s.features; k += s.depth {
			depth := min(s.depth, s.features-k)
			a := Matrix[float32]{x[from*s.features+k:], n, depth, s.features, 1}
			for j := 0; j < width; j += panelWidth {
				if err := w.add(ctx, depth*n*panelWidth); err != nil {
					return err
				}
				panel, to := s.panels[s.place(j/panelWidth, k, depth)*panelWidth:], dst[from*width+j:]
				if s.kernel.Kind == Linear {
					tile(target[float32]{to, width, n, panelWidth, true}, a, panel, panelWidth, depth)
					continue
				}
				tile(target[float32]{sums[:], panelWidth, n, panelWidth, false}, a, panel, panelWidth, depth)
				for r := range n {
					s.add(to[r*width:], sums[r*panelWidth:][:panelWidth])
				}
			}
		}
	}
	return nil
}

// runBlocks takes eight rows at a time, and those that are left one by one.
func (s *wideVectors) runBlocks(ctx context.Context, dst, x []float32, rows int) error {
	var w Work
	var sums [lanes * lanes]float32
	for ; vectorUnit && rows >= lanes; rows -= lanes {
		for k := 0; k < s.features; k += s.depth {
			depth := min(s.depth, s.features-k)
			if err := w.add(ctx, lanes*lanes*depth); err != nil {
				return err
			}
			clear(sums[:])
			eightProducts(sums[:], lanes, x[k:], s.features, s.blocks[k:k+depth])
			s.add(dst, sums[:])
		}
		dst, x = dst[lanes*lanes:], x[lanes*s.features:]
	}
	for r := range rows {
		if err := s.runRow(ctx, dst[r*lanes:][:lanes], x[r*s.features:][:s.features]); err != nil {
			return err
		}
	}
	return nil
}

// abreast is how many sums of a row are made side by side: with groups, or of parts that
// stand so far apart that more would not be in the processor's first cache at once.
const abreast = 4

// runRow takes one row: several parts of a group side by side, or several groups.
func (s *wideVectors) runRow(ctx context.Context, dst, x []float32) error {
	var w Work
	groups := s.groups()
	columns := len(s.start) / groups
	if groups <= fewGroups {
		for g := range groups {
			if err := s.rowByParts(ctx, &w, dst[g*columns:][:columns], x[:s.features], g); err != nil {
				return err
			}
		}
		return nil
	}
	for k := 0; k < s.features; k += s.depth {
		depth := min(s.depth, s.features-k)
		for g := 0; g < groups; g += abreast {
			n := min(abreast, groups-g)
			if err := w.add(ctx, n*depth*columns); err != nil {
				return err
			}
			var sums [abreast * panelWidth]float32
			s.addParts(sums[:n*columns], x[k:k+depth], 0, s.place(g, k, depth), depth, depth, n)
			s.add(dst[g*columns:], sums[:n*columns])
		}
	}
	return nil
}

// rowByParts adds to dst the products of a row with a group.
func (s *wideVectors) rowByParts(ctx context.Context, w *Work, dst, x []float32, group int) error {
	columns := len(dst)
	for k := 0; k < s.features; k += abreast * s.depth {
		n, last := partsFrom(k, s.features, s.depth, abreast)
		if err := w.add(ctx, n*s.depth*columns); err != nil {
			return err
		}
		var sums [abreast * panelWidth]float32
		at := s.place(group, k, s.depth)
		s.addParts(sums[:n*columns], x[k:], s.depth, at, s.depth, last, n)
		if n > 1 && last < s.depth {
			s.addParts(sums[:(n-1)*columns], x[k+last:], s.depth, at+last, s.depth, s.depth-last, n-1)
		}
		for i := range n {
			s.add(dst, sums[i*columns:][:columns])
		}
	}
	return nil
}

// partsFrom returns how many parts of depth features there are from k on, most or fewer,
// and how many features the last of them has.
func partsFrom(k, features, depth, most int) (n, last int) {
	n = min(most, (features-k+depth-1)/depth)
	return n, min(depth, features-k-(n-1)*depth)
}

// addParts adds to n groups of sums the products of as many parts of x, xStride apart,
// and of groups, which begin at a place and are stride apart.
func (s *wideVectors) addParts(sums, x []float32, xStride, at, stride, depth, n int) {
	if s.blocks != nil {
		addBlockParts(sums, x, xStride, s.blocks[at:], stride, depth, n)
	} else {
		addPanelParts(sums, x, xStride, s.panels[at*panelWidth:], stride*panelWidth, depth, n)
	}
}

// runPlain takes the vectors one by one.
func (s *wideVectors) runPlain(ctx context.Context, dst, x []float32, rows int) error {
	var w Work
	for v := range s.count {
		vector := s.plain[v*s.features:][:s.features]
		whole := rows &^ (lanes - 1)
		for r := 0; r < whole; r += lanes {
			for k := 0; k < s.features; k += s.depth {
				some := vector[k:min(k+s.depth, s.features)]
				if err := w.add(ctx, lanes*len(some)); err != nil {
					return err
				}
				var sums [lanes]float32
				productsEight(&sums, some, x[r*s.features+k:], s.features)
				for i, sum := range sums {
					s.add(dst[(r+i)*s.count+v:], []float32{sum})
				}
			}
		}
		for r := whole; r < rows; r++ {
			if err := s.chains(ctx, &w, dst[r*s.count+v:][:1], x[r*s.features:][:s.features], vector); err != nil {
				return err
			}
		}
	}
	return nil
}

// chains adds to dst the products of a row and a vector, whose parts are taken side by
// side.
func (s *wideVectors) chains(ctx context.Context, w *Work, dst, x, vector []float32) error {
	for k := 0; k < s.features; k += abreast * s.depth {
		n, last := partsFrom(k, s.features, s.depth, abreast)
		if err := w.add(ctx, n*s.depth); err != nil {
			return err
		}
		var sums [abreast]float32
		if n == 1 {
			sums[0] = product(0, x[k:], vector[k:])
		} else {
			sums = fourParts(x[k:], vector[k:], s.depth, last, n)
		}
		for i := range n {
			s.add(dst, sums[i:i+1])
		}
	}
	return nil
}

// fourParts returns the sums of the products of n parts of depth elements, of which the
// last has fewer: first as many of all as that one has, then the others' rest.
func fourParts(x, y []float32, depth, last, n int) [abreast]float32 {
	var sums, rest [abreast]float32
	var at [abreast]int
	for i := range at {
		at[i] = min(i, n-1) * depth
	}
	addChainsOf(&sums, x, y, &at, last)
	if last == depth {
		return sums
	}
	for i := range at {
		at[i] = min(i, n-2)*depth + last
	}
	rest = sums
	addChainsOf(&rest, x, y, &at, depth-last)
	rest[n-1] = sums[n-1]
	return rest
}
