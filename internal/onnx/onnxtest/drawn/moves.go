package drawn

import (
	"math"
	"slices"

	"onnxgate/internal/onnx"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive,staticcheck // the models below read as what they are
	"onnxgate/internal/tensor"
)

// moved is a value of another shape with the same elements, or some of them.
func moved(a value, shape tensor.Shape) value {
	return value{typ: a.typ, shape: shape, bound: a.bound, grain: a.grain}
}

func (p *grapher) transpose() {
	a, ok := p.choose(ranked)
	if !ok {
		return
	}
	order := p.Perm(len(a.shape))
	shape, written := make(tensor.Shape, len(order)), make([]int64, len(order))
	for i, k := range order {
		shape[i], written[i] = a.shape[k], int64(k)
	}
	p.node("Transpose", []value{a}, moved(a, shape), Ints("perm", written...))
}

func (p *grapher) reshape() {
	a, ok := p.choose(ranked)
	if !ok || a.len() == 0 {
		return
	}
	first := p.from(1, a.len())
	for a.len()%first != 0 {
		first--
	}
	shape, written := tensor.Shape{first, a.len() / first}, []int{first, -1}
	switch p.IntN(3) {
	case 0:
		shape, written = tensor.Shape{a.len()}, []int{-1}
	case 1:
		shape, written = tensor.Shape{a.shape[0], 1, a.len() / a.shape[0]}, []int{0, 1, -1}
		if len(a.shape) == 0 {
			return
		}
	}
	p.node("Reshape", []value{a, p.list(written...)}, moved(a, shape))
}

func (p *grapher) flatten() {
	a, ok := p.choose()
	if !ok {
		return
	}
	axis := p.from(-len(a.shape), len(a.shape))
	at := axis
	if at < 0 {
		at += len(a.shape)
	}
	before := product(a.shape[:at])
	p.node("Flatten", []value{a}, moved(a, tensor.Shape{before, product(a.shape[at:])}), Int("axis", int64(axis)))
}

func product(s tensor.Shape) int {
	n := 1
	for _, d := range s {
		n *= d
	}
	return n
}

// axes gives axes as the version of Squeeze and Unsqueeze has them.
func (p *grapher) axes(a value, axis int) ([]value, []onnx.Attribute) {
	if p.version >= 13 {
		return []value{a, p.list(axis)}, nil
	}
	return []value{a}, []onnx.Attribute{Ints("axes", int64(axis))}
}

func (p *grapher) squeeze() {
	a, ok := p.choose(func(v *value) bool { return slices.Contains(v.shape, 1) })
	if !ok {
		return
	}
	axis := slices.Index(a.shape, 1)
	in, list := p.axes(a, axis-len(a.shape)*p.IntN(2))
	p.node("Squeeze", in, moved(a, reduced(a.shape, axis, false)), list...)
}

func (p *grapher) unsqueeze() {
	a, ok := p.choose(func(v *value) bool { return len(v.shape) < 4 })
	if !ok {
		return
	}
	axis := p.from(0, len(a.shape))
	in, list := p.axes(a, axis-(len(a.shape)+1)*p.IntN(2))
	p.node("Unsqueeze", in, moved(a, slices.Insert(slices.Clone(a.shape), axis, 1)), list...)
}

// slice takes elements of an axis by start, end and step, which may lie beyond
// it, and at least one: ONNX Runtime is not given values without elements.
func (p *grapher) slice() {
	a, ok := p.choose(ranked)
	if !ok {
		return
	}
	axis, written := p.axis(a)
	n := a.shape[axis]
	from, to, step := p.from(-n, n-1), p.from(-n, n), pick(p.drawing, 1, 1, 2, -1, -2)
	if p.chance(4) {
		to = pick(p.drawing, math.MaxInt32, math.MinInt32+1)
	}
	count := sliced(n, from, to, step)
	if count == 0 {
		return
	}
	shape := slices.Clone(a.shape)
	shape[axis] = count
	p.node("Slice", []value{a, p.list(from), p.list(to), p.list(int(written)), p.list(step)}, moved(a, shape))
}

