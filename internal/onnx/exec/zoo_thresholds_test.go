package exec_test

import (
	"fmt"
	"math"
	"testing"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/decode"
	"onnxgate/internal/tensor"
)

// mostThresholds is how many of one feature have rows on them.
const mostThresholds = 300

// comparison is a feature and a value that a tree compares it with.
type comparison struct {
	feature   int64
	threshold float64
}

// A row on each threshold of a tree, and one a step to either side, is where an
// engine that rounds or compares wrongly shows.
func TestTheZooStandsOnEveryThreshold(t *testing.T) {
	total := 0
	for _, folder := range []string{zooOfFixtures, builtZoo()} {
		for _, name := range zooNames(t, folder) {
			t.Run(name, func(t *testing.T) {
				data, r := readZoo(t, folder, name)
				m, err := decode.Model(data, onnx.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				n, err := missingThresholds(m, &r)
				total += n
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	if total < 500 {
		t.Errorf("only %d thresholds", total)
	}
}

// missingThresholds returns how many thresholds of trees that read an input
// have rows on and beside them, and the first that has not.
func missingThresholds(m *onnx.Model, r *recording) (int, error) {
	if len(r.Inputs) != 1 || len(r.Inputs[0].Shape) != 2 || r.Inputs[0].Type == "string" || r.Inputs[0].Type == "bool" {
		return 0, nil
	}
	input := &r.Inputs[0]
	x, err := input.elements()
	if err != nil {
		return 0, err
	}
	present := columnsOf(x)
	met, all := map[int64]int{}, map[int64]int{}
	var first error
	for c := range comparisonsOn(m, input.Name) {
		all[c.feature]++
		if err := standsOn(present, x, c); err == nil {
			met[c.feature]++
		} else if first == nil {
			first = err
		}
	}
	total := 0
	for feature, n := range all {
		total += met[feature]
		if met[feature] < min(n, mostThresholds) {
			return total, fmt.Errorf("feature %d: %d of %d thresholds have rows: %w", feature, met[feature], n, first)
		}
	}
	return total, nil
}

// columnsOf returns the values of each column.
func columnsOf(x *tensor.Tensor) []map[float64]bool {
	width := x.Shape()[1]
	columns := make([]map[float64]bool, width)
	for i := range columns {
		columns[i] = map[float64]bool{}
	}
	add := func(i int, v float64) { columns[i%width][v] = true }
	for i, v := range tensor.Of[float32](x) {
		add(i, float64(v))
	}
	for i, v := range tensor.Of[float64](x) {
		add(i, v)
	}
	for i, v := range tensor.Of[int64](x) {
		add(i, float64(v))
	}
	return columns
}

func standsOn(present []map[float64]bool, x *tensor.Tensor, c comparison) error {
	for _, v := range beside(x.DType(), c.threshold) {
		if !present[c.feature][v] {
			return fmt.Errorf("no row has %v, by the threshold %v", v, c.threshold)
		}
	}
	return nil
}

// beside returns the values of a type below, on and above a threshold.
func beside(of tensor.DType, t float64) []float64 {
	switch of { //nolint:exhaustive // features of trees are floats or integers
	case tensor.Float32:
		f := float32(t)
		down, up := math.Nextafter32(f, float32(math.Inf(-1))), math.Nextafter32(f, float32(math.Inf(1)))
		return []float64{float64(down), float64(f), float64(up)}
	case tensor.Float64:
		return []float64{math.Nextafter(t, math.Inf(-1)), t, math.Nextafter(t, math.Inf(1))}
	default:
		return []float64{math.Ceil(t) - 1, math.Floor(t), math.Floor(t) + 1}
	}
}

// comparisonsOn returns what the trees compare that read an input as it is.
func comparisonsOn(m *onnx.Model, input string) map[comparison]bool {
	from := map[string]string{}
	all := map[comparison]bool{}
	for _, n := range m.Graph.Nodes {
		source := n.Inputs
		if len(source) == 0 {
			continue
		}
		name := source[0]
		if earlier, ok := from[name]; ok {
			name = earlier
		}
		switch n.Op {
		case "Identity", "Cast":
			from[n.Outputs[0]] = name
		case "TreeEnsembleClassifier", "TreeEnsembleRegressor":
			if name == input {
				collect(n, all)
			}
		}
	}
	return all
}

// collect adds the comparisons of an ensemble's nodes.
func collect(n *onnx.Node, all map[comparison]bool) {
	var features []int64
	var modes []string
	var values []float64
	for i := range n.Attributes {
		switch a := &n.Attributes[i]; a.Name {
		case "nodes_featureids":
			features = a.Ints
		case "nodes_modes":
			modes = a.Strings
		case "nodes_values":
			for _, v := range a.Floats {
				values = append(values, float64(v))
			}
		case "nodes_values_as_tensor":
			values = append(values, tensor.Of[float64](a.Tensor)...)
		}
	}
	for i, mode := range modes {
		if mode != "LEAF" {
			all[comparison{features[i], values[i]}] = true
		}
	}
}
