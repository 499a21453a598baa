package tree

import (
	"fmt"
	"strconv"
	"strings"

	"onnxgate/internal/fault"
)

// Forest is an ensemble for people to look at.
type Forest struct{ f *forest }

// Read checks the attributes of an ensemble and returns its trees. Its errors
// are those of Compile.
func Read(a Attributes) (*Forest, error) {
	if err := checkTargets(&a); err != nil {
		return nil, err
	}
	f, err := build(&a)
	return &Forest{f}, err
}

// ReadV5 is Read for TreeEnsemble (ai.onnx.ml, opset 5).
func ReadV5(a AttributesV5) (*Forest, error) {
	if err := checkEnums(a.Targets, a.Aggregate, a.Transform); err != nil {
		return nil, err
	}
	f, err := build5(&a)
	return &Forest{f}, err
}

// Trees returns how many there are.
func (f *Forest) Trees() int { return len(f.f.roots) }

// maxLines bounds a drawing.
const maxLines = 5000

// Draw returns a tree, counted from 0, as lines of text: a node in each, and
// what it leads to below. feature names a feature, target what leaves vote for.
func (f *Forest) Draw(tree int, feature, target func(int) string) (string, error) {
	if tree < 0 || tree >= f.Trees() {
		return "", fault.Newf(fault.Content, "there is no tree %d; the model has the trees 0 to %d", tree, f.Trees()-1)
	}
	d := drawer{f: f.f, feature: feature, target: target}
	d.node(f.f.roots[tree], "", "")
	return d.text.String(), nil
}

type drawer struct {
	f               *forest
	feature, target func(int) string
	text            strings.Builder
	lines           int
}

// node draws a node and what is below it. label stands before it, indent before
// each line below.
func (d *drawer) node(at int32, label, indent string) {
	if d.lines++; d.lines > maxLines {
		if d.lines == maxLines+1 {
			d.text.WriteString("… and more\n")
		}
		return
	}
	n := &d.f.nodes[at]
	d.text.WriteString(label)
	if n.mode == Leaf {
		d.text.WriteString(d.votes(n) + "\n")
		return
	}
	d.text.WriteString(d.question(n) + "\n")
	d.node(n.yes, indent+"├─ yes  ", indent+"│       ")
	d.node(n.no, indent+"└─ no   ", indent+"        ")
}

var symbols = [...]string{
	BranchLEQ: "<=", BranchLT: "<", BranchGTE: ">=", BranchGT: ">", BranchEQ: "==", BranchNEQ: "!=", BranchMember: "is one of",
}

func (d *drawer) question(n *node) string {
	value := strconv.FormatFloat(n.value, 'g', 7, 64)
	if n.mode == BranchMember {
		var members []string
		for _, m := range d.f.members[n.first:n.last] {
			members = append(members, strconv.FormatFloat(m, 'g', 7, 64))
		}
		value = strings.Join(members, ", ")
	}
	missing := ""
	if n.missingTrue {
		missing = " or is missing"
	}
	return fmt.Sprintf("%s %s %s%s", d.feature(int(n.feature)), symbols[n.mode], value, missing)
}

func (d *drawer) votes(n *node) string {
	var all []string
	for _, v := range n.votes(d.f) {
		all = append(all, strings.TrimSpace(d.target(int(v.target))+" "+strconv.FormatFloat(v.weight, 'g', 7, 64)))
	}
	if len(all) == 0 {
		return "no vote"
	}
	return strings.Join(all, ", ")
}
