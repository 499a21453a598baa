"""XGBoost, LightGBM and CatBoost, as their own exporters write them."""

import pathlib
import tempfile

import catboost
import lightgbm
import numpy as np
import onnx
import pandas as pd
import xgboost
from data import frame, load, missing, relabel, rows
from entry import ML, Made, quietly, zoo
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm as lightgbm_converter
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost as xgboost_converter
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType as SklFloat
from skl2onnx.common.data_types import StringTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes, calculate_linear_regressor_output_shapes
from sklearn import calibration, compose, ensemble, multioutput, pipeline, preprocessing

SIZE = {"n_estimators": 10, "random_state": 0, "n_jobs": 1}


def ask(model, x):
    return [np.asarray(getattr(model, name)(x)) for name in ("predict", "predict_proba") if hasattr(model, name)]


def booster(name, model, convert, group, data, labels=None, hole=None, refused="", fit=None, library=ask, **export):
    """Register a model of a table of numbers."""

    def make():
        x, y = load(data)
        asked = rows(x)
        if hole:
            x, asked = hole(x), hole(asked)
        quietly(model.fit, x, relabel(y, labels), **(fit(x) if fit else {}))
        onx = quietly(convert, model, x, **export)
        return Made(onx, {onx.graph.input[0].name: asked}, quietly(library, model, asked))

    zoo(name, make, group, refused)


# --- XGBoost ------------------------------------------------------------------


def from_xgboost(model, x, target_opset=15):
    return convert_xgboost(model, initial_types=[("X", FloatTensorType([None, x.shape[1]]))], target_opset=target_opset)


def xgb(name, model, data, labels=None, **more):
    booster(f"xgboost_{name}", model, from_xgboost, "xgboost", data, labels, **more)


def xgb_classifier(**more):
    return xgboost.XGBClassifier(**{**SIZE, "max_depth": 4, **more})


def xgb_regressor(**more):
    return xgboost.XGBRegressor(**{**SIZE, "max_depth": 4, **more})


LOST = "Unexpected objective"
xgb("classifier", xgb_classifier(), "wine")
xgb("classifier_two", xgb_classifier(), "cancer")
xgb("classifier_five", xgb_classifier(), "wide")
xgb("classifier_missing", xgb_classifier(), "wine", hole=missing)
xgb("classifier_two_missing", xgb_classifier(), "cancer", hole=missing)
xgb("classifier_softmax", xgb_classifier(objective="multi:softmax"), "iris")
xgb("classifier_hinge", xgb_classifier(objective="binary:hinge"), "cancer")
xgb("classifier_logitraw", xgb_classifier(objective="binary:logitraw"), "cancer", refused=LOST)
xgb("classifier_deep", xgb_classifier(max_depth=9, min_child_weight=0), "wide")
xgb("classifier_stumps", xgb_classifier(max_depth=1, n_estimators=30), "iris")
xgb("classifier_dart", xgb_classifier(booster="dart", rate_drop=0.3), "wine", refused="gbtree_model_param")
xgb("classifier_linear", xgb_classifier(booster="gblinear"), "cancer", refused="gbtree_model_param")
xgb("classifier_exact", xgb_classifier(tree_method="exact"), "wine")
xgb("classifier_approximate", xgb_classifier(tree_method="approx"), "cancer")
xgb("classifier_lossguide", xgb_classifier(grow_policy="lossguide", max_leaves=6), "wine")
xgb("classifier_subsampled", xgb_classifier(subsample=0.6, colsample_bytree=0.5), "wine")
xgb("classifier_base_score", xgb_classifier(base_score=0.3), "cancer")
xgb("classifier_of_marks", xgb_classifier(), "marks", refused="tree_ensemble_attribute")
xgb("classifier_parallel", xgb_classifier(num_parallel_tree=2), "wine")
xgb("classifier_parallel_two", xgb_classifier(num_parallel_tree=2), "cancer")
xgb("classifier_parallel_four", xgb_classifier(num_parallel_tree=4), "cancer", refused="tree_ensemble_attribute")
xgb("random_forest_classifier", xgboost.XGBRFClassifier(**SIZE, max_depth=4), "wine")
xgb("random_forest_classifier_two", xgboost.XGBRFClassifier(**SIZE, max_depth=4), "cancer")
xgb("random_forest_regressor", xgboost.XGBRFRegressor(**SIZE, max_depth=4), "diabetes")
xgb("regressor", xgb_regressor(), "diabetes")
xgb("regressor_parallel", xgb_regressor(num_parallel_tree=2), "diabetes")
xgb("regressor_cox", xgb_regressor(objective="survival:cox"), "positive")
xgb("regressor_missing", xgb_regressor(), "diabetes", hole=missing)
xgb("regressor_base_score", xgb_regressor(base_score=100.0), "diabetes")
xgb("regressor_dart", xgb_regressor(booster="dart", rate_drop=0.2), "diabetes", refused="gbtree_model_param")
xgb("regressor_linear", xgb_regressor(booster="gblinear"), "diabetes", refused="gbtree_model_param")
xgb("regressor_of_three", xgb_regressor(), "targets")
xgb("regressor_of_vectors", xgb_regressor(multi_strategy="multi_output_tree"), "targets", refused="multi-target tree")
for objective in ("reg:absoluteerror", "reg:squaredlogerror", "reg:pseudohubererror", "reg:gamma", "reg:tweedie", "count:poisson"):
    xgb(f"regressor_{objective.replace(':', '_')}", xgb_regressor(objective=objective), "positive")
