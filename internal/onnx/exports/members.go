package exports

import (
	"slices"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// Classifiers of classifiers: what their exports take of a member is at times not
// what scikit-learn takes.

// countedRows finds BaggingClassifier of members without probabilities. Votes are
// of the shape [members, rows, classes], and the export adds those of the rows.
func countedRows(g *graph) []string {
	return g.each(func(n *onnx.Node) string {
		equal := g.maker(g.maker(n))
		classes, axes := g.constant(equal, 0), g.constant(n, 1)
		if equal.Op != "Equal" || classes == nil || len(classes.Shape()) != 3 || axes == nil || !slices.Equal(tensor.Of[int64](axes), []int64{1}) {
			return ""
		}
		return where(n) + " adds the votes of all rows instead of those of all members, as exports of BaggingClassifier do whose members have no probabilities; " +
			"export with target_opset={\"\": 12, \"ai.onnx.ml\": 2}"
	}, "ReduceSum")
}

// chosenMembers finds VotingClassifier and AdaBoostClassifier that take another
// class than a member gives: that of one column, which is always the first, and
// that of SVC's probabilities, which are calibrated apart from its labels.
func chosenMembers(g *graph) []string {
	return first(g.each(func(n *onnx.Node) string {
		from := g.maker(n)
		if from.Op == "ArrayFeatureExtractor" && g.maker(from).Op == "LinearClassifier" {
			return where(n) + " takes the first class of a member whatever it answers, as exports of VotingClassifier and AdaBoostClassifier over LinearSVC and RidgeClassifier do with two classes; " +
				"use LogisticRegression as the member"
		}
		if svm := g.origin(n.Inputs, "Cast"); svm.Op == "SVMClassifier" && sure(svm) {
			return where(n) + " takes the class with the highest probability of " + where(svm) + ", which is not always SVC's label, as exports of VotingClassifier (hard) and AdaBoostClassifier do; " +
				"use voting=\"soft\", or another member"
		}
		return ""
	}, "ArgMax"))
}

// decisionsForProbabilities finds OneVsRestClassifier of LinearSVC, whose decision
// values are held to 0.5, or divided by their sum.
func decisionsForProbabilities(g *graph) []string {
	return g.each(func(n *onnx.Node) string {
		decides := func(input string) bool {
			made := g.origin([]string{input}, "ArrayFeatureExtractor", "Slice", "Cast", "Identity")
			transform := attribute(made, "post_transform").String
			return made.Op == "LinearClassifier" && (transform == "" || transform == "NONE")
		}
		taken := len(n.Outputs) == 1 && slices.ContainsFunc(g.users[n.Outputs[0]], func(user *onnx.Node) bool {
			return slices.Contains([]string{"Sub", "Div", "LpNormalization", "Normalizer"}, user.Op)
		})
		if !taken || slices.ContainsFunc(n.Inputs, func(input string) bool { return !decides(input) }) {
			return ""
		}
		return where(n) + " takes decision values for probabilities, as exports of OneVsRestClassifier over LinearSVC do: scores differ, and with two classes or several labels the labels do, too; " +
			"use LinearSVC by itself, or LogisticRegression in OneVsRestClassifier"
	}, "Concat")
}

// calibratedProbabilities finds CalibratedClassifierCV whose calibration was
// trained on decision values and is given probabilities.
func calibratedProbabilities(g *graph) []string {
	return first(g.each(func(n *onnx.Node) string {
		product := g.maker(g.maker(n))
		if product.Op != "Mul" || len(product.Inputs) != 2 {
			return ""
		}
		column := g.makers[product.Inputs[1]]
		if column == nil || column.Op != "ArrayFeatureExtractor" {
			return ""
		}
		scores := g.origin(column.Inputs, "Cast", "Identity", "Mul")
		if !g.probable(scores) {
			return ""
		}
		return where(scores) + " gives probabilities that are calibrated as if they were decision values, as exports of CalibratedClassifierCV over LGBMClassifier, SVC(probability=True) and QuadraticDiscriminantAnalysis do; " +
			"leave probability out, or calibrate VotingClassifier([(\"m\", model)], voting=\"soft\", flatten_transform=False)"
	}, "Exp"))
}

// probable reports whether a node gives probabilities of a classifier that has
// decision values in Python: LGBMClassifier, SVC or QuadraticDiscriminantAnalysis.
func (g *graph) probable(n *onnx.Node) bool {
	switch n.Op {
	case "SVMClassifier":
		return sure(n)
	case "TreeEnsembleClassifier":
		transform := attribute(n, "post_transform").String
		return (transform == "SOFTMAX" || transform == "LOGISTIC") && !strict(n)
	case "Div":
		likelihood := g.maker(n)
		shifted := g.maker(likelihood)
		if likelihood.Op != "Exp" || shifted.Op != "Sub" || len(shifted.Inputs) != 2 {
			return false
		}
		greatest := g.makers[shifted.Inputs[1]]
		return greatest != nil && greatest.Op == "ReduceMax"
	}
	return false
}

// nearestSteps finds an isotonic calibration, of which the export takes the
// nearest step. A single tree gives no value between two.
func nearestSteps(g *graph) []string {
	return first(g.each(func(n *onnx.Node) string {
		if len(n.Inputs) != 2 || g.constant(n, 0) == nil {
			return ""
		}
		nearest := g.makers[n.Inputs[1]]
		if nearest == nil || nearest.Op != "ArgMin" {
			return ""
		}
		distance := g.maker(g.maker(nearest))
		if g.maker(nearest).Op != "Abs" || distance.Op != "Sub" || g.constant(distance, 1) == nil {
			return ""
		}
		scores := g.origin(distance.Inputs, "Reshape", "Clip", "ArrayFeatureExtractor", "Cast")
		if scores.Op == "TreeEnsembleClassifier" && distinct(attribute(scores, "nodes_treeids").Ints) == 1 {
			return ""
		}
		return where(n) + " takes the nearest step of an isotonic calibration, where scikit-learn interpolates; train CalibratedClassifierCV with method=\"sigmoid\""
	}, "ArrayFeatureExtractor"))
}

// turnedProbabilities finds SVC(probability=True) of two classes that was exported
// with raw scores: they are its probabilities with another sign.
func turnedProbabilities(g *graph) []string {
	return g.each(func(n *onnx.Node) string {
		svm := g.origin(n.Inputs, "Cast")
		if svm.Op != "SVMClassifier" || !sure(svm) || len(n.Outputs) != 1 || !g.answered(n.Outputs[0]) {
			return ""
		}
		return where(n) + " gives the probabilities of " + where(svm) + " the opposite sign, as exports of SVC(probability=True) with the option raw_scores do; export it without that option"
	}, "Mul")
}

// sure reports whether an SVMClassifier gives probabilities.
func sure(n *onnx.Node) bool { return len(attribute(n, "prob_a").Floats) > 0 }

// origin returns the node that makes the first of some values, past those of some
// operators that hand it on; a node of no operator when none does.
func (g *graph) origin(values []string, past ...string) *onnx.Node {
	const far = 6 // exporters put fewer between
	for range far {
		if len(values) == 0 || g.makers[values[0]] == nil {
			break
		}
		made := g.makers[values[0]]
		if !slices.Contains(past, made.Op) {
			return made
		}
		values = made.Inputs
	}
	return &onnx.Node{}
}

// first returns the first finding alone: those of the other members are the same.
func first(found []string) []string { return found[:min(len(found), 1)] }
