"""Export one small model of each kind that scikit-learn users bring, and record
what ONNX Runtime answers.

Each pair testdata/sklearn/NAME.onnx and NAME.json is a test of the engine. The
exports are skl2onnx's defaults, so they hold what real files hold, for example
an operator set that is imported twice. testdata/models holds what a reader of
docs/serve-your-own-model.md gets by following it.

Run it by `scripts/make_model.sh export_fixtures.py`. Unlike the shipped model, some are fitted by BLAS, whose
rounding depends on the processor: another machine may write other last bits,
which is why `make model` leaves them alone.
"""

import argparse
import contextlib
import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import reproducible
import skl2onnx
from sklearn.datasets import load_diabetes, load_iris, load_linnerud
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

SEED = 7
TRAINING_ROWS = 15
RANDOM_ROWS = 15


def models():
    """Yield (name, unfitted model, float32 rows, target)."""
    iris = load_iris()
    flowers, species = iris.data.astype(np.float32), iris.target
    names, is_last = iris.target_names[species], (species == 2).astype(np.int64)
    patients, progress = (a.astype(np.float32) for a in load_diabetes(return_X_y=True))
    athletes, measures = (a.astype(np.float32) for a in load_linnerud(return_X_y=True))
    trees = {"random_state": SEED, "max_depth": 4}
    forest = {**trees, "n_estimators": 5}

    yield "logistic_binary", LogisticRegression(max_iter=1000), flowers, is_last
    yield "logistic_multiclass", LogisticRegression(max_iter=1000), flowers, species
    yield "logistic_string_labels", LogisticRegression(max_iter=1000), flowers, names
    for name, step in (
        ("standard_scaler", StandardScaler()),
        ("min_max_scaler", MinMaxScaler()),
        ("max_abs_scaler", MaxAbsScaler()),
        ("normalizer_l2", Normalizer("l2")),
        ("normalizer_l1", Normalizer("l1")),
        ("normalizer_max", Normalizer("max")),
    ):
        yield name, make_pipeline(step, LogisticRegression(max_iter=1000)), flowers, species
    yield "ridge_classifier", RidgeClassifier(), flowers, species
    yield "linear_svc", LinearSVC(random_state=SEED), flowers, species
    yield "linear_svc_binary", LinearSVC(random_state=SEED), flowers, is_last
    yield "linear_regression", LinearRegression(), patients, progress
    yield "linear_regression_multiple", LinearRegression(), athletes, measures
    yield "ridge", Ridge(), patients, progress
    yield "tree_classifier", DecisionTreeClassifier(**trees), flowers, species
    yield "tree_regressor", DecisionTreeRegressor(**trees), patients, progress
    yield "tree_regressor_multiple", DecisionTreeRegressor(**trees), athletes, measures
    yield "forest_binary", RandomForestClassifier(**forest), flowers, is_last
    yield "forest_string_labels", RandomForestClassifier(**forest), flowers, names
    yield "forest_regressor", RandomForestRegressor(**forest), patients, progress
    yield "forest_regressor_multiple", RandomForestRegressor(**forest), athletes, measures
    yield "extra_trees", ExtraTreesClassifier(**forest), flowers, species
    yield "gradient_boosting_binary", GradientBoostingClassifier(**forest), flowers, is_last
    yield "gradient_boosting_multiclass", GradientBoostingClassifier(**forest), flowers, species
    yield "gradient_boosting_regressor", GradientBoostingRegressor(**forest), patients, progress


def sample(rows, rng):
    """Return some of the rows, and random ones within their ranges."""
    chosen = rows[rng.choice(len(rows), TRAINING_ROWS, replace=False)]
    low, high = rows.min(axis=0), rows.max(axis=0)
    drawn = low + (high - low) * rng.random((RANDOM_ROWS, rows.shape[1]))
    return np.vstack([chosen, drawn.astype(np.float32)])


def tensor(name, value):
    """Return a tensor as the Open Inference Protocol writes it. A sequence of
    maps becomes one FP32 tensor whose columns are in the order of the keys."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = np.array([[row[k] for k in value[0]] for row in value], np.float32)
    value = np.asarray(value)
    kinds = {"f": "FP32", "i": "INT64"}
    data = value.ravel()
    # str gives the shortest text that round-trips in the precision of x itself.
    items = [float(str(x)) for x in data] if value.dtype.kind == "f" else data.tolist()
    datatype = kinds.get(value.dtype.kind, "BYTES")
    return {"name": name, "datatype": datatype, "shape": list(value.shape), "data": items}


def record(model_bytes, rows):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(model_bytes, options, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    answers = session.run(None, {source.name: rows})
    outputs = [tensor(o.name, a) for o, a in zip(session.get_outputs(), answers, strict=True)]
    return {"inputs": [tensor(source.name, rows)], "outputs": outputs}


def dump(path, recorded):
    """Write one tensor a line."""
    lines = ["{"]
    for i, side in enumerate(("inputs", "outputs")):
        tensors = ",\n".join("  " + json.dumps(t, separators=(",", ":")) for t in recorded[side])
        lines += [f' "{side}": [', tensors, " ]," if i == 0 else " ]"]
    path.write_text("\n".join([*lines, "}", ""]), encoding="utf-8")


def follow_the_page(root):
    """Do what docs/serve-your-own-model.md says, in testdata."""
    page = (root / "docs" / "serve-your-own-model.md").read_text(encoding="utf-8")
    code, manifest = (
        re.search(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL).group(1)
        for language in ("python", "yaml")
    )
    with contextlib.chdir(root / "testdata"):
        exec(code, {})
    wine = root / "testdata" / "models" / "wine"
    (wine / "model.yaml").write_text(manifest, encoding="utf-8")
    exported = wine / "1" / "model.onnx"
    exported.write_bytes(reproducible.serialize(onnx.load(exported)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root
    follow_the_page(root)
    folder = root / "testdata" / "sklearn"
    folder.mkdir(parents=True, exist_ok=True)
    for name, model, rows, target in models():
        exported = skl2onnx.to_onnx(model.fit(rows, target), rows[:1])
        onnx.checker.check_model(exported)
        data = reproducible.serialize(exported)
        (folder / f"{name}.onnx").write_bytes(data)
        dump(folder / f"{name}.json", record(data, sample(rows, np.random.default_rng(SEED))))
        operators = sorted({n.op_type for n in exported.graph.node})
        print(f"{name}: {len(data)} bytes, {', '.join(operators)}")


if __name__ == "__main__":
    main()
