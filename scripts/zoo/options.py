"""The options of exports: those of converters, types of features and labels,
and versions of operator sets."""

import numpy as np
from data import load, rows
from entry import ML, Made, quietly, skl, zoo
from plain import classifiers, regressors, scaled, transformers
from skl2onnx import to_onnx
from skl2onnx.common.data_types import BooleanTensorType, Int32TensorType
from sklearn import calibration, cluster, decomposition, ensemble, gaussian_process, linear_model, mixture, naive_bayes, neighbors, svm, tree
from sklearn.gaussian_process import kernels

# What ONNX Runtime says of exports that mix float32 and float64.
DOUBLE = "[ONNXRuntimeError]"
C, R, T = classifiers(), regressors(), transformers()
SEED = {"random_state": 0}

for name in (
    "ada_boost", "bagging", "calibrated_sigmoid", "decision_tree", "gaussian_naive_bayes", "gradient_boosting",
    "hist_gradient_boosting", "linear_discriminant", "logistic", "mlp", "nearest_neighbours", "one_vs_rest", "random_forest",
    "sgd", "stacking", "svc_probability", "voting_soft",
):
    skl(f"{name}_without_zipmap", C[name], "wine", options={"zipmap": False})
for name in ("decision_tree", "gaussian_naive_bayes", "gradient_boosting", "logistic", "mlp", "nearest_neighbours", "random_forest"):
    skl(f"{name}_zipmap_columns", C[name], "iris", options={"zipmap": "columns"})
    skl(f"{name}_zipmap_columns_strings", C[name], "iris", "strings", options={"zipmap": "columns"})
for name in ("decision_tree", "gaussian_naive_bayes", "logistic", "random_forest"):
    skl(f"{name}_nocl", C[name], "iris", "strings", options={"nocl": True})
    skl(f"{name}_class_labels", C[name], "iris", "strings", options={"output_class_labels": True, "zipmap": False})
for name in ("ada_boost", "bagging_logistic", "gradient_boosting", "logistic", "nearest_neighbours", "svc", "svc_probability", "linear_svc", "sgd_log_loss"):
    skl(f"{name}_raw_scores", C[name], "iris", options={"raw_scores": True} if "linear_svc" in name else {"raw_scores": True, "zipmap": False})
    skl(f"{name}_raw_scores_two", C[name], "cancer", options={"raw_scores": True} if "linear_svc" in name else {"raw_scores": True, "zipmap": False})

for name, model in {
    "decision_tree": tree.DecisionTreeClassifier(max_depth=4, **SEED), "extra_tree": tree.ExtraTreeClassifier(max_depth=4, **SEED),
    "random_forest": C["random_forest"], "extra_trees": C["extra_trees"],
}.items():
    skl(f"{name}_decision_path", model, "iris", options={"decision_path": True, "zipmap": False})
    skl(f"{name}_decision_leaf", model, "iris", options={"decision_leaf": True, "zipmap": False})
    skl(f"{name}_decision_both", model, "wine", "strings", options={"decision_path": True, "decision_leaf": True, "zipmap": False})
for name in ("decision_tree", "extra_tree", "random_forest", "extra_trees"):
    skl(f"{name}_regressor_decision_path", R[name], "diabetes", options={"decision_path": True})
    skl(f"{name}_regressor_decision_leaf", R[name], "diabetes", options={"decision_leaf": True})

OPSETS = {"": 22, ML: 3}
skl("isolation_forest_scores", T["isolation_forest"], "iris", options={"score_samples": True}, target_opset=OPSETS)
skl("isolation_forest_ml_3", T["isolation_forest"], "iris", target_opset=OPSETS)
skl("isolation_forest_of_some_features", ensemble.IsolationForest(n_estimators=5, max_features=0.5, **SEED), "wine", target_opset=OPSETS,
    refused="does not support the case")