xgb("regressor_reg_quantileerror", xgb_regressor(objective="reg:quantileerror", quantile_alpha=0.7), "positive")
xgb("regressor_quantiles", xgb_regressor(objective="reg:quantileerror", quantile_alpha=[0.2, 0.8]), "positive")
xgb("regressor_counts", xgb_regressor(objective="count:poisson"), "counts")
xgb("regressor_logistic", xgb_regressor(objective="reg:logistic"), "cancer")
xgb("ranker", xgboost.XGBRanker(**SIZE), "queries", fit=lambda x: {"group": [30] * 10}, refused="XGBRanker")
for opset in (9, 10, 11, 12, 13, 14):
    xgb(f"classifier_opset_{opset}", xgb_classifier(n_estimators=4), "iris", target_opset=opset)

# --- LightGBM -----------------------------------------------------------------


def from_lightgbm(model, x, target_opset=15, **more):
    return convert_lightgbm(model, initial_types=[("X", FloatTensorType([None, x.shape[1]]))], target_opset=target_opset, **more)


def lgb(name, model, data, labels=None, **more):
    booster(f"lightgbm_{name}", model, from_lightgbm, "lightgbm", data, labels, **more)


def lgb_classifier(**more):
    return lightgbm.LGBMClassifier(**{**SIZE, "num_leaves": 8, "verbose": -1, **more})


def lgb_regressor(**more):
    return lightgbm.LGBMRegressor(**{**SIZE, "num_leaves": 8, "verbose": -1, **more})


CATEGORIES = {"fit": lambda x: {"categorical_feature": [0, 1]}}
lgb("classifier", lgb_classifier(), "wine")
lgb("classifier_two", lgb_classifier(), "cancer")
lgb("classifier_five", lgb_classifier(), "wide")
lgb("classifier_strings", lgb_classifier(), "wine", "strings")
lgb("classifier_two_strings", lgb_classifier(), "cancer", "two strings")
lgb("classifier_far", lgb_classifier(), "wine", "far")
lgb("classifier_missing", lgb_classifier(), "wine", hole=missing)
lgb("classifier_two_missing", lgb_classifier(), "cancer", hole=missing)
lgb("classifier_ova", lgb_classifier(objective="multiclassova"), "wine")
lgb("classifier_cross_entropy", lgb_classifier(objective="cross_entropy"), "cancer", refused="should be cleaned")
lgb("classifier_without_zipmap", lgb_classifier(), "wine", zipmap=False)
lgb("classifier_dart", lgb_classifier(boosting_type="dart"), "wine")
lgb("classifier_random_forest", lgb_classifier(boosting_type="rf", bagging_freq=1, bagging_fraction=0.6), "cancer")
lgb("classifier_goss", lgb_classifier(data_sample_strategy="goss"), "cancer")
lgb("classifier_categories", lgb_classifier(min_child_samples=5), "codes", **CATEGORIES)
lgb("classifier_many_leaves", lgb_classifier(num_leaves=60, min_child_samples=2), "wide")
lgb("classifier_zero_as_missing", lgb_classifier(zero_as_missing=True, min_child_samples=5), "classes of counts")
lgb("classifier_opset_9", lgb_classifier(), "wine", target_opset=9)
lgb("classifier_opset_11", lgb_classifier(), "wine", target_opset=11)
lgb("classifier_opset_13", lgb_classifier(), "cancer", target_opset=13)
lgb("regressor", lgb_regressor(), "diabetes")
lgb("regressor_missing", lgb_regressor(), "diabetes", hole=missing)
lgb("regressor_dart", lgb_regressor(boosting_type="dart"), "diabetes")
lgb("regressor_random_forest", lgb_regressor(boosting_type="rf", bagging_freq=1, bagging_fraction=0.6), "diabetes")
lgb("regressor_categories", lgb_regressor(min_child_samples=5), "codes", **CATEGORIES)
lgb("regressor_linear_trees", lgb_regressor(linear_tree=True), "diabetes")
lgb("regressor_square_root", lgb_regressor(reg_sqrt=True), "diabetes")
lgb("regressor_split", lgb_regressor(n_estimators=12), "diabetes", split=4)
for objective in ("regression_l1", "huber", "fair", "quantile", "mape", "poisson", "gamma", "tweedie"):
    bad = "should be cleaned" if objective in ("fair", "mape") else ""
    lgb(f"regressor_{objective}", lgb_regressor(objective=objective), "positive", refused=bad)
