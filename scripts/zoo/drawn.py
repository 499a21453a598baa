"""Models whose settings, data and export options are drawn at random: what
nobody thought of. Each is drawn by its name, and drawn again when it cannot be
exported or ONNX Runtime does not take it."""

import numpy as np
import record
from boosters import cat_classifier, cat_regressor, from_catboost, from_lightgbm, from_xgboost, lgb_classifier, lgb_regressor, xgb_classifier, xgb_regressor
from data import features, missing, relabel, rows
from entry import ML, Made, answers, quietly, zoo
from skl2onnx import to_onnx
from sklearn import (
    calibration, cluster, datasets, decomposition, discriminant_analysis, ensemble, gaussian_process, linear_model, mixture, naive_bayes,
    neighbors, neural_network, pipeline, preprocessing, svm, tree,
)

TRIES = 12
DEPTHS, LEAVES = [None, 1, 2, 4, 8, 13], [None, 2, 6, 20, 64]
TREE = {"max_depth": DEPTHS, "max_leaf_nodes": LEAVES, "min_samples_leaf": [1, 1, 4], "max_features": [None, "sqrt", 0.5], "random_state": [0, 1, 2]}
FOREST = {**TREE, "n_estimators": [1, 2, 7, 25, 60], "bootstrap": [True, False]}
BOOSTING = {"n_estimators": [1, 5, 20, 60], "max_depth": [1, 2, 3, 6], "learning_rate": [0.05, 0.3, 1.0], "subsample": [1.0, 0.6], "random_state": [0, 1]}
HIST = {"max_iter": [1, 5, 20], "max_leaf_nodes": [2, 8, 31, None], "min_samples_leaf": [2, 20], "random_state": [0]}
SVM = {"kernel": ["rbf", "linear", "poly", "sigmoid"], "C": [0.1, 1, 20], "gamma": ["scale", "auto", 0.05], "degree": [2, 3, 4], "coef0": [0, 0.5], "max_iter": [3000]}
MLP = {"hidden_layer_sizes": [(3,), (8, 5), (20, 10, 5)], "activation": ["relu", "tanh", "logistic", "identity"], "max_iter": [60], "random_state": [0, 1]}
NEAR = {"n_neighbors": [1, 2, 5, 11], "metric": ["euclidean", "manhattan", "minkowski"], "p": [2, 3]}
GB = {"n_estimators": [1, 5, 20, 60], "max_depth": [1, 3, 6, 10], "learning_rate": [0.05, 0.3, 1.0], "subsample": [1.0, 0.6]}
LGB = {"n_estimators": [1, 5, 20, 60], "num_leaves": [2, 7, 31, 70], "min_child_samples": [1, 20], "learning_rate": [0.05, 0.3], "max_depth": [-1, 3, 8]}
CAT = {"iterations": [1, 5, 20, 60], "depth": [1, 3, 6, 9], "learning_rate": [0.05, 0.5], "l2_leaf_reg": [1, 5]}
SHRINK = {"alpha": [0.001, 0.1, 3]}

