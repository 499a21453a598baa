"""What a model of the zoo is, and how most are made: trained, exported, and
asked for the training library's own answers."""

import warnings
from dataclasses import dataclass, field

import numpy as np
import sklearn.base
from data import load, relabel, rows
from skl2onnx import to_onnx

ML = "ai.onnx.ml"
ZOO = {}


@dataclass
class Made:
    """A model with what it is asked, and what its library answers: a list of
    arrays to compare with outputs by shape and kind; empty when there is no
    such answer."""

    model: object
    feeds: dict
    library: list = field(default_factory=list)


@dataclass
class Entry:
    """make builds the model. refused is what the exporter or ONNX Runtime says
    of a model that cannot be had: the zoo says so, and fails when it can."""

    make: object
    group: str
    refused: str


def zoo(name, make, group, refused=""):
    """Register a model under a unique name."""
    if name in ZOO:
        raise ValueError(f"two models are called {name}")
    ZOO[name] = Entry(make, group, refused)


def quietly(call, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*args, **kwargs)


def answers(model, x):
    """Return what a scikit-learn model says of x; what it predicts comes first.
    The one decision value of two classes is also given as exports write it."""
    names = ["predict", "predict_proba", "decision_function", "score_samples"]
    if not (sklearn.base.is_classifier(model) or sklearn.base.is_regressor(model)):
        names.insert(1, "transform")
    out = []
    for name in names:
        try:
            out.append(dense(getattr(model, name)(x)))
        except (AttributeError, NotImplementedError, ValueError):
            continue
        if name == "decision_function" and out[-1].ndim == 1:
            out.append(np.stack([-out[-1], out[-1]], axis=1))
    return out


def dense(a):
    if isinstance(a, list):  # one array for each target
        return np.stack([np.asarray(v) for v in a])
    return np.asarray(a.toarray() if hasattr(a, "toarray") else a)


def skl(name, estimator, data, labels=None, dtype=np.float32, hole=None, refused="", **export):
    """Register an estimator of features and a target. hole makes features
    missing; export goes to skl2onnx."""

    def make():
        x, y = load(data)
        x, asked = x.astype(dtype), rows(x, dtype=dtype)
        if hole:
            x, asked = hole(x), hole(asked)
        model = sklearn.base.clone(estimator)
        quietly(model.fit, x, relabel(y, labels))
        onx = quietly(to_onnx, model, x[:1], **export)
        return Made(onx, {onx.graph.input[0].name: asked}, quietly(answers, model, asked))

    zoo(name, make, "scikit-learn", refused)
