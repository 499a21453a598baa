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
    (["xgboost_random_forest_classifier", "xgboost_classifier_parallel*"], "XGBRFClassifier, more than two classes; XGBClassifier with `num_parallel_tree`",
     "trees vote for the wrong classes", "use scikit-learn's RandomForestClassifier, or leave `num_parallel_tree` out"),
    (["xgboost_regressor_of_three"], "XGBRegressor, several targets", "one target is answered for all", "train `MultiOutputRegressor(XGBRegressor())`"),
    (["xgboost_regressor_quantiles"], "XGBRegressor, several quantiles", "one is answered for all", "train a model for each quantile"),
    (["xgboost_regressor_logistic"], "XGBRegressor, `reg:logistic`", "the last step, the logistic function, is lost", "use XGBClassifier"),
    (["xgboost_regressor_cox"], "XGBRegressor, `survival:cox`", "the last step, exp, is lost; the order of the answers is right", "train with `base_score=1.0`, and take exp(answer − 1)"),
    (["lightgbm_classifier_ova"], "LightGBM, `multiclassova`", "scores are scaled otherwise; labels are right", "train with `multiclass`"),
    (["lightgbm_*_random_forest"], "LightGBM, `boosting_type=\"rf\"`", "trees are added, not averaged", "use scikit-learn's forests"),
    (["lightgbm_classifier_zero_as_missing"], "LightGBM, `zero_as_missing`", "zeros take another branch", "replace zeros by NaN before training and before each call"),
    (["lightgbm_regressor_linear_trees"], "LightGBM, `linear_tree`", "the lines in the leaves are lost", "train without it"),
    (["lightgbm_regressor_square_root"], "LightGBM, `reg_sqrt`", "the last step, the square, is lost", "multiply the answer by its absolute value"),
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
    (["calibrated_lightgbm*", "calibrated_svc_probability*", "calibrated_quadratic_discriminant"], "CalibratedClassifierCV of LGBMClassifier, SVC with `probability=True`, QuadraticDiscriminantAnalysis",
     "the calibration of decision values is applied to probabilities", "SVC: leave `probability` out; the others: calibrate `VotingClassifier([(\"m\", model)], voting=\"soft\", flatten_transform=False)`"),
    (["calibrated_isotonic_*"], "CalibratedClassifierCV, `method=\"isotonic\"`", "the nearest step is taken instead of a value between two", "use `method=\"sigmoid\"`"),
    (["bagging_of_*"], "BaggingClassifier of SVC, LinearSVC and others without probabilities", "votes are added over the rows instead of the members, so there is one answer per member, not per row",
     "export with `target_opset={\"\": 12, \"ai.onnx.ml\": 2}`, or use SVC with `probability=True`"),
    (["voting_of_*svc_two", "ada_boost_of_*svc_two"], "VotingClassifier (`hard`) and AdaBoostClassifier of SVC and LinearSVC, two classes", "the export takes another class than a member predicts",
     "use LogisticRegression as the member, or SVC with `probability=True` in a soft vote"),
    (["voting_of_svc_probability_two", "ada_boost_of_svc_probability"], "VotingClassifier (`hard`) and AdaBoostClassifier of SVC with `probability=True`", "the export takes the class with the highest probability, which is not always SVC's label",
     "use `voting=\"soft\"`, or another member"),
    (["one_vs_rest_of_svc*"], "OneVsRestClassifier of SVC and NuSVC", "decision values have the opposite sign: almost every label is wrong", "use SVC alone, or for several labels `MultiOutputClassifier(SVC(probability=True))`"),
    (["one_vs_rest_of_linear_svc*"], "OneVsRestClassifier of LinearSVC", "decision values are taken for probabilities: with two classes or several labels they are compared with 0.5 instead of 0", "use LinearSVC alone; for several labels LogisticRegression in OneVsRestClassifier"),
    (["one_vs_one_of_svc_two"], "OneVsOneClassifier, two classes", "scores differ; labels are right", "use the classifier in it alone"),
    (["normalizer_max_of_negatives"], "Normalizer, `norm=\"max\"`, negative numbers", "rows are divided by the greatest number, not by the greatest absolute value", "use `norm=\"l2\"`, or put `MinMaxScaler(clip=True)` first"),
    (["svc_probability_raw_scores_two"], "SVC with `probability=True`, two classes, option `raw_scores`", "probabilities have the opposite sign", "leave the option out"),
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
    (["stacking_of_*svc_two"], "StackingClassifier of SVC and LinearSVC, two classes", "the file fails in ONNX Runtime", "use SVC with `probability=True`, or LogisticRegression"),
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
    (["xgboost_classifier_parallel_four"], "XGBoost, two classes and `num_parallel_tree` above 2", "the file does not load", "leave `num_parallel_tree` out, or use XGBRFClassifier"),
    (["xgboost_*_dart", "xgboost_*_linear"], "XGBoost, `dart` and `gblinear`", "do not export", "train with `gbtree`"),
    (["xgboost_regressor_of_vectors"], "XGBoost, `multi_output_tree`", "does not export", "train `MultiOutputRegressor(XGBRegressor())`"),
    (["xgboost_ranker"], "XGBRanker", "does not export", "use LightGBM's or CatBoost's"),
    (["lightgbm_classifier_cross_entropy", "lightgbm_regressor_fair", "lightgbm_regressor_mape"], "LightGBM, `cross_entropy`, `fair`, `mape`", "do not export", "train with `binary`, `huber`, `regression_l1`"),
    (["catboost_classifier_depthwise", "catboost_classifier_lossguide"], "CatBoost, other trees than symmetric ones", "do not export", "leave `grow_policy` out"),
    (["catboost_regressor_of_three"], "CatBoost, `MultiRMSE`", "the file does not load", "train a model for each target"),
]

