package exports

import (
	"fmt"
	"slices"
	"strings"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// tunedThreshold finds TunedThresholdClassifierCV by the names that its
// converter gives: the threshold is not in the file.
func tunedThreshold(g *graph) []string {
	for name := range g.makers {
		if strings.HasPrefix(name, "label_tuned") {
			return []string{"the labels are those of a TunedThresholdClassifierCV, whose threshold is not in the export: it is 0.5 again; " +
				"compare the score with the threshold yourself"}
		}
	}
	return nil
}

// neighboursByDistance finds nearest neighbours that are weighed by 1/distance.
func neighboursByDistance(g *graph) []string {
	return g.each(func(n *onnx.Node) string {
		from := g.maker(n)
		for range 3 { // bounds that keep zero out
			if from.Op != "Max" && from.Op != "Mul" && from.Op != "Clip" && from.Op != "Add" {
				break
			}
			from = g.maker(from)
		}
		if from.Op != "TopK" {
			return ""
		}
		return where(n) + " weighs neighbours by their distance, and exports of weights=\"distance\" weigh them otherwise than scikit-learn; use weights=\"uniform\""
	}, "Reciprocal")
}

// clippedScores finds SGDClassifier with modified_huber and three classes or
// more: the export's labels are those of the clipped scores, of which several
// are 1 at times.
func clippedScores(g *graph) []string {
	return g.each(func(n *onnx.Node) string {
		low, high := g.bound(n, 1, "min"), g.bound(n, 2, "max")
		sum := g.maker(n)
		product := g.maker(sum)
		if low != -1 || high != 1 || sum.Op != "Add" || product.Op != "MatMul" || columns(g.constant(product, 1)) < 3 {
			return ""
		}
		return where(n) + " cuts the scores of the classes off at -1 and 1, as exports of SGDClassifier with modified_huber do, whose labels then differ; train with log_loss"
	}, "Clip")
}

// bound returns a bound of Clip, 0 when there is none.
func (g *graph) bound(n *onnx.Node, input int, name string) float32 {
	if v, ok := g.number(n, input); ok {
		return v
	}
	return attribute(n, name).Float
}

// columns is the second extent of a matrix, 0 for anything else.
func columns(t *tensor.Tensor) int {
	if t == nil || len(t.Shape()) != 2 {
		return 0
	}
	return t.Shape()[1]
}

// selectionAlone finds a graph that only passes columns on, which is all that
// the exports of RFE and RFECV do.
func selectionAlone(g *graph) []string {
	selects := false
	for _, n := range g.Graph.Nodes {
		if n.Op != "ArrayFeatureExtractor" && n.Op != "Identity" {
			return nil
		}
		selects = selects || n.Op == "ArrayFeatureExtractor"
	}
	if !selects {
		return nil
	}
	return []string{"the model passes some of its columns on and predicts nothing; of RFE and RFECV the export has the selection alone: " +
		"train the final model on support_ and export that"}
}

// flattenedTargets finds MLPRegressor with several targets, whose answers the
// export puts into one column.
func flattenedTargets(g *graph) []string {
	return g.each(func(n *onnx.Node) string {
		shape := g.constant(n, 1)
		sum := g.maker(n)
		product := g.maker(sum)
		targets := columns(g.constant(product, 1))
		if shape == nil || !slices.Equal(tensor.Of[int64](shape), []int64{-1, 1}) || len(n.Outputs) != 1 || !g.outputs[n.Outputs[0]] ||
			sum.Op != "Add" || product.Op != "MatMul" || targets < 2 {
			return ""
		}
		return fmt.Sprintf("%s puts %d targets of each row into one column, as exports of MLPRegressor do; train MultiOutputRegressor(MLPRegressor())", where(n), targets)
	}, "Reshape")
}

// greatestNumber finds Normalizer("max"), which scikit-learn computes of absolute
// values. Behind MinMaxScaler(clip=True) there are no negative ones.
func greatestNumber(g *graph) []string {
	return g.each(func(n *onnx.Node) string {
		if norm := attribute(n, "norm").String; norm != "" && norm != "MAX" || g.maker(n).Op == "Clip" {
			return ""
		}
		return where(n) + " divides each row by its greatest number, where scikit-learn's Normalizer(\"max\") divides by the greatest absolute value: " +
			"rows with negative numbers differ; use norm=\"l2\", or put MinMaxScaler(clip=True) first"
	}, "Normalizer")
}

// exchangedColumns finds SVC and NuSVC of two classes without probabilities:
// their decision values have the other sign, unless the export is asked for raw
// scores, which turns them. What else is made of them is wrong.
func exchangedColumns(g *graph) []string {
	combined := false
	found := g.each(func(n *onnx.Node) string {
		if labels(n) != 2 || sure(n) || len(n.Outputs) != 2 || g.turned(n.Outputs[1]) || !g.used(n.Outputs[1]) {
			return ""
		}
		combined = combined || !g.answered(n.Outputs[0])
		return where(n)
	}, "SVMClassifier")
	if len(found) == 0 {
		return nil
	}
	const what = " of two classes gives decision values in exchanged columns, as exports of SVC and NuSVC do; "
	if combined || len(found) > 1 {
		return []string{found[0] + what + "other values are made of them here, and may be wrong, labels too: use SVC by itself, or train with probability=True and compare"}
	}
	return []string{found[0] + what + "the labels are right: go by the label, or train with probability=True"}
}

// answered reports whether a value, or what a Cast makes of it, is an output.
func (g *graph) answered(name string) bool {
	return g.outputs[name] || slices.ContainsFunc(g.users[name], func(user *onnx.Node) bool {
		return (user.Op == "Cast" || user.Op == "Identity") && len(user.Outputs) == 1 && g.outputs[user.Outputs[0]]
	})
}

// used reports whether a value, or what a Cast makes of it, goes anywhere.
func (g *graph) used(name string) bool {
	return g.outputs[name] || slices.ContainsFunc(g.users[name], func(user *onnx.Node) bool {
		return user.Op != "Cast" || len(user.Outputs) == 1 && (g.outputs[user.Outputs[0]] || len(g.users[user.Outputs[0]]) > 0)
	})
}

// turned reports whether a value, or what a Cast makes of it, gets another sign.
func (g *graph) turned(name string) bool {
	turns := func(n *onnx.Node) bool { return n.Op == "Mul" || n.Op == "Neg" }
	for _, user := range g.users[name] {
		if turns(user) || user.Op == "Cast" && len(user.Outputs) == 1 && slices.ContainsFunc(g.users[user.Outputs[0]], turns) {
			return true
		}
	}
	return false
}
