"""Every converter of skl2onnx with its default options."""

import numpy as np
from data import NAMES, load, missing, relabel, rows
from entry import Made, quietly, skl, zoo
from skl2onnx import to_onnx
from skl2onnx.common.data_types import Int64TensorType, StringTensorType
from skl2onnx.sklapi import CastRegressor, CastTransformer, ReplaceTransformer
from sklearn import (
    calibration, cluster, compose, cross_decomposition, decomposition, discriminant_analysis, ensemble, feature_selection,
    gaussian_process, impute, kernel_approximation, linear_model, mixture, model_selection, multiclass, multioutput,
    naive_bayes, neighbors, neural_network, pipeline, preprocessing, random_projection, svm, tree,
)
from sklearn.gaussian_process import kernels

SEED = {"random_state": 0}
FOREST = {"n_estimators": 8, "max_depth": 5, **SEED}


def scaled(model):
    return pipeline.make_pipeline(preprocessing.StandardScaler(), model)


def classifiers():
    """Return estimators of classes by name."""
    tree_of = tree.DecisionTreeClassifier(max_depth=3, **SEED)
    logistic = linear_model.LogisticRegression(max_iter=2000)
    few = model_selection.StratifiedKFold(3)
    return {
        "ada_boost": ensemble.AdaBoostClassifier(n_estimators=8, **SEED),
        "bagging": ensemble.BaggingClassifier(tree_of, n_estimators=5, **SEED),
        "bagging_of_some_features": ensemble.BaggingClassifier(tree_of, n_estimators=5, max_features=0.5, **SEED),
        "bagging_logistic": ensemble.BaggingClassifier(logistic, n_estimators=4, **SEED),
        "calibrated_sigmoid": calibration.CalibratedClassifierCV(svm.LinearSVC(**SEED), cv=3),
        "calibrated_isotonic": calibration.CalibratedClassifierCV(tree_of, method="isotonic", cv=3),
        "calibrated_naive_bayes": calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), cv=3),
        "decision_tree": tree.DecisionTreeClassifier(**SEED),
        "extra_tree": tree.ExtraTreeClassifier(max_depth=6, **SEED),
        "extra_trees": ensemble.ExtraTreesClassifier(**FOREST),
        "gaussian_naive_bayes": naive_bayes.GaussianNB(),
        "gaussian_process": scaled(gaussian_process.GaussianProcessClassifier(**SEED)),
        "gradient_boosting": ensemble.GradientBoostingClassifier(n_estimators=8, **SEED),
        "grid_search": model_selection.GridSearchCV(logistic, {"C": [0.1, 1]}, cv=few),
        "grid_search_trees": model_selection.GridSearchCV(tree_of, {"max_depth": [2, 4]}, cv=few),
        "hist_gradient_boosting": ensemble.HistGradientBoostingClassifier(max_iter=8, max_leaf_nodes=8, **SEED),
        "nearest_neighbours": neighbors.KNeighborsClassifier(),
        "nearest_neighbours_by_distance": neighbors.KNeighborsClassifier(4, weights="distance"),
        "nearest_neighbours_manhattan": neighbors.KNeighborsClassifier(3, metric="manhattan"),
        "radius_neighbours": scaled(neighbors.RadiusNeighborsClassifier(6.0)),
        "linear_discriminant": discriminant_analysis.LinearDiscriminantAnalysis(),
        "quadratic_discriminant": discriminant_analysis.QuadraticDiscriminantAnalysis(reg_param=0.1),
        "linear_svc": svm.LinearSVC(**SEED),
        "logistic": logistic,
        "logistic_cv": scaled(linear_model.LogisticRegressionCV(Cs=3, cv=few)),
        "mlp": scaled(neural_network.MLPClassifier((6,), max_iter=200, **SEED)),
        "mlp_tanh": scaled(neural_network.MLPClassifier((6, 4), activation="tanh", max_iter=200, **SEED)),
        "mlp_logistic": scaled(neural_network.MLPClassifier((5,), activation="logistic", max_iter=200, **SEED)),
        "nu_svc": scaled(svm.NuSVC(nu=0.2)),
        "one_vs_one": multiclass.OneVsOneClassifier(logistic),
        "one_vs_rest": multiclass.OneVsRestClassifier(logistic),
        "one_vs_rest_trees": multiclass.OneVsRestClassifier(tree_of),
        "passive_aggressive": scaled(linear_model.PassiveAggressiveClassifier(**SEED)),
        "perceptron": scaled(linear_model.Perceptron(**SEED)),
        "random_forest": ensemble.RandomForestClassifier(**FOREST),
        "recursive_elimination": feature_selection.RFE(logistic, n_features_to_select=2),
        "ridge_classifier": linear_model.RidgeClassifier(),
        "ridge_classifier_cv": linear_model.RidgeClassifierCV(),
        "sgd": scaled(linear_model.SGDClassifier(**SEED)),
        "sgd_log_loss": scaled(linear_model.SGDClassifier(loss="log_loss", **SEED)),
        "sgd_modified_huber": scaled(linear_model.SGDClassifier(loss="modified_huber", **SEED)),
        "stacking": ensemble.StackingClassifier([("t", tree_of), ("l", logistic)], cv=3),
        "stacking_passthrough": ensemble.StackingClassifier([("t", tree_of), ("l", logistic)], cv=3, passthrough=True),
        "svc": svm.SVC(),
        "svc_linear": scaled(svm.SVC(kernel="linear")),
        "svc_poly": scaled(svm.SVC(kernel="poly", degree=2)),
        "svc_sigmoid": scaled(svm.SVC(kernel="sigmoid")),
        "svc_ovo": scaled(svm.SVC(decision_function_shape="ovo")),
        "svc_probability": svm.SVC(probability=True, **SEED),
        "voting_hard": ensemble.VotingClassifier([("t", tree_of), ("l", logistic), ("b", naive_bayes.GaussianNB())], flatten_transform=False),
        "voting_soft": ensemble.VotingClassifier([("t", tree_of), ("l", logistic)], voting="soft", weights=np.array([1, 2]), flatten_transform=False),
    }


