"""Write the tables of docs/exporting.md from what building the zoo measured.

    python report.py ZOO PAGE [--check]

A finding explains models whose answers differ from their library's, or which
cannot be had. A model that differs without a finding fails, and so does a
finding that no model needs any more. --check compares and writes nothing.
"""

import argparse
import fnmatch
import json
import pathlib
import sys

# Models, what is exported, what differs, what to do.
DIFFER = [
    (["xgboost_classifier_softmax"], "XGBoost, `multi:softmax`", "scores are not probabilities; labels are right", "train with `multi:softprob`, the default"),
    (["xgboost_random_forest_classifier"], "XGBRFClassifier, more than two classes", "labels and scores are wrong", "use scikit-learn's RandomForestClassifier"),
    (["xgboost_regressor_of_three"], "XGBRegressor, several targets", "one target is answered for all", "train `MultiOutputRegressor(XGBRegressor())`"),
    (["xgboost_regressor_quantiles"], "XGBRegressor, several quantiles", "one is answered for all", "train a model for each quantile"),
    (["xgboost_regressor_logistic"], "XGBRegressor, `reg:logistic`", "the last step, the logistic function, is lost", "use XGBClassifier"),
    (["lightgbm_classifier_ova"], "LightGBM, `multiclassova`", "scores are scaled otherwise; labels are right", "train with `multiclass`"),
    (["lightgbm_*_random_forest"], "LightGBM, `boosting_type=\"rf\"`", "trees are added, not averaged", "use scikit-learn's forests"),
    (["lightgbm_classifier_zero_as_missing"], "LightGBM, `zero_as_missing`", "zeros take another branch", "replace zeros by NaN before training and before each call"),
    (["lightgbm_regressor_linear_trees"], "LightGBM, `linear_tree`", "the lines in the leaves are lost", "train without it"),
    (["catboost_classifier_ova"], "CatBoost, `MultiClassOneVsAll`", "scores are scaled otherwise; labels are right", "train with `MultiClass`"),
    (["catboost_classifier_of_marks"], "CatBoost, `MultiLogloss`", "there are no labels of several classes", "train a model for each label"),
    (["catboost_regressor_poisson", "catboost_regressor_tweedie"], "CatBoost, Poisson and Tweedie", "the last step, exp, is lost", "apply exp to the answer"),
    (["hist_*_objective_regressor"], "HistGradientBoostingRegressor, poisson and gamma", "the last step, exp, is lost", "apply exp to the answer"),
    (["nearest_neighbours_by_distance_*"], "nearest neighbours, `weights=\"distance\"`", "neighbours are weighed otherwise", "use `weights=\"uniform\"`"),
    (["nearest_neighbours_of_*", "nearest_neighbours_regressor_of_integers"], "nearest neighbours at equal distances", "another of them is taken", "expect it: both answers are right"),
    (["sgd_modified_huber_classifier"], "SGDClassifier, `modified_huber`, several classes", "labels are those of the scores, which are cut off at 0 and 1", "train with `log_loss`"),
    (["tuned_threshold_*"], "TunedThresholdClassifierCV", "the threshold is 0.5 again", "compare the score with the threshold yourself"),
    (["tree_missing", "forest_missing"], "scikit-learn's trees and forests, features missing", "NaN takes another branch", "put a SimpleImputer before them, or use HistGradientBoosting"),
    (["recursive_elimination_*"], "RFE and RFECV", "only the selection is exported, no prediction", "train the final model on `support_` and export that"),
    (["*svc_*_two", "svc_two_far_integers", "svc_booleans"], "SVC and NuSVC, two classes, decision values", "the two columns are exchanged; labels are right", "train with `probability=True`, or go by the label"),
    (["*_nocl"], "option `nocl`", "labels are positions, as asked for", "name the labels in `model.yaml`"),
    (["linear_discriminant_classifier_two"], "linear models of features of very different size", "float32 sums are not exact enough", "put a StandardScaler first"),
    (["table_forest*", "table_hist_boosting", "table_of_every_type", "table_voting", "table_stacking", "piped_xgboost*"],
     "trees behind a scaler or a table of float64", "a value beside a threshold takes the other branch, since the export computes in float32",
     "train on float32 columns, with a `CastTransformer` of skl2onnx after each scaler"),
    (["text_*"], "CountVectorizer and TfidfVectorizer, default `token_pattern`", "single letters and text with marks are split otherwise",
     "set `token_pattern=\"[a-zA-Z0-9_]+\"`, which exports as it is"),
    (["local_outlier_factor_cdist", "gaussian_process_*"], "Gaussian processes and distances", "float32 is not exact enough", "export with float64 columns"),
    (["mlp_of_three"], "MLPRegressor, several targets", "answers come as one column", "train `MultiOutputRegressor(MLPRegressor())`"),
]

