"""Pipelines: tables of several types, text, and features joined."""

import numpy as np
import pandas as pd
from data import NAMES, frame, load, missing, relabel, rows, texts
from entry import ML, Made, answers, quietly, zoo
from skl2onnx import to_onnx
from skl2onnx.common.data_types import (
    DictionaryType, DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType,
)
from sklearn import (
    compose, decomposition, discriminant_analysis, ensemble, feature_extraction, feature_selection, impute, linear_model, naive_bayes,
    neighbors, pipeline, preprocessing, svm, tree,
)

SEED = {"random_state": 0}
FOREST = ensemble.RandomForestClassifier(6, max_depth=5, **SEED)
NUMBERS, TEXTS = ["age", "income", "debt"], ["city", "plan"]
pipe, columns = pipeline.make_pipeline, compose.ColumnTransformer
onehot, scaler = preprocessing.OneHotEncoder, preprocessing.StandardScaler


def prepared(**more):
    return columns([("n", scaler(), NUMBERS), ("c", onehot(handle_unknown="ignore"), TEXTS)], **more)


def column(kind, values):
    dtype = {FloatTensorType: np.float32, DoubleTensorType: np.float64, Int64TensorType: np.int64, StringTensorType: object}[kind]
    return np.asarray(values).astype(dtype).reshape(-1, 1)


def kinds(table, real=FloatTensorType):
    """Return the input types of a table's columns, [N,1] each."""
    of = {"f": real, "i": Int64TensorType}
    return {c: of.get(table[c].dtype.kind if hasattr(table[c].dtype, "kind") else "O", StringTensorType) for c in table}


def table(name, model, using=(*NUMBERS, *TEXTS), target="risk", hole=False, real=FloatTensorType, labels=None, refused="", **export):
    """Register a model whose inputs are the columns of a table."""

    def make():
        data = frame()
        x, y = data[list(using)].copy(), relabel(data[target].to_numpy(), labels) if target == "risk" else data[target]
        if hole:
            g = np.random.default_rng(2)
            for c in x.columns.intersection(NUMBERS):
                x.loc[g.random(len(x)) < 0.15, c] = np.nan
        quietly(model.fit, x, y)
        types = kinds(x, real)
        onx = quietly(to_onnx, model, initial_types=[(c, t([None, 1])) for c, t in types.items()], **export)
        asked = x[::4]
        taken = {i.name for i in onx.graph.input}
        return Made(onx, {c: column(t, asked[c]) for c, t in types.items() if c in taken}, quietly(answers, model, asked))

    zoo(name, make, "pipelines", refused)


logistic = linear_model.LogisticRegression(max_iter=1000)
table("table_logistic", pipe(prepared(), logistic))
table("table_logistic_two", pipe(prepared(), logistic), labels="two strings")
table("table_logistic_strings", pipe(prepared(), logistic), labels="strings")
table("table_logistic_columns", pipe(prepared(), logistic), options={"zipmap": "columns"})
table("table_forest", pipe(prepared(), FOREST))
table("table_forest_dense", pipe(prepared(sparse_threshold=0), FOREST), options={"zipmap": False})
table("table_forest_regressor", pipe(prepared(), ensemble.RandomForestRegressor(6, max_depth=5, **SEED)), target="cost")
table("table_boosting", pipe(prepared(), ensemble.GradientBoostingClassifier(n_estimators=5, **SEED)))
table("table_hist_boosting", pipe(prepared(sparse_threshold=0), ensemble.HistGradientBoostingClassifier(max_iter=5, **SEED)))
table("table_ridge", pipe(prepared(), linear_model.Ridge()), target="cost")
table("table_svc", pipe(prepared(), svm.SVC()), labels="strings")
table("table_svr", pipe(prepared(), svm.SVR()), target="cost")
table("table_neighbours", pipe(prepared(sparse_threshold=0), neighbors.KNeighborsClassifier(3)))
table("table_naive_bayes", pipe(prepared(sparse_threshold=0), naive_bayes.GaussianNB()))
table("table_alone", prepared(sparse_threshold=0))
table("table_of_doubles", pipe(prepared(), logistic), real=DoubleTensorType, options={"zipmap": False})
table("table_opset_12", pipe(prepared(), logistic), target_opset={"": 12, ML: 2})
table("table_passthrough", pipe(columns([("n", "passthrough", NUMBERS), ("c", onehot(), TEXTS)]), FOREST))
table("table_remainder", pipe(columns([("c", onehot(), TEXTS)], remainder="passthrough"), FOREST))
table("table_dropped", pipe(columns([("n", scaler(), NUMBERS), ("c", "drop", TEXTS)]), logistic))
table("table_ordinal", pipe(columns([("n", "passthrough", NUMBERS), ("c", preprocessing.OrdinalEncoder(), TEXTS)]), FOREST))
table("table_imputed", pipe(columns([
    ("n", pipe(impute.SimpleImputer(strategy="median"), scaler()), NUMBERS),
    ("c", pipe(impute.SimpleImputer(strategy="constant", fill_value="none", missing_values=""), onehot(handle_unknown="ignore")), TEXTS),
]), logistic), hole=True)
table("table_imputed_forest", pipe(columns([("n", impute.SimpleImputer(), NUMBERS), ("c", onehot(), TEXTS)]), FOREST), hole=True)
table("table_imputed_indicator", pipe(columns([("n", impute.SimpleImputer(add_indicator=True), NUMBERS)]), FOREST), hole=True,
      refused="running TreeEnsembleClassifier")