CLASSIFIERS = {
    "tree": (tree.DecisionTreeClassifier, {**TREE, "criterion": ["gini", "entropy", "log_loss"], "class_weight": [None, "balanced"]}),
    "extra_tree": (tree.ExtraTreeClassifier, TREE), "forest": (ensemble.RandomForestClassifier, FOREST), "extra_trees": (ensemble.ExtraTreesClassifier, FOREST),
    "boosting": (ensemble.GradientBoostingClassifier, {**BOOSTING, "init": [None, "zero"]}), "hist": (ensemble.HistGradientBoostingClassifier, HIST),
    "ada": (ensemble.AdaBoostClassifier, {"n_estimators": [1, 5, 20], "learning_rate": [0.5, 1.0], "random_state": [0]}),
    "bagging": (ensemble.BaggingClassifier, {"n_estimators": [2, 6], "max_samples": [0.5, 1.0], "max_features": [0.5, 1.0], "random_state": [0]}),
    "logistic": (linear_model.LogisticRegression, {"C": [0.01, 1, 50], "fit_intercept": [True, False], "class_weight": [None, "balanced"], "max_iter": [300]}),
    "sgd": (linear_model.SGDClassifier, {"loss": ["hinge", "log_loss", "perceptron", "squared_hinge"], "penalty": ["l2", "l1", "elasticnet"], "random_state": [0]}),
    "svc": (svm.SVC, {**SVM, "probability": [True, False], "decision_function_shape": ["ovr", "ovo"], "random_state": [0]}),
    "nu_svc": (svm.NuSVC, {**{k: v for k, v in SVM.items() if k != "C"}, "nu": [0.1, 0.3], "probability": [True, False], "random_state": [0]}),
    "mlp": (neural_network.MLPClassifier, MLP), "near": (neighbors.KNeighborsClassifier, NEAR),
    "naive": (naive_bayes.GaussianNB, {"var_smoothing": [1e-9, 1e-3]}), "bernoulli": (naive_bayes.BernoulliNB, {"alpha": [0.1, 1], "binarize": [0.0, 0.5]}),
    "lda": (discriminant_analysis.LinearDiscriminantAnalysis, {"solver": ["svd", "lsqr", "eigen"], "shrinkage": [None]}),
    "calibrated": (calibration.CalibratedClassifierCV, {"method": ["sigmoid", "isotonic"], "cv": [2, 3], "estimator": [naive_bayes.GaussianNB(), linear_model.LogisticRegression()]}),
    "ridge": (linear_model.RidgeClassifier, SHRINK),
}
REGRESSORS = {
    "tree": (tree.DecisionTreeRegressor, {**TREE, "criterion": ["squared_error", "friedman_mse"]}), "forest": (ensemble.RandomForestRegressor, FOREST),
    "extra_trees": (ensemble.ExtraTreesRegressor, FOREST), "boosting": (ensemble.GradientBoostingRegressor, {**BOOSTING, "loss": ["squared_error", "absolute_error", "huber", "quantile"]}),
    "hist": (ensemble.HistGradientBoostingRegressor, HIST), "ada": (ensemble.AdaBoostRegressor, {"n_estimators": [1, 5, 15], "loss": ["linear", "square", "exponential"], "random_state": [0]}),
    "svr": (svm.SVR, {**SVM, "epsilon": [0.01, 0.5]}), "mlp": (neural_network.MLPRegressor, MLP), "near": (neighbors.KNeighborsRegressor, NEAR),
    "ridge": (linear_model.Ridge, SHRINK), "lasso": (linear_model.Lasso, SHRINK), "elastic": (linear_model.ElasticNet, {**SHRINK, "fit_intercept": [True, False]}),
}
TRANSFORMERS = {
    "pca": (decomposition.PCA, {"n_components": [1, 3, None], "whiten": [True, False]}), "k_means": (cluster.KMeans, {"n_clusters": [2, 5, 9], "n_init": [1], "random_state": [0]}),
    "bins": (preprocessing.KBinsDiscretizer, {"n_bins": [2, 5, 9], "encode": ["ordinal", "onehot-dense"], "strategy": ["uniform", "quantile", "kmeans"], "random_state": [0]}),
    "polynomial": (preprocessing.PolynomialFeatures, {"degree": [2, 3], "interaction_only": [True, False], "include_bias": [True, False]}),
    "mixture": (mixture.GaussianMixture, {"n_components": [1, 2, 4], "covariance_type": ["full", "tied", "diag", "spherical"], "random_state": [0]}),
    "power": (preprocessing.PowerTransformer, {"standardize": [True, False]}), "robust": (preprocessing.RobustScaler, {"with_centering": [True, False], "with_scaling": [True, False]}),
    "one_class": (svm.OneClassSVM, {"kernel": ["rbf", "linear", "sigmoid"], "nu": [0.05, 0.4], "max_iter": [3000]}),
    "embedding": (ensemble.RandomTreesEmbedding, {"n_estimators": [1, 6], "max_depth": [2, 5], "sparse_output": [False], "random_state": [0]}),
}
BOOSTERS = {
    "xgboost_classifier": (xgb_classifier, {**GB, "gamma": [0, 1]}, from_xgboost), "xgboost_regressor": (xgb_regressor, GB, from_xgboost),
    "lightgbm_classifier": (lgb_classifier, LGB, from_lightgbm), "lightgbm_regressor": (lgb_regressor, LGB, from_lightgbm),
    "catboost_classifier": (cat_classifier, CAT, from_catboost), "catboost_regressor": (cat_regressor, CAT, from_catboost),
}


