"""Write models of the sizes that `make bench` compares with ONNX Runtime.

    python scripts/bench/models.py FOLDER

Random data with a signal in it: what counts is the shape of the trees. rows.json
holds rows of the same kind that the models have not seen.
"""

import json
import pathlib
import sys

import lightgbm
import numpy as np
import onnxmltools
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ROWS, FEATURES = 4000, 50


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, FEATURES)).astype(np.float32)
    y = (x[:, :10].sum(1) + random.normal(size=ROWS) > 0).astype(int) + (x[:, 10:20].sum(1) > 2)
    columns = [("X", FloatTensorType([None, FEATURES]))]

    def save(name, model):
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())

    def sklearn(name, estimator, **options):
        save(name, to_onnx(estimator.fit(x, y), x[:1], options=options or None))

    sklearn("forest-500-depth-8", RandomForestClassifier(500, max_depth=8, random_state=0), zipmap=False)
    sklearn("forest-500-depth-12", RandomForestClassifier(500, max_depth=12, random_state=0), zipmap=False)
    sklearn("forest-1000-depth-10", RandomForestRegressor(1000, max_depth=10, random_state=0))
    sklearn("scaled-logistic", make_pipeline(StandardScaler(), LogisticRegression()), zipmap=False)
    booster = xgboost.XGBRegressor(n_estimators=1000, max_depth=6).fit(x, y)
    save("xgboost-1000-depth-6", onnxmltools.convert_xgboost(booster, initial_types=columns, target_opset=15))
    booster = lightgbm.LGBMRegressor(n_estimators=500, num_leaves=63, verbose=-1).fit(x, y)
    save("lightgbm-500-leaves-63", onnxmltools.convert_lightgbm(booster, initial_types=columns, target_opset=15))
    # About a hundred megabytes, for the time and the memory of a load.
    x = random.normal(size=(2 * ROWS, FEATURES)).astype(np.float32)
    forest = RandomForestRegressor(1000, max_depth=12, max_features=8, random_state=0)
    save("forest-1000-depth-12", to_onnx(forest.fit(x, x[:, :10].sum(1) + random.normal(size=2 * ROWS)), x[:1]))
    rows = random.normal(size=(2 * ROWS, FEATURES)).round(4)
    tensor = {"name": "X", "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel().tolist()}
    (folder / "rows.json").write_text(json.dumps({"inputs": [tensor]}))


if __name__ == "__main__":
    main()
