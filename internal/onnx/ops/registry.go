package ops

import (
	"cmp"
	"fmt"
	"slices"
)

// ML is the domain of the classical operators.
const ML = "ai.onnx.ml"

// Microsoft is the domain of ONNX Runtime's own operators, of which exporters
// use a few.
const Microsoft = "com.microsoft"

// span is the range of a node's inputs or outputs; most is variadic for any
// number.
type span struct{ least, most int }

const variadic = 1 << 30

var (
	one = span{1, 1}
	two = span{2, 2}
)

// Operator is one meaning of an operator: from version Since of its domain on,
// up to the next entry of its name.
type Operator struct {
	Domain string
	Name   string
	Since  int64

	in, out span
	parse   func(*Node) Kernel
}

// newest is the newest version of each domain whose operators were read when
// the table was written. A version above it may change what an operator means.
var newest = map[string]int64{"": 28, ML: 5, Microsoft: 1}

// table is the operators. Each family has its rows in its own file.
var table = slices.Concat(
	generalOps, castOps, bitCastOps, shapeOps, arithmeticOps, reduceOps, activationOps,
	compareOps, variadicOps, unaryOps, softmaxOps, clipOps, dropoutOps, bitOps,
	queryOps, transposeOps, sliceOps, repeatOps, padOps, centerOps, gatherOps, scatterOps, fillOps, searchOps, sortOps, cumulativeOps,
	featureOps, linearOps, treeOps, encodeOps, imputeOps, svmOps, mapOps,
	textOps, microsoftOps, controlOps, sequenceOps,
	reductionOps, matrixOps, einsumOps, normalizationOps, windowOps, recurrentOps,
)

// Operators returns every operator, by domain, name and version.
func Operators() []Operator {
	all := slices.Clone(table)
	slices.SortFunc(all, func(a, b Operator) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Since, b.Since))
	})
	return all
}

// CheckVersion fails when a domain is unknown, or its version newer than the
// table.
func CheckVersion(domain string, version int64) error {
	last, ok := newest[domain]
	switch {
	case !ok:
		return fmt.Errorf("operator domain %q is not supported", domain)
	case version > last:
		return fmt.Errorf("version %d of operator set %q is too new; versions up to %d are supported",
			version, cmp.Or(domain, "ai.onnx"), last)
	}
	return nil
}

// Newest returns the newest version of a domain whose operators are known, 0 for
// a domain that is not. The name of the default domain is "" or "ai.onnx".
func Newest(domain string) int64 {
	if domain == "ai.onnx" {
		domain = ""
	}
	return newest[domain]
}

// Index finds operators by name. The zero value is not usable; see NewIndex.
type Index struct{ byName map[[2]string][]*Operator }

// NewIndex returns the index over the table.
func NewIndex() Index {
	x := Index{byName: map[[2]string][]*Operator{}}
	for i := range table {
		op := &table[i]
		key := [2]string{op.Domain, op.Name}
		x.byName[key] = append(x.byName[key], op)
	}
	return x
}

// Find returns the meaning that an operator has in a version of its domain, or
// nil when it has none that is supported.
func (x Index) Find(domain, name string, version int64) *Operator {
	var best *Operator
	for _, op := range x.byName[[2]string{domain, name}] {
		if op.Since <= version && (best == nil || op.Since > best.Since) {
			best = op
		}
	}
	return best
}

// Parse reads a node, which names outs outputs, and returns its kernel: nil
// when nothing is to be computed, since the output is constant or an alias.
func (op *Operator) Parse(n *Node, outs int) (Kernel, error) {
	if err := op.in.check("input", len(n.In)); err != nil {
		return nil, err
	}
	if err := op.out.check("output", outs); err != nil {
		return nil, err
	}
	n.Outs = outs
	k := op.parse(n)
	if err := n.finish(); err != nil {
		return nil, err
	}
	if k == nil && !n.alias && n.Out[0].Const == nil {
		return nil, fmt.Errorf("it has no kernel for these types")
	}
	return k, nil
}

func (s span) check(what string, n int) error {
	if n >= s.least && n <= s.most {
		return nil
	}
	switch {
	case s.most == variadic:
		return fmt.Errorf("it has %d %ss; it needs at least %d", n, what, s.least)
	case s.least == s.most:
		return fmt.Errorf("it has %d %ss; it needs %d", n, what, s.least)
	}
	return fmt.Errorf("it has %d %ss; it takes %d to %d", n, what, s.least, s.most)
}