def pick(g, choices):
    return choices[int(g.integers(len(choices)))]


def settled(g, make, choices):
    return make(**{k: pick(g, v) for k, v in choices.items()})


def classes(g):
    """Return features and classes, of a size drawn at random."""
    n = pick(g, [2, 2, 3, 4, 7, 12])
    x, y = datasets.make_classification(
        int(g.integers(120, 500)), int(g.integers(8, 40)), n_informative=6, n_classes=n, random_state=int(g.integers(1000)),
        class_sep=pick(g, [0.5, 1.5]), flip_y=0.05)
    return scaled(g, x), y


def values(g):
    x, y = datasets.make_regression(int(g.integers(120, 500)), int(g.integers(2, 30)), noise=3, random_state=int(g.integers(1000)))
    return scaled(g, x), features(y / 50)


def scaled(g, x):
    """Return features as they are, large, small, rounded or from zero on."""
    return features([x, x * 300, x / 500, np.round(x * 4), x - x.min(axis=0)][int(g.integers(5))])


def labelled(g, y):
    many = y.max() + 1
    names = np.array([f"c{(i * 7) % 13}" + "é" * (i % 3) for i in range(many)])
    return pick(g, [y, y, y + 5, y * 3 - 4, names[y], names[y]])


def options(g, name, text):
    """Return options of a converter of classifiers."""
    picked = {"zipmap": pick(g, [True, True, False, "columns"])}
    if name in ("tree", "forest", "extra_trees", "extra_tree") and not text and g.random() < 0.2:
        return {"zipmap": False, pick(g, ["decision_path", "decision_leaf"]): True}
    if name in ("boosting", "logistic", "svc", "near") and g.random() < 0.25:
        picked["raw_scores"] = True
    return picked


def versions(g):
    opset = int(g.integers(9, 23))
    return pick(g, [None, None, {"": opset, ML: 1 if opset < 11 else 3 if opset >= 15 else 2}])


def attempt(g, kind, name):
    """Draw a model; it may be one that cannot be exported."""
    x, y = values(g) if "regressor" in kind or "regressor" in name else classes(g)
    if "classifier" in kind or "classifier" in name:
        y = labelled(g, y)
    asked = rows(x)
    if kind == "booster":
        make, choices, convert = BOOSTERS[name]
        if g.random() < 0.3:
            x, asked = missing(x), missing(asked)
        if name == "xgboost_classifier":
            y = np.unique(y, return_inverse=True)[1]
        model = settled(g, make, choices)
        quietly(model.fit, x, y)
        return Made(quietly(convert, model, x), {}, asked)
    make, choices = {"classifier": CLASSIFIERS, "regressor": REGRESSORS, "transformer": TRANSFORMERS}[kind][name]
    model = settled(g, make, choices)
    if g.random() < 0.3:
        before = pick(g, [preprocessing.StandardScaler(), preprocessing.MinMaxScaler(), preprocessing.RobustScaler(), preprocessing.Normalizer(), decomposition.PCA(2)])
        model = pipeline.make_pipeline(before, model)
    dtype = np.int64 if np.array_equal(x, np.round(x)) and g.random() < 0.5 else np.float32
    x, asked = x.astype(dtype), asked.astype(dtype)
    quietly(model.fit, x, y)
    more = {"options": options(g, name, y.dtype.kind == "U")} if kind == "classifier" and "ridge" not in name else {}
    return Made(quietly(to_onnx, model, x[:1], target_opset=versions(g), **more), {}, asked), model


def drawn(kind, name, number):
    def make():
        for again in range(TRIES):
            g = np.random.default_rng([number, again, *map(ord, kind + name)])
            try:
                made = attempt(g, kind, name)
                made, model = made if isinstance(made, tuple) else (made, None)
                feeds = {made.model.graph.input[0].name: made.library}
                record.answers(made.model.SerializeToString(), feeds)
            except Exception as e:  # the next draw, unless none is left
                last = e
                continue
            return Made(made.model, feeds, [] if model is None else quietly(answers, model, made.library))
        raise last

    zoo(f"drawn_{kind}_{name}_{number}", make, "drawn")


for number in range(8):
    for kind, table in (("classifier", CLASSIFIERS), ("regressor", REGRESSORS), ("transformer", TRANSFORMERS), ("booster", BOOSTERS)):
        for name in table:
            drawn(kind, name, number)