skl("gaussian_mixture_scores", mixture.GaussianMixture(3, **SEED), "iris", options={"score_samples": True})
skl("bayesian_mixture_scores", mixture.BayesianGaussianMixture(n_components=2, **SEED), "iris", options={"score_samples": True})
skl("local_outlier_factor_scores", T["local_outlier_factor"], "iris", options={"score_samples": True})
skl("local_outlier_factor_cdist", T["local_outlier_factor"], "iris", options={"optim": "cdist"})
skl("bayesian_ridge_std", linear_model.BayesianRidge(), "diabetes", options={"return_std": True})
process = gaussian_process.GaussianProcessRegressor(kernels.RBF(0.2) + kernels.WhiteKernel(0.1), **SEED)
skl("gaussian_process_std", process, "diabetes", options={"return_std": True})
skl("gaussian_process_cov", process, "diabetes", options={"return_cov": True}, refused="NotImplementedError")
skl("gaussian_process_cdist", process, "diabetes", options={"optim": "cdist"})
skl("gaussian_process_double", process, "diabetes", dtype=np.float64)
for name, kernel in {
    "product": kernels.ConstantKernel(2.0) * kernels.RBF(0.3), "matern": kernels.Matern(0.5, nu=1.5), "matern_half": kernels.Matern(0.5, nu=0.5),
    "periodic": kernels.ExpSineSquared(1.0, 2.0), "dot": kernels.DotProduct() + kernels.WhiteKernel(),
    "quadratic": kernels.RationalQuadratic(0.5), "pairwise": kernels.PairwiseKernel(metric="cosine"), "lengths": kernels.RBF(np.full(10, 0.3)),
}.items():
    skl(f"gaussian_process_{name}", gaussian_process.GaussianProcessRegressor(kernel, alpha=0.1, optimizer=None), "diabetes")
for metric in ("euclidean", "manhattan", "cosine"):
    skl(f"neighbours_{metric}", neighbors.KNeighborsClassifier(3, metric=metric, algorithm="brute"), "iris")
skl("neighbours_minkowski", neighbors.KNeighborsRegressor(3, p=3), "diabetes")
skl("neighbours_cdist", neighbors.KNeighborsClassifier(3), "iris", options={"optim": "cdist"})
skl("neighbours_cdist_regressor", neighbors.KNeighborsRegressor(3), "diabetes", options={"optim": "cdist"})
skl("neighbours_cdist_manhattan", neighbors.KNeighborsRegressor(3, metric="manhattan"), "diabetes", options={"optim": "cdist"},
    refused="NotImplemented")
skl("radius_neighbours_cdist", neighbors.RadiusNeighborsRegressor(0.3), "diabetes", options={"optim": "cdist"}, refused="Invalid Y argument")
skl("k_means_gemm_off", cluster.KMeans(3, n_init=1, **SEED), "iris", options={"gemm": False})
skl("kernel_pca_cdist", decomposition.KernelPCA(3, kernel="rbf"), "iris", options={"optim": "cdist"})

for name in ("tree", "random_forest", "extra_trees", "nearest_neighbours", "mlp"):
    model = {"tree": tree.DecisionTreeClassifier(max_depth=4, **SEED), "mlp": C["mlp"], "nearest_neighbours": C["nearest_neighbours"]}.get(name, C.get(name))
    skl(f"{name}_of_marks_without_zipmap", model, "marks", options={"zipmap": False})

# --- types ------------------------------------------------------------------

TREES_OF_DOUBLES = ("ada_boost", "voting_soft", "bagging", "decision_tree", "extra_trees", "gradient_boosting", "hist_gradient_boosting")
for name in (
    "ada_boost", "bagging", "calibrated_sigmoid", "decision_tree", "extra_trees", "gaussian_naive_bayes", "gradient_boosting",
    "hist_gradient_boosting", "linear_discriminant", "logistic", "mlp", "nearest_neighbours", "one_vs_rest",
    "quadratic_discriminant", "random_forest", "sgd", "svc", "voting_soft",
):
    bad = DOUBLE if name in TREES_OF_DOUBLES else ""
    skl(f"{name}_double", C[name], "wine", dtype=np.float64, refused=bad, options={"zipmap": False})
for name in ("logistic", "decision_tree"):
    skl(f"{name}_double_zipmap", C[name], "wine", dtype=np.float64, refused=DOUBLE)
skl("random_forest_double_zipmap", C["random_forest"], "wine", dtype=np.float64)
skl("linear_svc_double", C["linear_svc"], "wine", dtype=np.float64, refused="is not supported with double")
for name in (
    "LinearRegression", "BayesianRidge", "ada_boost", "bagging", "decision_tree", "extra_trees", "gradient_boosting", "hist_gradient_boosting",
    "mlp", "nearest_neighbours", "random_forest", "svr", "stacking", "voting", "linear_svr",
):
    bad = "" if name in ("LinearRegression", "BayesianRidge", "mlp", "nearest_neighbours", "stacking", "linear_svr") else DOUBLE
    skl(f"{name}_regressor_double", R[name], "diabetes", dtype=np.float64, refused=bad)
for name in (
    "bins_ordinal", "gaussian_mixture", "k_means", "kernel_pca", "min_max_scaler", "normalizer_l2", "pca", "polynomial", "power_yeo_johnson",
    "quantile", "robust_scaler", "standard_scaler", "truncated_svd", "one_class_svm", "local_outlier_factor", "max_abs_scaler", "binarizer",
):
    bad = {"polynomial": DOUBLE, "bins_ordinal": DOUBLE, "one_class_svm": DOUBLE, "power_yeo_johnson": "Conflicted constraint"}
    skl(f"{name}_double", T[name], "iris", dtype=np.float64, refused=bad.get(name, ""))