table("table_knn_imputed", pipe(columns([("n", impute.KNNImputer(n_neighbors=2), NUMBERS), ("c", onehot(), TEXTS)]), FOREST), hole=True,
      refused="running If node")
table("table_target_encoded", pipe(columns([("n", scaler(), NUMBERS), ("c", preprocessing.TargetEncoder(random_state=0), TEXTS)]), FOREST), labels="two")
table("table_bins", pipe(columns([("n", preprocessing.KBinsDiscretizer(4, encode="onehot-dense"), NUMBERS), ("c", onehot(), TEXTS)]), logistic))
table("table_of_integers", pipe(columns([("n", scaler(), ["visits"]), ("c", onehot(), TEXTS)]), logistic), using=("visits", *TEXTS))
table("table_of_one_hot_integers", pipe(columns([("v", onehot(handle_unknown="ignore"), ["visits"]), ("n", scaler(), NUMBERS)]), logistic), using=("visits", *NUMBERS))
table("table_of_every_type", pipe(columns([("i", "passthrough", ["visits"]), ("n", scaler(), NUMBERS), ("c", onehot(), TEXTS)]), FOREST), using=("visits", *NUMBERS, *TEXTS))
table("table_polynomial", pipe(columns([("n", pipe(scaler(), preprocessing.PolynomialFeatures(2)), NUMBERS), ("c", onehot(drop="first"), TEXTS)]), linear_model.Ridge()), target="cost")
table("table_selected", pipe(prepared(sparse_threshold=0), feature_selection.SelectKBest(k=5), logistic))
table("table_reduced", pipe(prepared(sparse_threshold=0), decomposition.PCA(4), logistic))
table("table_svd", pipe(prepared(), decomposition.TruncatedSVD(4, **SEED), FOREST))
table("table_voting", pipe(prepared(), ensemble.VotingClassifier([("a", logistic), ("b", FOREST)], voting="soft", flatten_transform=False)))
table("table_stacking", pipe(prepared(sparse_threshold=0), ensemble.StackingClassifier([("a", logistic), ("b", FOREST)], cv=3)))
table("table_power", pipe(columns([("n", preprocessing.PowerTransformer(), NUMBERS)]), linear_model.Ridge()), target="cost", using=NUMBERS)
table("table_quantile", pipe(columns([("n", preprocessing.QuantileTransformer(n_quantiles=20), NUMBERS)]), linear_model.Ridge()), target="cost", using=NUMBERS)
table("table_nested", pipe(columns([("a", columns([("n", scaler(), ["age", "income"])]), ["age", "income"]), ("d", "passthrough", ["debt"])]), FOREST), using=NUMBERS)