// sliced counts what a slice has, as the specification says it.
func sliced(n, from, to, step int) int {
	if from < 0 {
		from += n
	}
	if to < 0 {
		to += n
	}
	count := 0
	for i := from; step > 0 && i < min(to, n) || step < 0 && i > max(to, -1); i += step {
		count++
	}
	return count
}

func (p *grapher) split() {
	a, ok := p.choose(func(v *value) bool { return len(v.shape) > 0 && slices.Max(v.shape) > 1 })
	if !ok {
		return
	}
	axis := slices.Index(a.shape, slices.Max(a.shape))
	first := p.from(1, a.shape[axis]-1)
	parts := []int{first, a.shape[axis] - first}
	var outs []value
	for _, n := range parts {
		v := moved(a, slices.Clone(a.shape))
		v.shape[axis] = n
		outs = append(outs, v)
	}
	list := []onnx.Attribute{Int("axis", int64(axis))}
	if p.version < 13 {
		p.nodeOf("Split", []value{a}, outs, append(list, Ints("split", int64(parts[0]), int64(parts[1])))...)
		return
	}
	p.nodeOf("Split", []value{a, p.list(parts...)}, outs, list...)
}

func (p *grapher) concat() {
	a, ok := p.choose(ranked)
	if !ok {
		return
	}
	axis, written := p.axis(a)
	in, out := []value{a}, moved(a, slices.Clone(a.shape))
	for range p.from(1, 3) {
		b, ok := p.choose(func(v *value) bool {
			return v.typ == a.typ && len(v.shape) == len(a.shape) && slices.Equal(reduced(v.shape, axis, true), reduced(a.shape, axis, true))
		})
		if !ok {
			return
		}
		in, out.bound, out.grain = append(in, b), max(out.bound, b.bound), finer(out, b)
		out.shape[axis] += b.shape[axis]
	}
	p.node("Concat", in, out, Int("axis", written))
}

// places draws indices of an axis, from its front or its back.
func (p *grapher) places(shape tensor.Shape, n int) value {
	data := make([]float64, product(shape))
	for i := range data {
		data[i] = float64(p.from(-n, n-1))
	}
	return p.constant(tensor.Int64, shape, data...)
}

func (p *grapher) gather() {
	a, ok := p.choose(ranked)
	if !ok {
		return
	}
	axis, written := p.axis(a)
	at := pick(p.drawing, tensor.Shape{}, tensor.Shape{3}, tensor.Shape{2, 2})
	if p.chance(10) {
		at = tensor.Shape{0}
	}
	shape := append(append(append(tensor.Shape{}, a.shape[:axis]...), at...), a.shape[axis+1:]...)
	out := moved(a, shape)
	out.ended = out.len() == 0 // where ONNX Runtime refuses or departs in several operators
	p.node("Gather", []value{a, p.places(at, a.shape[axis])}, out, Int("axis", written))
}

func (p *grapher) gatherElements() {
	a, ok := p.choose(ranked)
	if !ok {
		return
	}
	axis, written := p.axis(a)
	shape := slices.Clone(a.shape)
	shape[axis] = p.from(1, 4)
	p.node("GatherElements", []value{a, p.places(shape, a.shape[axis])}, moved(a, shape), Int("axis", written))
}

func (p *grapher) expand() {
	a, ok := p.choose(func(v *value) bool { return slices.Contains(v.shape, 1) || len(v.shape) < 3 })
	if !ok {
		return
	}
	to := slices.Clone(a.shape)
	for i := range to {
		if to[i] == 1 && p.chance(2) {
			to[i] = p.from(1, 4)
		}
	}
	if p.chance(3) {
		to = append(tensor.Shape{p.from(1, 3)}, to...)
	}
	if len(to) > 0 {
		p.node("Expand", []value{a, p.list(to...)}, moved(a, to))
	}
}