RADIUS = "Invalid Y argument"  # the export reads neighbours that are not there
REFUSED = {
    "gaussian_process_classifier": "Only binary classification", "gaussian_process_classifier_two": "invalid literal for int()",
    "radius_neighbours_classifier": RADIUS, "radius_neighbours_classifier_two": RADIUS, "radius_neighbours_regressor": RADIUS,
    "one_vs_one_classifier_two": "(tensor(string)) of output arg",
    **{f"{n}_of_marks": "ZipMap input shape" for n in ("tree", "random_forest", "extra_trees", "nearest_neighbours")},
    "quantile_normal": "output_distribution='normal' is not supported", "one_hot_infrequent": "Infrequent categories",
    "simple_imputer_of_integers": "Unsupported proposed value",
    "isolation_forest": "target_opset={'ai.onnx.ml': 3}", "knn_imputer_by_distance": "not supported",
}


def default(name, model, data, labels=None, **more):
    """Register an estimator with the default options of its export."""
    skl(name, model, data, labels, refused=REFUSED.get(name, ""), **more)


for name, model in classifiers().items():
    default(f"{name}_classifier", model, "iris")
    default(f"{name}_classifier_two", model, "cancer", "two strings")
default("tuned_threshold_classifier", model_selection.TunedThresholdClassifierCV(linear_model.LogisticRegression(max_iter=5000), cv=3), "cancer")
default("tuned_threshold_trees", model_selection.TunedThresholdClassifierCV(tree.DecisionTreeClassifier(max_depth=4, **SEED), cv=3), "cancer")
for name, model in {
    "bernoulli": naive_bayes.BernoulliNB(binarize=1.0), "multinomial": naive_bayes.MultinomialNB(),
    "complement": naive_bayes.ComplementNB(), "complement_normed": naive_bayes.ComplementNB(norm=True),
}.items():
    default(f"{name}_naive_bayes", model, "classes of counts")
    default(f"{name}_naive_bayes_two", model, "classes of counts", "two strings")
default("categorical_naive_bayes", naive_bayes.CategoricalNB(), "codes", dtype=np.int64)
default("categorical_naive_bayes_floats", naive_bayes.CategoricalNB(), "codes", "strings")
for kernel in ("RBF", "DotProduct", "Matern", "RationalQuadratic"):
    skl(f"gaussian_process_classifier_{kernel.lower()}", scaled(gaussian_process.GaussianProcessClassifier(getattr(kernels, kernel)(), **SEED)), "iris", "two",
        refused="com.microsoft:Solve")