# Models, what is exported, what comes of it, what to do.
REFUSED = [
    (["gaussian_process_classifier*"], "GaussianProcessClassifier", "more than two classes or text labels do not export; the others need an operator that exists nowhere", "use another model"),
    (["radius_neighbours*"], "radius neighbours", "the file fails in ONNX Runtime", "use KNeighbors"),
    (["one_vs_one_classifier_two"], "OneVsOneClassifier, text labels", "the file does not load", "train with integers"),
    (["*_of_marks"], "several labels for each row", "ZipMap has no form for it", "export with `options={\"zipmap\": False}`; XGBoost: a model for each label"),
    (["quantile_normal"], "QuantileTransformer to a normal distribution", "does not export", "use the uniform one, or PowerTransformer"),
    (["one_hot_infrequent"], "OneHotEncoder with infrequent categories", "does not export", "merge them before"),
    (["isolation_forest", "isolation_forest_of_some_features"], "IsolationForest", "needs an older operator set, and all features", "export with `target_opset={\"\": 22, \"ai.onnx.ml\": 3}`"),
    (["knn_imputer_by_distance", "table_knn_imputed"], "KNNImputer", "weights by distance do not export; some files fail in ONNX Runtime", "use SimpleImputer"),
    (["simple_imputer_of_integers"], "SimpleImputer of integers", "does not export", "make the column float32"),
    (["table_imputed_indicator"], "SimpleImputer with `add_indicator`", "the indicators are lost, and the file fails", "add them as columns of your own"),
    (["*_double*", "power_yeo_johnson_double"], "columns of float64", "trees, SVM and tables of mixed types do not load", "export with float32: `X.astype(np.float32)`"),
    (["gaussian_process_cov"], "Gaussian process, `return_cov`", "does not export", "use `return_std`"),
    (["neighbours_cdist_manhattan"], "nearest neighbours, `cdist`, manhattan", "the file does not load", "leave `optim` out"),
    (["*_of_int32"], "columns of int32", "do not export", "use int64 or float32"),
    (["text_counts_within_words"], "text by `char_wb`", "does not export", "use `char` or words"),
    (["xgboost_classifier_logitraw"], "XGBoost, `binary:logitraw`", "does not export", "train with `binary:logistic`"),
    (["xgboost_*_dart", "xgboost_*_linear"], "XGBoost, `dart` and `gblinear`", "do not export", "train with `gbtree`"),
    (["xgboost_regressor_of_vectors"], "XGBoost, `multi_output_tree`", "does not export", "train `MultiOutputRegressor(XGBRegressor())`"),
    (["xgboost_ranker"], "XGBRanker", "does not export", "use LightGBM's or CatBoost's"),
    (["lightgbm_classifier_cross_entropy", "lightgbm_regressor_fair", "lightgbm_regressor_mape"], "LightGBM, `cross_entropy`, `fair`, `mape`", "do not export", "train with `binary`, `huber`, `regression_l1`"),
    (["catboost_classifier_depthwise", "catboost_classifier_lossguide"], "CatBoost, other trees than symmetric ones", "do not export", "leave `grow_policy` out"),
    (["catboost_regressor_of_three"], "CatBoost, `MultiRMSE`", "the file does not load", "train a model for each target"),
]


def far(line):
    """Report whether a model's answers differ by more than rounding."""
    return any(c.get("far", c["differ"]) for c in line.get("library", []))


def measured(lines):
    """Return the worst of what some models measured, in words."""
    labels = max((c["differ"] / c["labels"] for line in lines for c in line["library"] if "labels" in c and not c.get("absent")), default=0)
    values = max((c["most"] for line in lines for c in line["library"] if "most" in c), default=0)
    absent = any(c.get("absent") for line in lines for c in line["library"])
    parts = (["no such output"] if absent else []) + ([f"{labels:.0%} of labels"] if labels else []) + ([f"scores by {values:.2g}"] if values > 1e-3 else [])
    return ", ".join(parts)


def explained(lines, findings):
    """Return (finding, its models), and fail when they do not fit together."""
    left, out = {line["name"]: line for line in lines}, []
    for finding in findings:
        mine = [left.pop(n) for n in sorted(left) if any(fnmatch.fnmatchcase(n, p) for p in finding[0])]
        if not mine:
            sys.exit(f"no model needs the finding on {finding[1]} any more")
        out.append((finding, mine))
    if left:
        sys.exit(f"no finding explains {', '.join(left)}")
    return out


def tables(zoo):
    zoo = [line for line in zoo if line["group"] != "drawn"]
    built = [line for line in zoo if "library" in line]
    differ, refused = [line for line in built if far(line)], [line for line in zoo if "refused" in line]
    groups = sorted({line["group"] for line in zoo})
    rows = ["| library | models | agree | differ | cannot be had |", "|---|---|---|---|---|"]
    for g in groups:
        mine = [line for line in zoo if line["group"] == g]
        bad, none = sum(line in differ for line in mine), sum("refused" in line for line in mine)
        rows.append(f"| {g} | {len(mine)} | {len(mine) - bad - none} | {bad} | {none} |")
    yield "agreement", rows
    rows = ["| export | what differs | by as much as | what to do |", "|---|---|---|---|"]
    for (_, what, how, do), mine in explained(differ, DIFFER):
        rows.append(f"| {what} | {how} | {measured(mine)} | {do} |")
    yield "differences", rows
    rows = ["| export | what comes of it | what to do |", "|---|---|---|"]
    for (_, what, how, do), _mine in explained(refused, REFUSED):
        rows.append(f"| {what} | {how} | {do} |")
    yield "refusals", rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zoo", type=pathlib.Path)
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    old = page = args.page.read_text(encoding="utf-8")
    for name, rows in tables(json.loads((args.zoo / "zoo.json").read_text(encoding="utf-8"))):
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        head, rest = page.split(begin)
        page = head + begin + "\n".join(rows) + "\n" + end + rest.split(end)[1]
    if args.check and page != old:
        sys.exit(f"{args.page} is not what the zoo measured; write it by scripts/zoo/report.py")
    if not args.check:
        args.page.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