def joined(name, model, data="wine", hole=None, labels=None, dtype=np.float32, **export):
    """Register a pipeline over one table of numbers."""

    def make():
        x, y = load(data)
        x, asked = x.astype(dtype), rows(x, dtype=dtype)
        if hole:
            x, asked = hole(x), hole(asked)
        quietly(model.fit, x, relabel(y, labels))
        onx = quietly(to_onnx, model, x[:1], **export)
        return Made(onx, {"X": asked}, quietly(answers, model, asked))

    zoo(name, make, "pipelines")


joined("scaled_pca_logistic", pipe(scaler(), decomposition.PCA(5), logistic))
joined("scaled_pca_svc", pipe(scaler(), decomposition.PCA(5), svm.SVC(probability=True, **SEED)), labels="strings")
joined("scaled_forest", pipe(scaler(), FOREST))
joined("min_max_mlp", pipe(preprocessing.MinMaxScaler(), linear_model.SGDClassifier(loss="log_loss", **SEED)))
joined("robust_ridge", pipe(preprocessing.RobustScaler(), linear_model.Ridge()), "diabetes")
joined("polynomial_ridge", pipe(preprocessing.PolynomialFeatures(2), linear_model.Ridge()), "diabetes")
joined("selected_forest", pipe(feature_selection.SelectKBest(k=6), FOREST))
joined("imputed_scaled_svc", pipe(impute.SimpleImputer(), scaler(), svm.SVC()), hole=missing)
joined("imputed_scaled_normalized", pipe(impute.SimpleImputer(strategy="median"), scaler(), preprocessing.Normalizer(), logistic), hole=missing)
joined("union_logistic", pipe(pipeline.make_union(scaler(), decomposition.PCA(2), preprocessing.MinMaxScaler()), logistic))
joined("sliced_columns", pipe(columns([("a", scaler(), [0, 2, 4]), ("b", preprocessing.MinMaxScaler(), slice(5, 9))], remainder="passthrough"), FOREST))
joined("sliced_columns_double", pipe(columns([("a", scaler(), [0, 2, 4]), ("b", preprocessing.MinMaxScaler(), slice(5, 9))]), logistic), dtype=np.float64, options={"zipmap": False})
joined("discriminant_tree", pipe(scaler(), pipeline.make_union(decomposition.PCA(3), feature_selection.SelectKBest(k=2)), tree.DecisionTreeClassifier(max_depth=4, **SEED)))
joined("embedding_logistic", pipe(ensemble.RandomTreesEmbedding(n_estimators=4, max_depth=3, sparse_output=False, **SEED), logistic))
joined("transformed_target", pipe(scaler(), linear_model.TweedieRegressor(power=1)), "positive")
joined("forest_of_whole_rows", pipe(preprocessing.FunctionTransformer(), FOREST), "whole", dtype=np.int64)


def text(name, model, labels=None, refused="", shape=(None, 1), **export):
    """Register a model of a column of sentences."""

    def make():
        x, y = texts()
        quietly(model.fit, x, relabel(y, labels))
        onx = quietly(to_onnx, model, initial_types=[("X", StringTensorType(list(shape)))], **export)
        asked = x[:80]
        return Made(onx, {"X": asked.reshape(-1, 1) if len(shape) == 2 else asked}, quietly(answers, model, asked))

    zoo(name, make, "text", refused)


