package ops

import (
	"context"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// Budget is the memory of one run: how many bytes it may still take, and the
// tensors that are elements of its lists. The zero value has none.
type Budget struct {
	// Left is how many bytes the results may still take.
	Left int
	// Refused is the most that was asked for and not there, in bytes.
	Refused int
	// Size is how many bytes the tensors have grown by that runs with this budget
	// have written: the most that their memory takes now.
	Size int

	most  int // how large Size may become
	again int // of scratch tensors, what was taken that was there
	held  int // of what is taken, that which outlives the pass of a loop
	items []*tensor.Tensor
	used  int // how many of items this run has taken
}

// maxGrowth is how many times what a run may take its tensors may grow by: the passes
// of a loop take the same memory in turns, and each may need it in another tensor.
const maxGrowth = 2

// Start readies the budget for a run, which may take the tensors of the one
// before.
func (b *Budget) Start(bytes int) {
	b.Left, b.Refused, b.again, b.held, b.used = bytes, 0, 0, 0, 0
	b.most = b.Size + maxGrowth*bytes
}

// Took returns about how many bytes a run has used that was given so many.
func (b *Budget) Took(bytes int) int { return bytes - b.Left + b.again }

// take takes bytes, and reports whether they are there.
func (b *Budget) take(bytes int) bool {
	if bytes > b.Left {
		b.Refused = max(b.Refused, bytes)
		return false
	}
	b.Left -= bytes
	return true
}

// item returns a tensor that is not in use. Runs of the same course are given
// the same ones, with memory of the size they need.
func (b *Budget) item() *tensor.Tensor {
	if b.used == len(b.items) {
		b.items = append(b.items, &tensor.Tensor{})
		b.Size += itemBytes
	}
	b.used++
	return b.items[b.used-1]
}

// holding accounts for what take takes as memory for the rest of the run.
func (b *Budget) holding(take func() error) error {
	before := b.Left
	err := take()
	b.held += before - b.Left
	return err
}

// passes accounts for the passes of a loop: what one takes and does not hold,
// the next takes again, so that only the most that any of them took counts.
type passes struct {
	budget           *Budget
	left, held, most int
}

func (b *Budget) passes() passes { return passes{budget: b, left: b.Left, held: b.held} }

// next ends a pass. It fails when what is held and what a pass takes exceed
// the budget together.
func (p *passes) next() error {
	held := p.budget.held - p.held
	p.most = max(p.most, p.left-p.budget.Left-held)
	p.left -= held
	p.held = p.budget.held
	p.budget.Left = p.left
	if p.left < p.most || p.budget.Size > p.budget.most {
		p.budget.Refused = max(p.budget.Refused, p.most)
		return tooLarge(nil)
	}
	return nil
}

// end ends the loop.
func (p *passes) end() { p.budget.Left -= p.most }

// listBytes is what an element costs a list, besides the element.
const listBytes = 8

// itemBytes is what a tensor costs, besides its elements.
const itemBytes = 96

// Entries returns the keys and the values of input i, a map of K and V by what
// the parse function checked with Node.Map. There are as many of both.
func Entries[K, V tensor.Element](f *Frame, i int) ([]K, []V) {
	items := f.in[i].Items()
	return tensor.Of[K](items[0]), tensor.Of[V](items[1])
}

// Items returns the elements of input i, a sequence, or what is in an
// optional. They must not be changed.
func (f *Frame) Items(i int) []*tensor.Tensor { return f.in[i].Items() }

// OutputList makes output i a sequence or an optional of n elements, all of
// which the kernel sets. It fails when the run's memory is used up.
func (f *Frame) OutputList(i int, kind tensor.Kind, n int) ([]*tensor.Tensor, error) {
	return f.resetList(f.out[i], kind, n)
}

func (f *Frame) resetList(t *tensor.Tensor, kind tensor.Kind, n int) ([]*tensor.Tensor, error) {
	if n < 0 || n > tensor.MaxElements || !f.budget.take(n*listBytes) {
		return nil, fault.Newf(fault.Content, "a list of %d elements needs more memory than one prediction may take; send fewer rows", n)
	}
	before := t.Memory()
	items := tensor.ResetList(t, kind, n)
	f.budget.Size += t.Memory() - before
	return items, nil
}

// Item returns a new tensor for a list, and its elements, all of which the
// kernel writes before it goes into the list. It fails when the run's memory is
// used up.
func Item[T tensor.Element](f *Frame, shape ...int) (*tensor.Tensor, []T, error) {
	t, err := f.blank()
	if err == nil {
		err = f.budget.holding(func() error { return f.charge(tensor.DTypeOf[T](), shape) })
	}
	if err != nil {
		return nil, nil, err
	}
	return t, reset[T](f, t, shape...), nil
}

// blank returns a new tensor for a list.
func (f *Frame) blank() (*tensor.Tensor, error) {
	if !f.budget.take(itemBytes) {
		return nil, tooLarge(nil)
	}
	f.budget.held += itemBytes
	return f.budget.item(), nil
}

// hold accounts for a tensor that is made already as memory for the rest of the
// run.
func (f *Frame) hold(t *tensor.Tensor) {
	if t.Kind() == tensor.KindTensor {
		f.budget.held += t.Len() * t.DType().Size()
	} else {
		f.budget.held += len(t.Items()) * listBytes
	}
}

// Keep returns a copy of t for a list: t may be written again by a later step,
// what is in a list may not. What t holds, if it is a list, is shared.
func (f *Frame) Keep(ctx context.Context, t *tensor.Tensor) (*tensor.Tensor, error) {
	kept, err := f.blank()
	if err == nil {
		err = f.budget.holding(func() error { return f.assign(ctx, kept, t) })
	}
	return kept, err
}

// assign makes dst a copy of src. Elements of lists are shared.
func (f *Frame) assign(ctx context.Context, dst, src *tensor.Tensor) error {
	if src.Kind() == tensor.KindTensor {
		m := movers[src.DType()]
		err := m.reset(f, dst, src.Shape())
		if err == nil {
			err = m.move(ctx, dst, 0, src, 0, src.Len())
		}
		return err
	}
	items := src.Items()
	list, err := f.resetList(dst, src.Kind(), len(items))
	if err == nil {
		copy(list, items)
		restoreEntries(dst, src)
	}
	return err
}

// restoreEntries gives a copied map its number of entries.
func restoreEntries(dst, src *tensor.Tensor) {
	if items := dst.Items(); src.Kind() == tensor.KindMap {
		tensor.ResetMap(dst, items[0], items[1])
	}
}

// assignDeep makes dst a copy of src that shares nothing with it.
func (f *Frame) assignDeep(ctx context.Context, dst, src *tensor.Tensor) error {
	if src.Kind() == tensor.KindTensor {
		return f.assign(ctx, dst, src)
	}
	items := src.Items()
	list, err := f.resetList(dst, src.Kind(), len(items))
	if err != nil {
		return err
	}
	for i := range list {
		if err := poll(ctx, i); err != nil {
			return err
		}
		if list[i] == nil {
			list[i] = &tensor.Tensor{}
		}
		if err := f.assignDeep(ctx, list[i], items[i]); err != nil {
			return err
		}
	}
	restoreEntries(dst, src)
	return nil
}
