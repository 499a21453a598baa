"""The classes of scikit-learn that answer rows and have no converter."""

import inspect

from entry import zoo
from skl2onnx import to_onnx
from skl2onnx._supported_operators import sklearn_operator_name_map as converters
from skl2onnx.common.data_types import FloatTensorType
from sklearn import linear_model
from sklearn.utils import all_estimators

ANSWERS = ("predict", "transform", "score_samples")


def unfitted(kind):
    """Return a model of a class; a logistic regression takes the place of what it
    must be given."""
    required = [p for p in inspect.signature(kind).parameters.values() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    return kind(**{p.name: linear_model.LogisticRegression() for p in required})


def unconverted(name, kind):
    """Register a class. Its converter is looked for before the training is."""

    def make():
        to_onnx(unfitted(kind), initial_types=[("X", FloatTensorType([None, 4]))])
        raise RuntimeError("it has a converter")

    zoo(f"unconverted_{name}", make, "unconverted", "Unable to find a shape calculator")


for name, kind in all_estimators():
    if any(hasattr(kind, a) for a in ANSWERS) and kind not in converters:
        unconverted(name, kind)