def regressors():
    """Return estimators of one value by name."""
    tree_of = tree.DecisionTreeRegressor(max_depth=3, **SEED)
    names = """ARDRegression BayesianRidge ElasticNet ElasticNetCV HuberRegressor Lars LarsCV Lasso LassoCV LassoLars
        LassoLarsCV LassoLarsIC LinearRegression OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV
        QuantileRegressor Ridge RidgeCV""".split()
    return {
        **{name: getattr(linear_model, name)() for name in names},
        **{name: scaled(getattr(linear_model, name)(**SEED)) for name in ("PassiveAggressiveRegressor", "SGDRegressor")},
        "TheilSenRegressor": linear_model.TheilSenRegressor(max_subpopulation=200, **SEED),
        "ransac": linear_model.RANSACRegressor(**SEED),
        "ransac_trees": linear_model.RANSACRegressor(tree_of, min_samples=40, **SEED),
        "ada_boost": ensemble.AdaBoostRegressor(n_estimators=6, **SEED),
        "bagging": ensemble.BaggingRegressor(tree_of, n_estimators=5, **SEED),
        "bagging_of_some_features": ensemble.BaggingRegressor(tree_of, n_estimators=5, max_features=0.5, **SEED),
        "decision_tree": tree.DecisionTreeRegressor(max_depth=7, **SEED),
        "extra_tree": tree.ExtraTreeRegressor(max_depth=6, **SEED),
        "extra_trees": ensemble.ExtraTreesRegressor(**FOREST),
        "gaussian_process": gaussian_process.GaussianProcessRegressor(kernels.RBF(0.1) + kernels.WhiteKernel(), **SEED),
        "gradient_boosting": ensemble.GradientBoostingRegressor(n_estimators=10, **SEED),
        "gradient_boosting_huber": ensemble.GradientBoostingRegressor(n_estimators=10, loss="huber", **SEED),
        "grid_search": model_selection.GridSearchCV(tree_of, {"max_depth": [2, 4]}, cv=3),
        "hist_gradient_boosting": ensemble.HistGradientBoostingRegressor(max_iter=10, max_leaf_nodes=8, **SEED),
        "nearest_neighbours": neighbors.KNeighborsRegressor(),
        "nearest_neighbours_by_distance": neighbors.KNeighborsRegressor(4, weights="distance"),
        "radius_neighbours": neighbors.RadiusNeighborsRegressor(0.3),
        "linear_svr": svm.LinearSVR(**SEED),
        "mlp": neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=100, **SEED),
        "nu_svr": svm.NuSVR(),
        "svr": svm.SVR(),
        "svr_poly": svm.SVR(kernel="poly", degree=3),
        "svr_linear": svm.SVR(kernel="linear"),
        "svr_sigmoid": svm.SVR(kernel="sigmoid"),
        "partial_least_squares": cross_decomposition.PLSRegression(3),
        "random_forest": ensemble.RandomForestRegressor(**FOREST),
        "recursive_elimination_cv": feature_selection.RFECV(linear_model.LinearRegression(), cv=3),
        "stacking": ensemble.StackingRegressor([("t", tree_of), ("l", linear_model.Ridge())], cv=3),
        "voting": ensemble.VotingRegressor([("t", tree_of), ("l", linear_model.LinearRegression())]),
        "cast": CastRegressor(tree_of),
    }


for name, model in regressors().items():
    default(f"{name}_regressor" if name.islower() else name, model, "diabetes")
for name, model in {
    "poisson": linear_model.PoissonRegressor(), "gamma": linear_model.GammaRegressor(),
    "tweedie": linear_model.TweedieRegressor(power=1.5), "tweedie_identity": linear_model.TweedieRegressor(power=0, link="identity"),
    "hist_poisson": ensemble.HistGradientBoostingRegressor(loss="poisson", max_iter=8, **SEED),
    "hist_gamma": ensemble.HistGradientBoostingRegressor(loss="gamma", max_iter=8, **SEED),
}.items():
    default(f"{name}_objective_regressor", model, "positive")