# Classes without a converter, what to do.
UNCONVERTED = [
    ("AdditiveChi2Sampler Nystroem PolynomialCountSketch RBFSampler SkewedChi2Sampler", "use KernelPCA, or SVC and SVR with the kernel"),
    ("AffinityPropagation Birch BisectingKMeans MeanShift", "use KMeans"),
    ("BernoulliRBM DictionaryLearning FactorAnalysis FastICA FeatureAgglomeration LatentDirichletAllocation MiniBatchDictionaryLearning MiniBatchNMF "
     "MiniBatchSparsePCA NMF SparseCoder SparsePCA", "use PCA or TruncatedSVD"),
    ("CCA PLSCanonical PLSSVD", "use PLSRegression"),
    ("ClassifierChain RegressorChain", "use MultiOutputClassifier and MultiOutputRegressor"),
    ("DummyClassifier DummyRegressor", "answer the constant without a model"),
    ("EllipticEnvelope KernelDensity", "use IsolationForest, OneClassSVM, or GaussianMixture with the option `score_samples`"),
    ("FixedThresholdClassifier", "export the classifier in it, and compare the score with the threshold yourself"),
    ("FrozenEstimator RandomizedSearchCV", "export `estimator` and `best_estimator_`"),
    ("HashingVectorizer", "use CountVectorizer or TfidfVectorizer"),
    ("Isomap LocallyLinearEmbedding", "use KernelPCA"),
    ("IsotonicRegression", "use HistGradientBoostingRegressor with `monotonic_cst`"),
    ("KernelRidge", "use SVR, or GaussianProcessRegressor"),
    ("LabelPropagation LabelSpreading SelfTrainingClassifier", "train another classifier on `transduction_`; export `estimator_` of the last"),
    ("MissingIndicator", "add the indicators as columns of your own"),
    ("MultiLabelBinarizer", "encode the labels before training; the model does not need it"),
    ("NearestCentroid", "train `KNeighborsClassifier(1)` on `centroids_`"),
    ("OutputCodeClassifier", "use OneVsRestClassifier"),
    ("PatchExtractor", "cut the images before training and before each call"),
    ("RadiusNeighborsTransformer", "use KNeighborsTransformer"),
    ("SequentialFeatureSelector", "train the final model on `get_support()` and export that"),
    ("SparseRandomProjection", "use GaussianRandomProjection"),
    ("SplineTransformer", "use PolynomialFeatures or KBinsDiscretizer"),
    ("TransformedTargetRegressor", "export `regressor_`, and undo the transformation on the answer"),
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
    classes = [line for line in zoo if line["group"] == "unconverted"]
    zoo = [line for line in zoo if line["group"] not in ("drawn", "unconverted")]
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
    rows = ["| classes | what to do |", "|---|---|"]
    for (_, names, do), _mine in explained(classes, [([f"unconverted_{n}" for n in names.split()], names, do) for names, do in UNCONVERTED]):
        rows.append(f"| {', '.join(names.split())} | {do} |")
    yield "unconverted", rows


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
