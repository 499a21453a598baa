package exports

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"onnxgate/internal/onnx"
)

// unvotedTargets finds XGBoost's regressors of several targets or quantiles:
// the export keeps their number and gives every tree to the first.
func unvotedTargets(g *graph) []string {
	return g.each(func(n *onnx.Node) string {
		targets, voted := attribute(n, "n_targets").Int, distinct(attribute(n, "target_ids").Ints)
		if targets <= int64(voted) || voted == 0 {
			return ""
		}
		return fmt.Sprintf("%s has %d targets, and its trees answer %d of them: exports of XGBRegressor with several targets or quantiles lose the others; "+
			"train MultiOutputRegressor(XGBRegressor()), or a model for each quantile", where(n), targets, voted)
	}, "TreeEnsembleRegressor")
}

// sumsForProbabilities finds XGBoost's multi:softmax, whose trees are added up
// and no more. XGBoost is known by its strict comparisons.
func sumsForProbabilities(g *graph) []string {
	return g.each(func(n *onnx.Node) string {
		transform := attribute(n, "post_transform").String
		negative := slices.ContainsFunc(attribute(n, "class_weights").Floats, func(w float32) bool { return w < 0 })
		if labels(n) < 3 || transform != "" && transform != "NONE" || !strict(n) || !negative {
			return ""
		}
		return where(n) + " gives sums of its trees as scores, which are no probabilities, as exports of XGBoost's multi:softmax do; train with multi:softprob"
	}, "TreeEnsembleClassifier")
}

// strict reports whether an ensemble compares as XGBoost does.
func strict(n *onnx.Node) bool {
	return !slices.ContainsFunc(attribute(n, "nodes_modes").Strings, func(mode string) bool { return mode != "BRANCH_LT" && mode != "LEAF" })
}

// parallelTrees finds XGBClassifier of two classes with two trees in each round,
// of which the export gives the second to the other class: what one class begins
// with is then that of both.
func parallelTrees(g *graph) []string {
	return g.each(func(n *onnx.Node) string {
		base := attribute(n, "base_values").Floats
		if labels(n) != 2 || attribute(n, "post_transform").String != "SOFTMAX" || !strict(n) || len(base) != 2 || base[0] != base[1] {
			return ""
		}
		return where(n) + " gives each second tree to the other class, as exports of XGBClassifier with num_parallel_tree do; leave num_parallel_tree out, or use XGBRFClassifier"
	}, "TreeEnsembleClassifier")
}

// dividedTrees finds LightGBM's random forests. Their average is exported as a
// division by another number than that of the trees, and of a classifier behind
// the logistic function in place of before it.
func dividedTrees(g *graph) []string {
	return g.each(func(n *onnx.Node) string {
		by, ok := g.number(n, 1)
		trees := g.maker(n)
		if trees.Op == "ArrayFeatureExtractor" {
			trees = g.maker(trees)
		}
		regressor := trees.Op == "TreeEnsembleRegressor" && float32(distinct(attribute(trees, "target_treeids").Ints)) != by
		if !ok || !regressor && trees.Op != "TreeEnsembleClassifier" {
			return ""
		}
		return fmt.Sprintf("%s divides what %s answers by %v, as exports of LightGBM's boosting_type=\"rf\" do, which do not average the trees; "+
			"use scikit-learn's forests", where(n), where(trees), by)
	}, "Div")
}

// lostBranches finds scikit-learn's own trees, known by their comparisons, that
// are given missing values: the export does not say which branch those take.
func lostBranches(g *graph) []string {
	if !g.missing {
		return nil
	}
	return g.each(func(n *onnx.Node) string {
		tracked := slices.ContainsFunc(attribute(n, "nodes_missing_value_tracks_true").Ints, func(track int64) bool { return track != 0 })
		other := slices.ContainsFunc(attribute(n, "nodes_modes").Strings, func(mode string) bool { return mode != "BRANCH_LEQ" && mode != "LEAF" })
		if tracked || other || g.maker(n).Op != "" {
			return ""
		}
		return where(n) + " sends missing values (nullable in model.yaml) down the false branch everywhere, as exports of scikit-learn's trees and forests do, whatever they were trained with; " +
			"put a SimpleImputer before them, or use HistGradientBoosting"
	}, "TreeEnsembleRegressor", "TreeEnsembleClassifier")
}

// lostByCatBoost are the losses whose last step CatBoost does not export, with
// what becomes of it and what to do.
var lostByCatBoost = map[string]string{
	"MultiClassOneVsAll": "its scores are scaled otherwise in the export; train with MultiClass",
	"MultiLogloss":       "the export answers one class in place of several labels; train a model for each label",
	"Poisson":            "the export lacks the last step, exp; apply exp to the answers",
	"Tweedie":            "the export lacks the last step, exp; apply exp to the answers",
}

// catBoostLoss reads the loss from what CatBoost writes beside the graph.
func catBoostLoss(g *graph) []string {
	if g.Producer != "CatBoost" {
		return nil
	}
	var found []string
	for _, loss := range catBoostLosses(g.Metadata) {
		loss, _, _ = strings.Cut(loss, ":")
		if lost := lostByCatBoost[loss]; lost != "" {
			found = append(found, fmt.Sprintf("CatBoost trained it with the loss %s, and %s", loss, lost))
		}
	}
	return found
}

// catBoostLosses returns the loss that the parameters name, else the metrics of
// the training, the loss among them.
func catBoostLosses(metadata []onnx.Property) []string {
	var params struct {
		Loss struct {
			Type string `json:"type"`
		} `json:"loss_function"`
	}
	var training struct {
		Metrics struct {
			Best map[string]json.RawMessage `json:"learn_best_error"`
		} `json:"metrics"`
	}
	for _, p := range metadata {
		switch p.Key {
		case "params":
			_ = json.Unmarshal([]byte(p.Value), &params) // what cannot be read tells nothing
		case "training":
			_ = json.Unmarshal([]byte(p.Value), &training) // the same
		}
	}
	if params.Loss.Type != "" {
		return []string{params.Loss.Type}
	}
	var losses []string
	for name := range training.Metrics.Best {
		losses = append(losses, name)
	}
	slices.Sort(losses)
	return losses
}