lgb("ranker", lightgbm.LGBMRanker(**SIZE, num_leaves=8, verbose=-1), "queries", fit=lambda x: {"group": [30] * 10})
lgb("ranker_xendcg", lightgbm.LGBMRanker(**SIZE, num_leaves=8, verbose=-1, objective="rank_xendcg"), "queries", fit=lambda x: {"group": [30] * 10})

# --- CatBoost -----------------------------------------------------------------


def from_catboost(model, x):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "model.onnx"
        model.save_model(str(file), format="onnx")
        return onnx.load(file)


def cat(name, model, data, labels=None, **more):
    booster(f"catboost_{name}", model, from_catboost, "catboost", data, labels, **more)


QUIET = {"iterations": 10, "depth": 4, "random_seed": 0, "verbose": False, "thread_count": 1, "allow_writing_files": False}


def cat_classifier(**more):
    return catboost.CatBoostClassifier(**{**QUIET, **more})


def cat_regressor(**more):
    return catboost.CatBoostRegressor(**{**QUIET, **more})


cat("classifier", cat_classifier(), "wine")
cat("classifier_two", cat_classifier(), "cancer")
cat("classifier_five", cat_classifier(), "wide")
cat("classifier_strings", cat_classifier(), "wine", "strings")
cat("classifier_two_strings", cat_classifier(), "cancer", "two strings")
cat("classifier_missing", cat_classifier(), "wine", hole=missing)
cat("classifier_two_missing", cat_classifier(), "cancer", hole=missing)
cat("classifier_ova", cat_classifier(loss_function="MultiClassOneVsAll"), "wine")
cat("classifier_cross_entropy", cat_classifier(loss_function="CrossEntropy"), "cancer")
cat("classifier_depthwise", cat_classifier(grow_policy="Depthwise"), "wine", refused="non symmetric trees")
cat("classifier_lossguide", cat_classifier(grow_policy="Lossguide"), "cancer", refused="non symmetric trees")
cat("classifier_deep", cat_classifier(depth=8, iterations=4), "cancer")
cat("classifier_of_marks", cat_classifier(loss_function="MultiLogloss"), "marks")
cat("regressor", cat_regressor(), "diabetes")
cat("regressor_missing", cat_regressor(), "diabetes", hole=missing)
cat("regressor_nan_max", cat_regressor(nan_mode="Max"), "diabetes", hole=missing)
cat("regressor_of_three", cat_regressor(loss_function="MultiRMSE"), "targets", refused="tree_ensemble_attribute")
for objective in ("MAE", "Quantile:alpha=0.3", "Poisson", "Tweedie:variance_power=1.5", "Huber:delta=1.0", "LogCosh", "MAPE"):
    cat(f"regressor_{objective.split(':')[0].lower()}", cat_regressor(loss_function=objective), "positive")
