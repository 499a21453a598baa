package exec

import (
	"fmt"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/ops"
	"onnxgate/internal/tensor"
)

// DrawTree returns one tree of a model as lines of text. Trees are counted from
// 0 through all ensembles of the graph. features names the columns of the
// graph's only input, where an ensemble reads that; labels the classes, where
// they are as many.
func DrawTree(m *onnx.Model, tree int, features, labels []string) (string, error) {
	opsets := versions(m.Opsets)
	trees := 0
	for i, n := range m.Graph.Nodes {
		forest, targets, err := ops.ReadTrees(n, opsets[n.Domain])
		if err != nil {
			return "", fault.Newf(fault.Content, "%s: %v", n.Label(i), err)
		}
		if forest == nil {
			continue
		}
		if tree-trees < forest.Trees() && tree >= trees {
			named := len(m.Graph.Inputs) == 1 && len(n.Inputs) > 0 && n.Inputs[0] == m.Graph.Inputs[0].Name
			return forest.Draw(tree-trees, featureNames(features, named), targetNames(targets, labels))
		}
		trees += forest.Trees()
	}
	if trees == 0 {
		return "", fault.New(fault.Content, "the model has no trees")
	}
	return "", fault.Newf(fault.Content, "there is no tree %d; the model has the trees 0 to %d", tree, trees-1)
}

func featureNames(names []string, named bool) func(int) string {
	return func(i int) string {
		if named && i < len(names) {
			return names[i]
		}
		return fmt.Sprintf("x[%d]", i)
	}
}

func targetNames(own *tensor.Tensor, labels []string) func(int) string {
	return func(i int) string {
		switch {
		case own == nil:
			return ""
		case own.Len() == len(labels) && i < len(labels):
			return labels[i]
		}
		if texts := tensor.Of[string](own); i < len(texts) {
			return texts[i]
		}
		if numbers := tensor.Of[int64](own); i < len(numbers) {
			return fmt.Sprint(numbers[i])
		}
		return fmt.Sprint(i)
	}
}