for name, model in {
    **{n: getattr(linear_model, n)() for n in ("MultiTaskElasticNet", "MultiTaskElasticNetCV", "MultiTaskLasso", "MultiTaskLassoCV")},
    "linear": linear_model.LinearRegression(), "ridge": linear_model.Ridge(), "tree": tree.DecisionTreeRegressor(max_depth=5, **SEED),
    "random_forest": ensemble.RandomForestRegressor(**FOREST), "extra_trees": ensemble.ExtraTreesRegressor(**FOREST),
    "multi_output_boosting": multioutput.MultiOutputRegressor(ensemble.GradientBoostingRegressor(n_estimators=4, **SEED)),
    "multi_output_linear": multioutput.MultiOutputRegressor(linear_model.Ridge()),
    "nearest_neighbours": neighbors.KNeighborsRegressor(4), "mlp": neural_network.MLPRegressor(hidden_layer_sizes=(6,), max_iter=100, **SEED),
    "partial_least_squares": cross_decomposition.PLSRegression(2), "gaussian_process": gaussian_process.GaussianProcessRegressor(kernels.RBF(), **SEED),
}.items():
    default(f"{name}_of_three", model, "targets")
for name, model in {
    "tree": tree.DecisionTreeClassifier(max_depth=4, **SEED), "random_forest": ensemble.RandomForestClassifier(**FOREST),
    "extra_trees": ensemble.ExtraTreesClassifier(**FOREST), "mlp": neural_network.MLPClassifier((6,), max_iter=100, **SEED),
    "nearest_neighbours": neighbors.KNeighborsClassifier(), "one_vs_rest": multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
    "multi_output": multioutput.MultiOutputClassifier(linear_model.LogisticRegression()),
    "multi_output_trees": multioutput.MultiOutputClassifier(tree.DecisionTreeClassifier(max_depth=3, **SEED)),
}.items():
    default(f"{name}_of_marks", model, "marks")