cat("ranker", catboost.CatBoostRanker(**QUIET, loss_function="YetiRank"), "queries", fit=lambda x: {"group_id": np.arange(len(x)) // 30})

# --- inside scikit-learn's pipelines ---------------------------------------------

CLASSES = {"nocl": [True, False], "zipmap": [True, False, "columns"], "raw_scores": [True, False]}
for kind, converter, prefix in ((lightgbm.LGBMClassifier, lightgbm_converter, "LightGbm"), (xgboost.XGBClassifier, xgboost_converter, "XGBoost")):
    update_registered_converter(kind, f"{prefix}Classifier", calculate_linear_classifier_output_shapes, converter, options=CLASSES)
for kind, converter, prefix in ((lightgbm.LGBMRegressor, lightgbm_converter, "LightGbm"), (xgboost.XGBRegressor, xgboost_converter, "XGBoost")):
    update_registered_converter(kind, f"{prefix}Regressor", calculate_linear_regressor_output_shapes, converter,
                                options={"split": None} if prefix == "LightGbm" else None)
VERSIONS = {"": 15, ML: 3}


def piped(name, model, data="wine", labels=None, refused="", **export):
    """Register a booster behind a scaler, or several of them."""

    def make():
        x, y = load(data)
        asked = rows(x)
        quietly(model.fit, x, relabel(y, labels))
        onx = quietly(to_onnx, model, x[:1], target_opset=VERSIONS, **export)
        return Made(onx, {"X": asked}, quietly(ask, model, asked))

    zoo(name, make, "boosters in pipelines", refused)


scaler = preprocessing.StandardScaler
piped("piped_lightgbm", pipeline.make_pipeline(scaler(), lgb_classifier()))
piped("piped_lightgbm_without_zipmap", pipeline.make_pipeline(scaler(), lgb_classifier()), options={"zipmap": False})
piped("piped_lightgbm_strings", pipeline.make_pipeline(scaler(), lgb_classifier()), labels="strings")
piped("piped_lightgbm_regressor", pipeline.make_pipeline(scaler(), lgb_regressor()), "diabetes")
piped("piped_xgboost", pipeline.make_pipeline(scaler(), xgb_classifier()))
piped("piped_xgboost_columns", pipeline.make_pipeline(scaler(), xgb_classifier()), options={"zipmap": "columns"})
piped("piped_xgboost_regressor", pipeline.make_pipeline(scaler(), xgb_regressor()), "diabetes")
calibrated = calibration.CalibratedClassifierCV
voting = ensemble.VotingClassifier([("m", lgb_classifier())], voting="soft", flatten_transform=False)
piped("calibrated_lightgbm", calibrated(lgb_classifier(), cv=3))
piped("calibrated_lightgbm_two", calibrated(lgb_classifier(), cv=3), "cancer")
piped("calibrated_lightgbm_voting", calibrated(voting, cv=3), "cancer")
piped("calibrated_xgboost", calibrated(xgb_classifier(), cv=3))
piped("calibrated_xgboost_two", calibrated(xgb_classifier(), cv=3), "cancer")
piped("lightgbm_of_three", multioutput.MultiOutputRegressor(lgb_regressor(n_estimators=4)), "targets")
piped("xgboost_of_three", multioutput.MultiOutputRegressor(xgb_regressor(n_estimators=4)), "targets")


def table(name, model, labels=None):
    """Register a booster behind a ColumnTransformer of columns [N,1]."""

    def make():
        data = frame()
        x, y = data[["age", "income", "debt", "city", "plan"]], relabel(data.risk.to_numpy(), labels)
        ready = compose.ColumnTransformer([("n", "passthrough", ["age", "income", "debt"]),
                                           ("c", preprocessing.OneHotEncoder(sparse_output=False), ["city", "plan"])])
        whole = pipeline.make_pipeline(ready, model)
        quietly(whole.fit, x, y)
        kinds = [(c, SklFloat if c in ("age", "income", "debt") else StringTensorType) for c in x]
        onx = quietly(to_onnx, whole, initial_types=[(c, k([None, 1])) for c, k in kinds], target_opset=VERSIONS)
        asked = x[::4]
        feeds = {c: asked[c].to_numpy().astype(np.float32 if k is SklFloat else object).reshape(-1, 1) for c, k in kinds}
        return Made(onx, feeds, quietly(ask, whole, asked))

    zoo(name, make, "boosters in pipelines")


table("table_lightgbm", lgb_classifier())
table("table_lightgbm_strings", lgb_classifier(), "strings")
table("table_xgboost", xgb_classifier())
table("table_xgboost_two", xgb_classifier(), "two")
