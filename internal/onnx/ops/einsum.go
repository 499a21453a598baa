package ops

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// einsumOps is sums of products over named axes.
var einsumOps = []Operator{
	{"", "Einsum", 12, span{1, variadic}, one, parseEinsum},
}

// label names an axis of Einsum: 52 for the letters, in the order of their
// codes, then those that an ellipsis stands for, counted from the end.
type label uint8

const (
	letters   = 52
	maxLabels = letters + maxRank
	// ellipsis stands for any number of labels.
	ellipsis label = maxLabels
)

// equation is a parsed Einsum equation.
type equation struct {
	terms  [][]label
	output []label
}

// parseEinsum reads Einsum (ai.onnx 12, 28). Operands are multiplied from left
// to right. Axes of one label have one extent, or 1, which is broadcast. The
// axes of an ellipsis that the output does not have are summed.
func parseEinsum(n *Node) Kernel {
	n.Need("equation")
	eq, err := parseEquation(n.String("equation", ""), len(n.In))
	if err != nil {
		n.Failf("attribute \"equation\": %w", err)
	}
	d := n.Elem(0, numericElem...)
	for i := 1; i < len(n.In); i++ {
		if e := n.Elem(i, numericElem...); e != d {
			n.Failf("input %d is of %v, input 0 of %v; they must agree", i, e, d)
		}
	}
	if n.err == nil {
		n.SetOut(0, eq.outType(n, d))
	}
	if n.err != nil {
		return nil
	}
	switch d {
	case tensor.Float32, tensor.Half:
		return newContraction[float32](n, eq, d).run
	case tensor.Float64:
		return newContraction[float64](n, eq, d).run
	case tensor.Int8:
		return newContraction[int8](n, eq, d).run
	case tensor.Int16:
		return newContraction[int16](n, eq, d).run
	case tensor.Int32:
		return newContraction[int32](n, eq, d).run
	case tensor.Int64:
		return newContraction[int64](n, eq, d).run
	case tensor.Uint8:
		return newContraction[uint8](n, eq, d).run
	case tensor.Uint16:
		return newContraction[uint16](n, eq, d).run
	case tensor.Uint32:
		return newContraction[uint32](n, eq, d).run
	case tensor.Uint64:
		return newContraction[uint64](n, eq, d).run
	case tensor.Bool, tensor.String, tensor.Undefined: // not allowed above
	}
	return nil
}

// parseEquation reads an equation for a number of operands.
func parseEquation(text string, operands int) (equation, error) {
	text = strings.ReplaceAll(text, " ", "")
	left, right, explicit := strings.Cut(text, "->")
	parts := strings.Split(left, ",")
	if len(parts) != operands {
		return equation{}, fmt.Errorf("it has terms for %d inputs, but there are %d", len(parts), operands)
	}
	var eq equation
	var times [maxLabels + 1]int
	for _, p := range parts {
		term, err := parseTerm(p)
		if err != nil {
			return eq, err
		}
		for _, l := range term {
			times[l]++
		}
		eq.terms = append(eq.terms, term)
	}
	if !explicit {
		if times[ellipsis] > 0 {
			eq.output = append(eq.output, ellipsis)
		}
		for l := range label(letters) {
			if times[l] == 1 {
				eq.output = append(eq.output, l)
			}
		}
		return eq, nil
	}
	var err error
	if eq.output, err = parseTerm(right); err != nil {
		return eq, err
	}
	for i, l := range eq.output {
		if times[l] == 0 && l != ellipsis || slices.Contains(eq.output[:i], l) {
			return eq, errors.New("a label of the output is in no term, or there twice")
		}
	}
	return eq, nil
}

func parseTerm(text string) ([]label, error) {
	term := make([]label, 0, min(len(text), maxRank))
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case len(term) > maxRank:
			return nil, fmt.Errorf("a term has more than %d axes", maxRank)
		case c >= 'A' && c <= 'Z':
			term = append(term, label(c-'A'))
		case c >= 'a' && c <= 'z':
			term = append(term, label(c-'a')+26)
		case strings.HasPrefix(text[i:], "...") && !slices.Contains(term, ellipsis):
			term = append(term, ellipsis)
			i += 2
		default:
			return nil, fmt.Errorf("it is not valid at %s: terms are of letters and one ellipsis (...)", onnx.Quote(text[i:]))
		}
	}
	return term, nil
}

// expand appends the labels of a term for an operand of the given rank, with
// the ellipsis in full. It reports false when they do not fit.
func expand(dst, term []label, rank int) ([]label, bool) {
	hidden := rank - len(term)
	at := slices.Index(term, ellipsis)
	switch {
	case at < 0:
		return append(dst, term...), hidden == 0
	case hidden+1 < 0 || hidden+1 > maxRank:
		return dst, false
	}
	dst = append(dst, term[:at]...)
	for k := hidden; k >= 0; k-- {
		dst = append(dst, letters+label(k))
	}
	return append(dst, term[at+1:]...), true
}

// outType returns the type of the result, as far as it is known.
func (eq *equation) outType(n *Node, d tensor.DType) onnx.Type {
	var dims [maxLabels]tensor.Dim
	for l := range dims {
		dims[l] = free
	}
	hidden, known := 0, true
	for i, term := range eq.terms {
		t := &n.In[i].Type
		dotted := slices.Contains(term, ellipsis)
		if !t.Ranked {
			known = known && !dotted
			continue
		}
		labels, ok := expand(nil, term, len(t.Dims))
		if !ok {
			n.Failf("input %d of shape %s does not have the axes of its term", i, onnx.FormatDims(t.Dims))
			return onnx.UnrankedTensor(d)
		}
		if dotted {
			hidden = max(hidden, len(t.Dims)-len(term)+1)
		}
		for k, l := range labels {
			joinLabel(n, &dims[l], t.Dims[k])
		}
	}
	if !known && slices.Contains(eq.output, ellipsis) {
		return onnx.UnrankedTensor(d)
	}
	rank := len(eq.output)
	if slices.Contains(eq.output, ellipsis) {
		rank += hidden - 1
	}
	labels, ok := expand(nil, eq.output, rank)
	if !ok || len(labels) > maxRank {
		n.Failf("its result would have more than %d axes", maxRank)
	}
	out := make([]tensor.Dim, len(labels))
	for k, l := range labels {
		if out[k] = dims[l]; out[k].Size == 1 && slices.ContainsFunc(n.In, func(v Value) bool { return !allFixed(&v.Type) }) {
			out[k] = free // another operand may have more
		}
	}
	return onnx.TensorOf(d, out...)
}

func allFixed(t *onnx.Type) bool {
	_, ok := sizes(t)
	return ok
}

// joinLabel learns the extent of a label from one more axis of it.
func joinLabel(n *Node, have *tensor.Dim, dim tensor.Dim) {
	switch {
	case have.Size < 0 && (have.Name == "" || dim.Size > 1) || have.Size == 1 && dim.Size >= 0:
		*have = dim
	case have.Size > 1 && dim.Size >= 0 && dim.Size != 1 && dim.Size != have.Size, have.Size == 0 && dim.Size > 1:
		n.Failf("axes of one label have extents %d and %d", have.Size, dim.Size)
	}
}