func (p *grapher) tile() {
	a, ok := p.choose(ranked)
	if !ok {
		return
	}
	times, shape := make([]int, len(a.shape)), slices.Clone(a.shape)
	for i := range times {
		times[i] = p.from(1, 3)
		shape[i] *= times[i]
	}
	p.node("Tile", []value{a, p.list(times...)}, moved(a, shape))
}

func (p *grapher) pad() {
	a, ok := p.choose(ranked, (*value).number)
	if !ok {
		return
	}
	mode := pick(p.drawing, "constant", "edge", "reflect")
	k := len(a.shape)
	pads, shape := make([]int, 2*k), slices.Clone(a.shape)
	for i := range k {
		most := 2
		if mode == "reflect" {
			most = min(most, a.shape[i]-1) // ONNX Runtime does not reflect beyond the extent
		}
		pads[i], pads[k+i] = p.from(0, most), p.from(0, most)
		shape[i] += pads[i] + pads[k+i]
	}
	in := []value{a, p.list(pads...)}
	if mode == "constant" && p.chance(2) {
		in = append(in, p.constant(a.typ, tensor.Shape{}, float64(p.from(-2, 2))))
	}
	out := moved(a, shape)
	out.bound += 2
	p.node("Pad", in, out, String("mode", mode))
}

func (p *grapher) scatter() {
	a, ok := p.choose(ranked, (*value).number)
	if !ok {
		return
	}
	axis, written := p.axis(a)
	shape := slices.Clone(a.shape)
	shape[axis] = 1 // one update for each place, so that their order says nothing
	updates := value{typ: a.typ, shape: shape, bound: 2, grain: 1}
	out := moved(a, a.shape)
	out.bound += 2
	p.node("ScatterElements", []value{a, p.places(shape, a.shape[axis]), p.constant(a.typ, shape, p.elements(&updates)...)}, out, Int("axis", written))
}

func (p *grapher) trilu() {
	a, ok := p.choose(func(v *value) bool { return len(v.shape) >= 2 && v.number() })
	if !ok || p.version < 14 || a.typ == tensor.Int32 {
		return // ONNX Runtime has no int32
	}
	k := p.constant(tensor.Int64, tensor.Shape{}, float64(p.from(-2, 2)))
	p.node("Trilu", []value{a, k}, moved(a, a.shape), Int("upper", int64(p.IntN(2))))
}

func (p *grapher) hot() {
	a, ok := p.choose((*value).exact, func(v *value) bool { return v.typ == tensor.Int64 && len(v.shape) > 0 && len(v.shape) < 4 }) // ONNX Runtime takes no scalar
	if !ok {
		return
	}
	depth := p.from(1, 5)
	values := p.constant(tensor.Float32, tensor.Shape{2}, 0, float64(p.from(1, 2)))
	shape := append(slices.Clone(a.shape), depth)
	p.node("OneHot", []value{a, p.list(depth), values}, value{typ: tensor.Float32, shape: shape, bound: 2, grain: 1})
}

func (p *grapher) shape() {
	a, ok := p.choose(ranked)
	if !ok {
		return
	}
	if p.chance(2) {
		p.node("Size", []value{a}, value{typ: tensor.Int64, shape: tensor.Shape{}, bound: mostElements, grain: 1})
		return
	}
	p.node("Shape", []value{a}, value{typ: tensor.Int64, shape: tensor.Shape{len(a.shape)}, bound: mostElements, grain: 1})
}

// nonzero leaves the graph at once: its second extent is known to nobody before a run.
func (p *grapher) nonzero() {
	a, ok := p.choose((*value).exact, ranked, func(v *value) bool { return v.typ != tensor.Float64 })
	if !ok || !p.chance(3) {
		return
	}
	p.node("NonZero", []value{a}, value{typ: tensor.Int64, shape: tensor.Shape{len(a.shape), 0}, bound: 10, grain: 1, ended: true})
}