def transformers():
    """Return estimators of features by name, with their data where that is not
    iris."""
    bins = preprocessing.KBinsDiscretizer
    select = feature_selection
    one = preprocessing.OneHotEncoder
    return {
        "binarizer": preprocessing.Binarizer(threshold=2.5), "cast_transformer": CastTransformer(dtype=np.float32),
        "replace_transformer": (ReplaceTransformer(from_value=0.0, to_value=np.nan), "counts"),
        "feature_union": pipeline.FeatureUnion([("a", preprocessing.StandardScaler()), ("b", decomposition.PCA(2))]),
        "function_transformer": preprocessing.FunctionTransformer(),
        "gaussian_random_projection": random_projection.GaussianRandomProjection(3, **SEED),
        "select_generic": select.GenericUnivariateSelect(param=50), "select_fdr": select.SelectFdr(), "select_fpr": select.SelectFpr(),
        "select_fwe": select.SelectFwe(), "select_best": select.SelectKBest(k=2), "select_percentile": select.SelectPercentile(percentile=50),
        "select_from_model": select.SelectFromModel(tree.DecisionTreeClassifier(max_depth=3, **SEED)),
        "variance_threshold": select.VarianceThreshold(0.3),
        "incremental_pca": decomposition.IncrementalPCA(2), "pca": decomposition.PCA(2), "pca_whiten": decomposition.PCA(2, whiten=True),
        "kernel_pca": decomposition.KernelPCA(3, kernel="rbf"), "kernel_pca_poly": decomposition.KernelPCA(2, kernel="poly"),
        "kernel_pca_cosine": decomposition.KernelPCA(2, kernel="cosine"), "kernel_pca_sigmoid": decomposition.KernelPCA(2, kernel="sigmoid"),
        "truncated_svd": decomposition.TruncatedSVD(2, **SEED),
        "bins_onehot": bins(4, encode="onehot-dense"), "bins_ordinal": bins(4, encode="ordinal", strategy="uniform"),
        "bins_kmeans": bins(3, encode="ordinal", strategy="kmeans", random_state=0),
        "k_means": cluster.KMeans(3, n_init=1, **SEED), "mini_batch_k_means": cluster.MiniBatchKMeans(3, n_init=1, **SEED),
        "neighbours_transformer": neighbors.KNeighborsTransformer(n_neighbors=3),
        "nearest_neighbours": neighbors.NearestNeighbors(n_neighbors=3, radius=None),
        "neighbourhood_components": neighbors.NeighborhoodComponentsAnalysis(2, max_iter=10, **SEED),
        "max_abs_scaler": preprocessing.MaxAbsScaler(), "min_max_scaler": preprocessing.MinMaxScaler((-1, 2)),
        "min_max_scaler_clip": preprocessing.MinMaxScaler(clip=True), "robust_scaler": preprocessing.RobustScaler(),
        "standard_scaler": preprocessing.StandardScaler(), "standard_scaler_mean_only": preprocessing.StandardScaler(with_std=False),
        "normalizer_l1": preprocessing.Normalizer("l1"), "normalizer_l2": preprocessing.Normalizer(), "normalizer_max": preprocessing.Normalizer("max"),
        "polynomial": preprocessing.PolynomialFeatures(2), "polynomial_3": preprocessing.PolynomialFeatures(3, include_bias=False),
        "polynomial_interactions": preprocessing.PolynomialFeatures(2, interaction_only=True),
        "power_yeo_johnson": preprocessing.PowerTransformer(), "power_yeo_johnson_plain": (preprocessing.PowerTransformer(standardize=False), "diabetes"),
        "power_box_cox": preprocessing.PowerTransformer("box-cox"),
        "quantile": preprocessing.QuantileTransformer(n_quantiles=20, **SEED),
        "quantile_normal": preprocessing.QuantileTransformer(n_quantiles=20, output_distribution="normal", **SEED),
        "trees_embedding": ensemble.RandomTreesEmbedding(n_estimators=4, max_depth=3, sparse_output=False, **SEED),
        "linear_discriminant_transform": pipeline.make_pipeline(select.SelectKBest(k=3), preprocessing.StandardScaler()),
        "one_hot_codes": (one(handle_unknown="ignore", sparse_output=False), "codes"), "one_hot_drop": (one(drop="first", sparse_output=False), "codes"),
        "one_hot_drop_binary": (one(drop="if_binary", sparse_output=False), "codes"), "ordinal_codes": (preprocessing.OrdinalEncoder(), "codes"),
        "one_hot_infrequent": (one(min_frequency=70, sparse_output=False), "codes"),
        "target_encoder": (preprocessing.TargetEncoder(random_state=0, target_type="continuous"), "codes"),
        "gaussian_mixture": mixture.GaussianMixture(3, **SEED), "bayesian_mixture": mixture.BayesianGaussianMixture(n_components=3, **SEED),
        **{f"gaussian_mixture_{c}": mixture.GaussianMixture(2, covariance_type=c, **SEED) for c in ("tied", "diag", "spherical")},
        "isolation_forest": ensemble.IsolationForest(n_estimators=8, max_samples=64, **SEED), "one_class_svm": svm.OneClassSVM(nu=0.2),
        "one_class_svm_poly": svm.OneClassSVM(kernel="poly", nu=0.3), "sgd_one_class_svm": linear_model.SGDOneClassSVM(**SEED),
        "local_outlier_factor": neighbors.LocalOutlierFactor(n_neighbors=5, novelty=True),
    }


for name, model in transformers().items():
    model, data = model if isinstance(model, tuple) else (model, "iris")
    default(name, model, data)
for name, model in {
    "simple_imputer": impute.SimpleImputer(), "simple_imputer_median": impute.SimpleImputer(strategy="median"),
    "simple_imputer_frequent": impute.SimpleImputer(strategy="most_frequent"), "simple_imputer_constant": impute.SimpleImputer(strategy="constant", fill_value=-1),
    "knn_imputer": impute.KNNImputer(n_neighbors=3), "imputed_forest": pipeline.make_pipeline(impute.SimpleImputer(), ensemble.RandomForestClassifier(**FOREST)),
    "imputed_logistic": pipeline.make_pipeline(impute.SimpleImputer(strategy="median"), preprocessing.StandardScaler(), linear_model.LogisticRegression()),
    "hist_gradient_boosting_missing": ensemble.HistGradientBoostingClassifier(max_iter=8, max_leaf_nodes=8, **SEED),
    "tree_missing": tree.DecisionTreeClassifier(max_depth=5, **SEED), "forest_missing": ensemble.RandomForestClassifier(**FOREST),
}.items():
    default(name, model, "wine", hole=missing)
