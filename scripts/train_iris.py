"""Train the shipped iris model, export it to ONNX and record golden data.

The model is what a user of scikit-learn would export: a random forest on
scikit-learn's bundled data set, written by skl2onnx with its defaults. The
golden data are rows with the answers of scikit-learn and of ONNX Runtime, so
that the engine can be held against both without Python.

Run it by `make model`. With the versions of requirements.txt the files it
writes are the same, byte for byte, each time.
"""

import argparse
import csv
import hashlib
import json
import platform
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import reproducible
import skl2onnx
import sklearn
from onnx.numpy_helper import to_array
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

SEED = 20260821
TREES = 100
FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
CLASSES = ("setosa", "versicolor", "virginica")
# The least value in a random row; the model's contract says "over 0".
SMALLEST = 0.01
# Largest difference between the scores of the two libraries that is accepted:
# ONNX Runtime adds 100 leaves in float32, scikit-learn in float64.
TOLERANCE = 1e-6


def train():
    """Return the fitted forest and the float32 rows it was fitted on."""
    iris = load_iris()
    rows = iris.data.astype(np.float32)
    forest = RandomForestClassifier(n_estimators=TREES, random_state=SEED, n_jobs=1)
    forest.fit(rows, iris.target)
    return forest, rows


def export(forest, rows):
    """Return the ONNX model as bytes."""
    model = skl2onnx.to_onnx(forest, rows[:1])
    onnx.checker.check_model(model, full_check=True)
    return reproducible.serialize(model)


def random_rows(rows, rng):
    """Return 1,000 rows as one measures, with one decimal, and 1,000 of full
    float32 precision, up to a quarter of its range beyond the data."""
    low, high = rows.min(axis=0), rows.max(axis=0)
    margin = (high - low) / 4
    low, high = np.maximum(low - margin, SMALLEST), high + margin
    drawn = low + (high - low) * rng.random((2000, rows.shape[1]))
    drawn[:1000] = np.maximum(np.round(drawn[:1000], 1), 0.1)
    return drawn.astype(np.float32)


def exported_thresholds(model_bytes):
    """Return {(tree, node): float32 threshold} of the exported ensemble."""
    graph = onnx.load_from_string(model_bytes).graph
    ensemble = next(n for n in graph.node if n.op_type == "TreeEnsembleClassifier")
    attributes = {a.name: a for a in ensemble.attribute}
    values = attributes["nodes_values"]
    floats = np.asarray(values.floats, np.float32) if values.floats else to_array(values.t)
    return {
        (tree, node): value
        for tree, node, value in zip(
            attributes["nodes_treeids"].ints,
            attributes["nodes_nodeids"].ints,
            floats,
            strict=True,
        )
    }


def threshold_rows(forest, rows, model_bytes):
    """Return rows that reach each inner node of each tree with that node's
    feature on the exported threshold, one ulp below it and one ulp above it.

    Training rows that reach the node (the first, middle and last of them) serve
    as bases: the threshold lies within the bounds that the path sets for its
    feature, so the changed row still gets there.
    """
    thresholds = exported_thresholds(model_bytes)
    found = {}
    for tree_index, estimator in enumerate(forest.estimators_):
        tree = estimator.tree_
        reached = tree.decision_path(rows)
        for node in range(tree.node_count):
            feature = tree.feature[node]
            if feature < 0:
                continue
            threshold = thresholds[tree_index, node]
            values = (
                np.nextafter(threshold, np.float32(-np.inf)),
                threshold,
                np.nextafter(threshold, np.float32(np.inf)),
            )
            bases = reached[:, node].nonzero()[0]
            for base in sorted({bases[0], bases[len(bases) // 2], bases[-1]}):
                for value in values:
                    row = rows[base].copy()
                    row[feature] = value
                    found[row.tobytes()] = row
    return np.stack(list(found.values()))


def run_onnxruntime(model_bytes, rows):
    """Return ONNX Runtime's labels and float32 scores, computed on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    session = ort.InferenceSession(model_bytes, options, providers=["CPUExecutionProvider"])
    labels, maps = session.run(None, {session.get_inputs()[0].name: rows})
    scores = np.array([[m[c] for c in range(len(CLASSES))] for m in maps], np.float32)
    return labels, scores


def answers(forest, model_bytes, rows):
    """Return the answers of both libraries; fail where they contradict."""
    labels, scores = run_onnxruntime(model_bytes, rows)
    # float32, as the model is given: scikit-learn compares float32 features
    # with float64 thresholds, which the export rounds down to float32.
    expected = forest.predict_proba(rows)
    expected_labels = forest.predict(rows)
    worst = np.abs(expected - scores).max()
    if worst > TOLERANCE:
        sys.exit(f"scikit-learn and ONNX Runtime differ by {worst} in a score")
    best = np.sort(expected, axis=1)
    tied = best[:, -1] - best[:, -2] <= TOLERANCE
    if np.any((labels != expected_labels) & ~tied):
        sys.exit("scikit-learn and ONNX Runtime differ in the label of a row without a tie")
    return labels, scores, expected_labels, expected, worst


def write_golden(path, rows, answer):
    """Write one CSV line a row; every number in the shortest form that
    round-trips in its own type (features and ort: float32, sklearn: float64)."""
    labels, scores, expected_labels, expected, _ = answer
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(
            [*FEATURES, "ort_label", *(f"ort_{c}" for c in CLASSES)]
            + ["sklearn_label", *(f"sklearn_{c}" for c in CLASSES)]
        )
        for row, label, score, expected_label, expect in zip(
            rows, labels, scores, expected_labels, expected, strict=True
        ):
            out.writerow([*map(str, row), label, *map(str, score), expected_label, *map(str, expect)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root

    forest, rows = train()
    model = export(forest, rows)
    target = root / "models" / "iris" / "1" / "model.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(model)

    golden = root / "testdata" / "iris"
    golden.mkdir(parents=True, exist_ok=True)
    sets = {
        "training": rows,
        "random": random_rows(rows, np.random.default_rng(SEED)),
        "thresholds": threshold_rows(forest, rows, model),
    }
    digest = hashlib.sha256(model).hexdigest()
    about = {
        "model_sha256": digest,
        "seed": SEED,
        "tolerance": TOLERANCE,
        "rows": {name: len(data) for name, data in sets.items()},
        "versions": {
            "scikit-learn": sklearn.__version__,
            "skl2onnx": skl2onnx.__version__,
            "onnx": onnx.__version__,
            "onnxruntime": ort.__version__,
            "numpy": np.__version__,
        },
    }
    print(f"{target.relative_to(root)}: {len(model)} bytes, SHA-256 {digest}")
    for name, data in sets.items():
        answer = answers(forest, model, data)
        path = golden / f"{name}.csv"
        write_golden(path, data, answer)
        print(f"{path.relative_to(root)}: {len(data)} rows, largest difference {answer[-1]:.2g}")
    (golden / "about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if platform.python_implementation() != "CPython":
        sys.exit("run this with CPython, for which the pinned packages are built")
    main()
