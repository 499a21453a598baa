"""Data sets that models of the zoo are trained on. Features are float32 values
from the start, so that a model answers the same in either precision."""

import functools

import numpy as np
import pandas as pd
from sklearn import datasets

NAMES = np.array(["barbera", "barolo", "grignolino", "nebbiolo", "weiß"])
ROWS = 60


def features(x):
    return np.ascontiguousarray(x, dtype=np.float32)


@functools.cache
def load(name):
    """Return features [N, F] and target."""
    g = np.random.default_rng(11)
    if name in ("iris", "wine", "diabetes"):
        d = getattr(datasets, f"load_{name}")()
        return features(d.data), d.target
    if name == "cancer":
        d = datasets.load_breast_cancer()
        return features(d.data[:, :10]), d.target
    if name == "wide":
        x, y = datasets.make_classification(400, 20, n_informative=12, n_classes=5, random_state=3)
        return features(x), y
    if name == "whole":  # small integers, the same in every type
        x, y = load("wide")
        return features(np.round(x[:, :8] * 3)), y % 3
    if name == "targets":
        x, y = datasets.make_regression(300, 6, n_targets=3, noise=1, random_state=5)
        return features(x), features(y / 50)
    if name == "marks":  # several labels for each row
        x, y = datasets.make_multilabel_classification(300, 8, n_classes=4, random_state=6)
        return features(x), y
    if name == "counts":  # of words, say: features and target are not negative
        x = g.poisson(1.5, (300, 9))
        return features(x), g.poisson(np.exp(0.2 * x[:, 0] - 0.1 * x[:, 1] + 0.3))
    if name == "classes of counts":
        x, y = load("counts")
        return x, (x[:, 0] + x[:, 3] > x[:, 5] + 1).astype(np.int64) + (x[:, 7] > 2)
    if name == "positive":
        x, y = load("diabetes")
        return x, y / 100
    if name == "queries":
        x = features(g.normal(size=(300, 7)))
        return x, np.clip(np.round(x[:, 0] + x[:, 1] * x[:, 2] + 1), 0, 4).astype(np.int64)
    if name == "codes":  # categories as numbers
        x = features(g.integers(0, 5, (300, 4)))
        return x, ((x[:, 0] + x[:, 1]) % 3).astype(np.int64)
    raise KeyError(name)


def rows(x, count=ROWS, dtype=np.float32):
    """Return rows to predict: half of them as in training, half moved."""
    picked = x[:: max(1, len(x) // count)][:count]
    noise = np.random.default_rng(7).normal(size=picked.shape) * x.std(axis=0)
    out = np.concatenate([picked[: count // 2], (picked + noise)[count // 2 :]]).astype(np.float32)
    if np.array_equal(x, np.round(x)):
        out = np.clip(np.round(out), x.min(axis=0), x.max(axis=0))
    return np.ascontiguousarray(out, dtype=dtype)


def missing(x, share=0.1, seed=3):
    x = x.astype(np.float32).copy()
    x[np.random.default_rng(seed).random(x.shape) < share] = np.nan
    return x


def relabel(y, how):
    """Return the target in another form."""
    if how is None:
        return y
    if how == "strings":
        return NAMES[y]
    if how == "two":
        return (y == 1).astype(np.int64)
    if how == "two strings":
        return np.where(y == 1, "yes", "no")
    if how == "bools":
        return y == 1
    if how == "far":  # integers that are not 0 to n
        return y * 10 - 7
    if how == "two far":
        return np.where(y == 1, 7, 3)
    raise KeyError(how)


@functools.cache
def frame():
    """Return a table of columns of several types, and two targets."""
    g = np.random.default_rng(21)
    n = 300
    table = pd.DataFrame({
        "age": g.integers(18, 90, n).astype(np.float32),
        "income": features(np.round(g.lognormal(3, 0.5, n), 2)),
        "debt": features(np.round(g.normal(10, 4, n), 2)),
        "visits": g.integers(0, 12, n).astype(np.int64),
        "city": np.array(["Bern", "Oslo", "Porto", "Łódź", "Ålesund"])[g.integers(0, 5, n)],
        "plan": np.array(["free", "basic", "pro"])[g.integers(0, 3, n)],
    })
    score = table.age / 40 + table.income / 20 + (table.city == "Oslo") - (table.plan == "pro") + g.normal(0, 0.3, n)
    table["risk"] = np.digitize(score, np.quantile(score, [0.4, 0.75]))
    table["cost"] = features(score)
    return table


WORDS = (
    "the quick brown fox jumps over a lazy dog while seven wizards box quietly near old stone bridges "
    "invoice payment overdue account refund delivery late parcel broken screen battery phone router "
    "Straße café naïve Übung déjà vu 42 3.14 e-mail user@example.com don't well-known A.B.C. x2"
).split()


@functools.cache
def texts(count=120):
    """Return sentences [N] and a target: whether and how a word of some group
    is in them."""
    g = np.random.default_rng(31)
    out = []
    for i in range(count):
        words = list(g.choice(WORDS, g.integers(1, 14)))
        if i % 5 == 0:
            words[0] = words[0].upper()
        out.append((", " if i % 7 == 0 else "  " if i % 11 == 0 else " ").join(words) + "." * (i % 3))
    out[1], out[2], out[3] = "", "   ", "one"
    y = np.array([2 if "invoice" in t or "refund" in t else "fox" in t or "phone" in t for t in out], np.int64)
    return np.array(out, dtype=object), y