default("hist_gradient_boosting_regressor_missing", ensemble.HistGradientBoostingRegressor(max_iter=8, max_leaf_nodes=8, **SEED), "diabetes", hole=missing)
default("simple_imputer_of_integers", impute.SimpleImputer(missing_values=-1, strategy="most_frequent"), "codes", dtype=np.int64)
default("knn_imputer_by_distance", impute.KNNImputer(n_neighbors=2, weights="distance"), "iris", hole=missing)


def of_strings(name, estimator, group="scikit-learn", columns=2, y=None, numbers=False):
    """Register an estimator of columns of categories."""

    def make():
        g = np.random.default_rng(5)
        x = NAMES[g.integers(0, 4, (200, columns))].astype(object)
        target = g.normal(size=200).astype(np.float32) if numbers else (x[:, 0] == "barolo").astype(np.int64)
        quietly(estimator.fit, x, target) if y or numbers else quietly(estimator.fit, x)
        onx = quietly(to_onnx, estimator, initial_types=[("X", StringTensorType([None, columns]))])
        found = estimator.predict(x[:60]) if hasattr(estimator, "predict") else estimator.transform(x[:60])
        return Made(onx, {"X": x[:60]}, [found.toarray() if hasattr(found, "toarray") else found])

    zoo(name, make, group)


of_strings("one_hot_strings", preprocessing.OneHotEncoder(handle_unknown="ignore"))
of_strings("one_hot_strings_dense", preprocessing.OneHotEncoder(sparse_output=False, drop="first"))
of_strings("ordinal_strings", preprocessing.OrdinalEncoder())
of_strings("ordinal_strings_unknown", preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1))
of_strings("target_encoder_strings", preprocessing.TargetEncoder(random_state=0), y=True)
of_strings("target_encoder_of_numbers", preprocessing.TargetEncoder(random_state=0), numbers=True)
of_strings("simple_imputer_strings", impute.SimpleImputer(strategy="most_frequent", missing_values=""))
of_strings("one_hot_logistic", pipeline.make_pipeline(preprocessing.OneHotEncoder(), linear_model.LogisticRegression()), y=True)
of_strings("ordinal_forest", pipeline.make_pipeline(preprocessing.OrdinalEncoder(), ensemble.RandomForestClassifier(**FOREST)), y=True)


def of_labels(name, estimator, values, kind):
    """Register an encoder of a column of labels."""

    def make():
        model = estimator().fit(values)
        onx = to_onnx(model, initial_types=[("X", kind([None]))])
        asked = values[np.arange(60) % len(values)]
        return Made(onx, {"X": asked}, [model.transform(asked)])

    zoo(name, make, "scikit-learn")


TEXT = NAMES.astype(object)
of_labels("label_encoder_strings", preprocessing.LabelEncoder, TEXT, StringTensorType)
of_labels("label_encoder_integers", preprocessing.LabelEncoder, np.array([4, -9, 700, 2]), Int64TensorType)
of_labels("label_binarizer_strings", preprocessing.LabelBinarizer, TEXT, StringTensorType)
of_labels("label_binarizer_integers", preprocessing.LabelBinarizer, np.array([4, 9, 700, 2]), Int64TensorType)


def kernel_centerer():
    x, _ = load("iris")
    kernel = (x[:100] @ x[:20].T).astype(np.float32)
    square = kernel[:20]
    model = preprocessing.KernelCenterer().fit(square)
    return Made(to_onnx(model, square[:1]), {"X": kernel}, [model.transform(kernel)])


zoo("kernel_centerer", kernel_centerer, "scikit-learn")


def constant_class():
    x, y = load("marks")
    y = y.copy()
    y[:, 1] = 1
    model = quietly(multiclass.OneVsRestClassifier(linear_model.LogisticRegression()).fit, x, y)
    asked = rows(x)
    return Made(quietly(to_onnx, model, x[:1]), {"X": asked}, [model.predict(asked), model.predict_proba(asked)])


zoo("one_vs_rest_with_a_constant", constant_class, "scikit-learn")