count, tfidf = feature_extraction.text.CountVectorizer, feature_extraction.text.TfidfVectorizer
text("text_counts", count())
text("text_counts_binary", count(binary=True))
text("text_counts_pairs", count(ngram_range=(1, 2)))
text("text_counts_cased", count(lowercase=False))
text("text_counts_stop_words", count(stop_words=["the", "over", "a"]))
text("text_counts_vocabulary", count(vocabulary=["fox", "invoice", "dog", "phone"]))
text("text_counts_frequent", count(min_df=3, max_features=20))
text("text_counts_characters", count(analyzer="char"))
text("text_counts_character_pairs", count(analyzer="char", ngram_range=(1, 3), max_features=80))
text("text_counts_within_words", count(analyzer="char_wb", ngram_range=(2, 3), max_features=80), refused="tokenizer='word'")
text("text_counts_pattern", count(token_pattern="[a-z]+"))
text("text_counts_plain_pattern", count(token_pattern="[a-zA-Z0-9_]+"))
text("text_tfidf", tfidf())
text("text_tfidf_l1", tfidf(norm="l1", sublinear_tf=False))
text("text_tfidf_sublinear", tfidf(sublinear_tf=True))
text("text_tfidf_plain", tfidf(use_idf=False, norm=None))
text("text_tfidf_smooth_off", tfidf(smooth_idf=False))
text("text_tfidf_pairs", tfidf(ngram_range=(2, 2), lowercase=False))
text("text_tfidf_characters", tfidf(analyzer="char", ngram_range=(2, 2)))
text("text_tfidf_vector", tfidf(), shape=(None,))
text("text_tfidf_logistic", pipe(tfidf(), logistic))
text("text_tfidf_logistic_strings", pipe(tfidf(ngram_range=(1, 2)), logistic), labels="strings")
text("text_counts_naive_bayes", pipe(count(), naive_bayes.MultinomialNB()), labels="two strings")
text("text_counts_tfidf_sgd", pipe(count(), feature_extraction.text.TfidfTransformer(), linear_model.SGDClassifier(loss="log_loss", **SEED)))
text("text_tfidf_svd_forest", pipe(tfidf(), decomposition.TruncatedSVD(5, **SEED), FOREST))
text("text_counts_forest", pipe(count(max_features=20), FOREST))
text("text_counts_linear_svc", pipe(count(), svm.LinearSVC(**SEED)), options={"nocl": False})
text("text_tfidf_logistic_opset_11", pipe(tfidf(), logistic), target_opset={"": 11, ML: 1})


def sentences_and_numbers():
    """Return a model of a sentence, a category and a number."""
    x, y = texts()
    g = np.random.default_rng(9)
    data = pd.DataFrame({"text": x, "kind": np.where(g.random(len(x)) < 0.5, "mail", "call"), "length": np.array([len(t) for t in x], np.float32)})
    model = pipe(columns([("t", tfidf(), "text"), ("k", onehot(), ["kind"]), ("n", scaler(), ["length"])]), logistic)
    quietly(model.fit, data, y)
    types = [("text", StringTensorType), ("kind", StringTensorType), ("length", FloatTensorType)]
    onx = quietly(to_onnx, model, initial_types=[(c, t([None, 1])) for c, t in types])
    asked = data[:60]
    return Made(onx, {c: column(t, asked[c]) for c, t in types}, answers(model, asked))


zoo("text_and_numbers", sentences_and_numbers, "text")


def tfidf_of_counts():
    x, _ = load("counts")
    model = feature_extraction.text.TfidfTransformer().fit(x)
    asked = rows(x)
    return Made(to_onnx(model, x[:1]), {"X": asked}, [model.transform(asked).toarray()])


zoo("tfidf_transformer", tfidf_of_counts, "text")


def hasher(name, **more):
    def make():
        model = feature_extraction.FeatureHasher(n_features=8, input_type="string", **more)
        x = NAMES[np.random.default_rng(3).integers(0, 5, (60, 2))].astype(object)
        onx = to_onnx(model, initial_types=[("X", StringTensorType([None, 2]))])
        return Made(onx, {"X": x}, [model.transform(x).toarray()])

    zoo(name, make, "text")


hasher("feature_hasher")
hasher("feature_hasher_unsigned", alternate_sign=False)
hasher("feature_hasher_double", dtype=np.float64)


def dictionary(name, key, kind):
    """Register a vectorizer of one map."""

    def make():
        records = [{key("age"): 3.5, key("size"): 1.0}, {key("age"): 1.0, key("colour"): 2.0}]
        model = feature_extraction.DictVectorizer(sparse=False).fit(records)
        onx = to_onnx(model, initial_types=[("X", DictionaryType(kind([1]), FloatTensorType([1])))])
        return Made(onx, {"X": {key("age"): 2.5, key("colour"): 7.0, key("other"): 1.0}}, [])

    zoo(name, make, "text")


dictionary("dict_vectorizer", str, StringTensorType)
