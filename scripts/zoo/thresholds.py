"""Rows that stand on the thresholds of a model's trees, and one step beside."""

import numpy as np
from onnx import numpy_helper

EACH = 3  # below, on and above
MOST = 300  # thresholds of one feature; of more, as many are drawn
REACHED = 120  # nodes that rows are led to
TREES = ("TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble")


def attributes(node):
    """Return a node's attributes; a tensor takes the place of a list."""
    out = {}
    for a in node.attribute:
        for kind in ("floats", "ints", "strings"):
            if list(getattr(a, kind)):
                out[a.name] = list(getattr(a, kind))
        if a.HasField("t"):
            out[a.name.removesuffix("_as_tensor")] = numpy_helper.to_array(a.t)
    return out


def trees(model):
    """Yield the nodes that are ensembles of trees."""
    return (n for n in model.graph.node if n.op_type in TREES)


def ensembles(model):
    """Yield (attributes, graph input) for each ensemble of trees that reads a
    graph's input as it is."""
    makers = {o: n for n in model.graph.node for o in n.output}
    inputs = {i.name for i in model.graph.input}
    for node in trees(model):
        source = node.input[0]
        while source in makers and makers[source].op_type in ("Identity", "Cast"):
            source = makers[source].input[0]
        if source in inputs:
            yield node.op_type, attributes(node), source


def comparisons(op, a):
    """Return features and thresholds of the nodes that compare."""
    features = np.array(a.get("nodes_featureids", []), np.int64)
    if op == "TreeEnsemble":
        values, compares = np.asarray(a["nodes_splits"]), np.asarray(a["nodes_modes"]) != 6
    else:
        values, compares = np.asarray(a["nodes_values"]), np.array([m != b"LEAF" for m in a["nodes_modes"]])
    return features[compares], values[compares]


def beside(t, dtype):
    """Return the values of a type below, on and above a threshold."""
    if np.issubdtype(dtype, np.integer):
        return np.array([np.ceil(t) - 1, np.floor(t), np.floor(t) + 1]).astype(dtype)
    t = np.asarray(t, dtype)
    return np.array([np.nextafter(t, dtype.type(-np.inf)), t, np.nextafter(t, dtype.type(np.inf))])


def packed(features, values, base, g):
    """Return rows of which each feature stands by another of its thresholds in
    each, so that every threshold has its three."""
    lists = {}
    for f in np.unique(features):
        distinct = np.unique(values[features == f])
        if len(distinct) > MOST:
            distinct = g.choice(distinct, MOST, replace=False)
        lists[f] = np.concatenate([beside(t, base.dtype) for t in distinct])
        g.shuffle(lists[f])
    count = max(map(len, lists.values()), default=0)
    rows = base[g.integers(0, len(base), count)]
    for f, list_ in lists.items():
        rows[: len(list_), f] = list_
    return rows


def bound(row, f, t, low):
    """Move a feature to the side of a threshold that a branch needs."""
    if low and not row[f] <= t:
        row[f] = t
    if not low and not row[f] > t:
        row[f] = beside(t, row.dtype)[2]


def led(a, base, g):
    """Return rows led to nodes of a classic ensemble, by their thresholds."""
    if {m for m in a["nodes_modes"]} - {b"LEAF", b"BRANCH_LEQ"}:
        return base[:0]
    keys = list(zip(a["nodes_treeids"], a["nodes_nodeids"], strict=True))
    at = {k: i for i, k in enumerate(keys)}
    parents = {}
    for i, (tree, _) in enumerate(keys):
        if a["nodes_modes"][i] != b"LEAF":
            parents[at[tree, a["nodes_truenodeids"][i]]] = (i, True)
            parents[at[tree, a["nodes_falsenodeids"][i]]] = (i, False)
    inner = [i for i in range(len(keys)) if a["nodes_modes"][i] != b"LEAF"]
    rows = []
    for i in g.permutation(inner)[:REACHED]:
        row, path = base[g.integers(len(base))].copy(), []
        for v in beside(a["nodes_values"][i], base.dtype):
            row, path, node = row.copy(), [], i
            while node in parents:
                path.append(parents[node])
                node = parents[node][0]
            for up, low in reversed(path):
                bound(row, a["nodes_featureids"][up], a["nodes_values"][up], low)
            row[a["nodes_featureids"][i]] = v
            rows.append(row)
    return np.array(rows, base.dtype).reshape(-1, base.shape[1])


def add(model, feeds):
    """Return what a model of one table is asked, with rows on thresholds."""
    if len(feeds) != 1:
        return feeds
    ((name, base),) = feeds.items()
    if not isinstance(base, np.ndarray) or base.ndim != 2 or base.dtype.kind not in "fi":
        return feeds
    g = np.random.default_rng(17)
    found = [(op, a) for op, a, source in ensembles(model) if source == name]
    if not found:
        return feeds
    pairs = [comparisons(op, a) for op, a in found]
    more = [packed(np.concatenate([f for f, _ in pairs]), np.concatenate([v for _, v in pairs]), base, g)]
    more += [led(a, base, g) for op, a in found[:3] if op != "TreeEnsemble"]
    return {name: np.concatenate([base, *more])}
