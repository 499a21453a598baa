package schema

import (
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// nested is how far nested arrays have filled a tensor.
type nested struct {
	sink   sink
	shape  []int // of one row; the first row settles free extents
	filled int   // elements so far
}

func (a *nested) begin(dims []int) { a.shape, a.filled = append(a.shape[:0], dims...), 0 }

// nested reads the value of a feature that is a nested array. Extents that the
// graph leaves free are those of the first row; the rank, where it is not
// declared either, that of the first element.
func (b *Batch) nested(i int) error {
	f := &b.fields()[i]
	a := &b.arrays[f.in]
	n := nest{Batch: b, field: f, into: a, feature: i, open: b.schema.inputs[f.in].anyShape && a.filled == 0}
	return n.value(0)
}

// nest is one nested array on its way into a tensor.
type nest struct {
	*Batch
	*field
	into    *nested
	feature int
	open    bool   // the rank is not settled
	prefix  string // pointer to the array within the feature's value
}

// value reads what stands at the level: an array, or below the last level an
// element.
func (n *nest) value(level int) error {
	dims := n.into.shape
	kind := n.decoder.PeekKind()
	switch {
	case kind == jsontext.KindBeginArray && level < len(dims):
		return n.list(level)
	case kind == jsontext.KindBeginArray && n.open:
		if level == maxDepth { // no deeper tensor can be asked for
			return n.skip()
		}
		n.into.shape = append(dims, -1)
		return n.list(level)
	case level < len(dims) || level == 0 && n.open:
		if err := n.skip(); err != nil {
			return err
		}
		n.fail(level, "must be an array, not "+kindNames[kind])
		return nil
	default:
		n.open = false
		return n.leaf(level)
	}
}

func (n *nest) list(level int) error {
	if _, err := n.decoder.ReadToken(); err != nil {
		return n.syntax(err)
	}
	if n.decoder.StackDepth() > maxDepth {
		return n.tooDeep()
	}
	length := 0
	for ; n.decoder.PeekKind() != jsontext.KindEndArray; length++ {
		n.path[level] = length
		if err := n.value(level + 1); err != nil {
			return err
		}
	}
	if _, err := n.decoder.ReadToken(); err != nil {
		return n.syntax(err)
	}
	switch want := &n.into.shape[level]; {
	case length == 0:
		n.fail(level, "must not be empty")
	case *want < 0:
		*want = length
	case *want != length:
		n.fail(level, fmt.Sprintf("must hold %s, not %d", count(*want, "element"), length))
	}
	return nil
}

func (n *nest) leaf(level int) error {
	detail, err := n.element(n.field)
	if err != nil {
		return err
	}
	if detail == "" && !n.fits(&n.Batch.value) {
		detail = n.unfit(n.field)
	}
	switch {
	case detail != "":
		n.fail(level, detail)
	case len(n.faults) == 0:
		n.into.sink.put(n.into.filled, &n.Batch.value)
		n.into.filled++
	}
	return nil
}

// fail refuses the value at the level.
func (n *nest) fail(level int, detail string) {
	suffix := []byte(n.prefix)
	for _, k := range n.path[:level] {
		suffix = strconv.AppendInt(append(suffix, '/'), int64(k), 10)
	}
	n.refuse(n.feature, string(suffix), detail)
}
