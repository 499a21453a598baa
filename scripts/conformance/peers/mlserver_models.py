"""Writes a folder of models for MLServer: python mlserver_models.py FOLDER HTTP_PORT GRPC_PORT METRICS_PORT."""

import json
import pathlib
import sys

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import models

folder = pathlib.Path(sys.argv[1])
http, grpc, metrics = map(int, sys.argv[2:5])


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


write(folder / "settings.json", {
    "host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics, "parallel_workers": 0,
})
for name, spec in models.SPECS.items():
    settings = {"name": name, "implementation": "mlserver_runtime.Runtime", "parameters": {"version": "1"}, **spec}
    if name == "iris":  # by MLServer's own runtime for scikit-learn
        settings["implementation"] = "mlserver_sklearn.SKLearnModel"
        settings["parameters"]["uri"] = "./model.joblib"
    write(folder / name / "model-settings.json", settings)
joblib.dump(LogisticRegression(max_iter=1000).fit(*load_iris(return_X_y=True)), folder / "iris" / "model.joblib")