for name in (
    "decision_tree", "extra_trees", "gaussian_naive_bayes", "gradient_boosting", "hist_gradient_boosting", "linear_discriminant", "logistic",
    "nearest_neighbours", "random_forest", "svc", "linear_svc",
):
    skl(f"{name}_of_integers", C[name], "whole", dtype=np.int64)
for name in ("LinearRegression", "Ridge", "decision_tree", "gradient_boosting", "random_forest", "svr", "nearest_neighbours"):
    skl(f"{name}_regressor_of_integers", R[name], "whole", dtype=np.int64)
for name in ("standard_scaler", "min_max_scaler", "max_abs_scaler", "pca", "k_means", "polynomial", "robust_scaler", "normalizer_l1"):
    skl(f"{name}_of_integers", T[name], "whole", dtype=np.int64)


def of_type(name, estimator, kind, dtype, refused=""):
    """Register a classifier whose input is declared of another type."""

    def make():
        x, y = load("codes")
        x = x > 2 if dtype is bool else x
        model = quietly(estimator.fit, x, y)
        onx = quietly(to_onnx, model, initial_types=[("X", kind([None, x.shape[1]]))])
        asked = x[:60].astype(dtype)
        return Made(onx, {"X": asked}, [model.predict(asked), model.predict_proba(asked)])

    zoo(name, make, "scikit-learn", refused)


for name in ("decision_tree", "logistic", "random_forest"):
    of_type(f"{name}_of_booleans", C[name], BooleanTensorType, bool)
    of_type(f"{name}_of_int32", C[name], Int32TensorType, np.int32, "wrong type")

for name in ("ada_boost", "decision_tree", "gaussian_naive_bayes", "gradient_boosting", "logistic", "mlp", "nearest_neighbours", "random_forest", "svc"):
    skl(f"{name}_strings", C[name], "wine", "strings")
    skl(f"{name}_far_integers", C[name], "wine", "far")
    skl(f"{name}_two_far_integers", C[name], "cancer", "two far")
for name in ("decision_tree", "gradient_boosting", "logistic", "random_forest", "svc"):
    skl(f"{name}_booleans", C[name], "cancer", "bools")

# --- versions ---------------------------------------------------------------

NEWEST = 22
for opset in range(9, NEWEST + 1):
    ml = 1 if opset < 11 else 2 if opset < 15 else 3
    versions = {"": opset, ML: ml}
    skl(f"random_forest_opset_{opset}", ensemble.RandomForestClassifier(4, max_depth=4, **SEED), "wine", target_opset=versions)
    skl(f"logistic_opset_{opset}", scaled(linear_model.LogisticRegression()), "wine", "strings", target_opset=versions)
    skl(f"boosting_regressor_opset_{opset}", ensemble.GradientBoostingRegressor(n_estimators=4, **SEED), "diabetes", target_opset=versions)
    skl(f"gaussian_naive_bayes_opset_{opset}", naive_bayes.GaussianNB(), "wine", target_opset=versions)
    skl(f"neighbours_opset_{opset}", neighbors.KNeighborsClassifier(3), "iris", target_opset=versions)
    skl(f"mlp_opset_{opset}", C["mlp"], "iris", target_opset=versions)
    skl(f"bagging_opset_{opset}", C["bagging_logistic"], "iris", target_opset=versions)
    skl(f"calibrated_opset_{opset}", calibration.CalibratedClassifierCV(svm.LinearSVC(**SEED), cv=3), "iris", target_opset=versions)


def newer(name, estimator, version, data="wine", labels=None):
    """Register an export whose ai.onnx.ml is newer than skl2onnx writes:
    its operators mean the same there."""

    def make():
        x, y = load(data)
        from data import relabel

        model = quietly(estimator.fit, x, relabel(y, labels))
        onx = quietly(to_onnx, model, x[:1], target_opset={"": 21, ML: 3})
        for o in onx.opset_import:
            if o.domain == ML:
                o.version = version
        asked = rows(x)
        return Made(onx, {onx.graph.input[0].name: asked}, [model.predict(asked), model.predict_proba(asked)])

    zoo(name, make, "scikit-learn")


for version in (4, 5):
    newer(f"logistic_ml_{version}", scaled(linear_model.LogisticRegression()), version, labels="strings")
    newer(f"svc_ml_{version}", svm.SVC(probability=True, **SEED), version)
newer("random_forest_ml_4", ensemble.RandomForestClassifier(4, max_depth=4, **SEED), 4)
