"""Writes ort.json: small random tree ensembles and what ONNX Runtime makes of them.

Needs numpy, onnx and onnxruntime. Run it in this directory.
"""

import json

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

rng = np.random.default_rng(20260821)
MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
FEATURES = 3
THRESHOLDS = np.array([-1.5, -0.25, 0.5, 0.75, 1.25, 2.5, 3.5], dtype=np.float32)


def rows(count):
    x = rng.choice(np.concatenate([THRESHOLDS, np.float32([0, 1, 2, 3, np.inf, -np.inf])]), (count, FEATURES))
    x = np.where(rng.random(x.shape) < 0.5, rng.normal(size=x.shape), x).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    return x


def grow(nodes, tree, depth, modes):
    i = len(nodes)
    nodes.append(None)
    me = sum(1 for n in nodes[:i] if n["tree"] == tree)
    if depth == 0 or rng.random() < 0.2:
        nodes[i] = dict(tree=tree, id=me, feature=0, mode="LEAF", value=0.0, yes=0, no=0, missing=0)
        return me
    node = dict(tree=tree, id=me, feature=int(rng.integers(FEATURES)), mode=str(rng.choice(modes)),
                value=float(rng.choice(THRESHOLDS)), missing=int(rng.integers(2)))
    nodes[i] = node
    node["yes"] = grow(nodes, tree, depth - 1, modes)
    node["no"] = grow(nodes, tree, depth - 1, modes)
    return me


def weight(positive):
    w = rng.random() / 4 if positive else rng.normal()
    return float(str(np.float32(w)))


def old(classifier, targets, trees, modes, positive, votes, columns, base, transform, aggregate, double=False):
    nodes = []
    for t in range(trees):
        grow(nodes, t, 3, modes)
    vote = []
    for n in nodes:
        if n["mode"] == "LEAF":
            for c in rng.permutation(columns)[: len(columns) if votes == "all" else 1]:
                vote.append((n["tree"], n["id"], int(c), weight(positive)))
    attrs = dict(
        nodes_treeids=[n["tree"] for n in nodes], nodes_nodeids=[n["id"] for n in nodes],
        nodes_featureids=[n["feature"] for n in nodes], nodes_modes=[n["mode"] for n in nodes],
        nodes_truenodeids=[n["yes"] for n in nodes], nodes_falsenodeids=[n["no"] for n in nodes],
        nodes_missing_value_tracks_true=[n["missing"] for n in nodes], post_transform=transform)
    prefix = "class" if classifier else "target"
    attrs[prefix + "_treeids"], attrs[prefix + "_nodeids"], attrs[prefix + "_ids"], weights = map(list, zip(*vote))
    if double:
        tensor = lambda name, v: helper.make_tensor(name, TensorProto.DOUBLE, [len(v)], v)
        attrs["nodes_values_as_tensor"] = tensor("values", [n["value"] for n in nodes])
        attrs[prefix + "_weights_as_tensor"] = tensor("weights", weights)
    else:
        attrs["nodes_values"], attrs[prefix + "_weights"] = [n["value"] for n in nodes], weights
    if base:
        attrs["base_values"] = base
    if classifier:
        attrs["classlabels_int64s"] = list(range(targets))
    else:
        attrs.update(n_targets=targets, aggregate_function=aggregate)
    op = "TreeEnsembleClassifier" if classifier else "TreeEnsembleRegressor"
    outputs = ["label", "scores"] if classifier else ["scores"]
    node = helper.make_node(op, ["x"], outputs, domain="ai.onnx.ml", **attrs)
    case = dict(
        op=op, classifier=classifier, targets=targets, transform=transform, aggregate=aggregate, base=base or [],
        double=double, tree_ids=attrs["nodes_treeids"], node_ids=attrs["nodes_nodeids"],
        feature_ids=attrs["nodes_featureids"], modes=attrs["nodes_modes"], true_ids=attrs["nodes_truenodeids"],
        false_ids=attrs["nodes_falsenodeids"], missing=attrs["nodes_missing_value_tracks_true"],
        values=[n["value"] for n in nodes], vote_tree_ids=attrs[prefix + "_treeids"],
        vote_node_ids=attrs[prefix + "_nodeids"], vote_targets=attrs[prefix + "_ids"], vote_weights=weights)
    return node, case


def v5(targets, trees, transform, aggregate, double):
    nodes, leaves, members = [], [], []

    def leaf():
        leaves.append((int(rng.integers(targets)), weight(False)))
        return len(leaves) - 1, 1

    def branch(depth):
        if depth == 0 or rng.random() < 0.2:
            return leaf()
        i = len(nodes)
        n = dict(feature=int(rng.integers(FEATURES)), mode=int(rng.integers(7)), split=float(rng.choice(THRESHOLDS)),
                 missing=int(rng.integers(2)))
        nodes.append(n)
        n["yes"], n["yesleaf"] = branch(depth - 1)
        n["no"], n["noleaf"] = branch(depth - 1)
        return i, 0

    roots = []
    for _ in range(trees):
        depth = 4
        i, is_leaf = branch(depth)
        while is_leaf:
            leaves.pop()
            i, is_leaf = branch(depth)
        roots.append(i)
    for n in nodes:
        if n["mode"] == 6:
            members += [float(v) for v in rng.permutation([1.0, 2.0, 3.0])[: rng.integers(1, 4)]] + [float("nan")]
    kind, dtype = (TensorProto.DOUBLE, np.float64) if double else (TensorProto.FLOAT, np.float32)
    tensor = lambda name, t, v: helper.make_tensor(name, t, [len(v)], v)
    get = lambda key: [n[key] for n in nodes]
    attrs = dict(
        # The operator's text has SOFTMAX 1 and LOGISTIC 2; the runtime reads them the other way round.
        aggregate_function=aggregate, post_transform=[0, 2, 1, 3, 4][transform], n_targets=targets, tree_roots=roots,
        nodes_featureids=get("feature"), nodes_modes=tensor("modes", TensorProto.UINT8, get("mode")),
        nodes_splits=tensor("splits", kind, get("split")), nodes_truenodeids=get("yes"), nodes_trueleafs=get("yesleaf"),
        nodes_falsenodeids=get("no"), nodes_falseleafs=get("noleaf"), nodes_missing_value_tracks_true=get("missing"),
        leaf_targetids=[t for t, _ in leaves], leaf_weights=tensor("weights", kind, [w for _, w in leaves]))
    if members:
        attrs["membership_values"] = tensor("members", kind, members)
    node = helper.make_node("TreeEnsemble", ["x"], ["scores"], domain="ai.onnx.ml", **attrs)
    case = dict(
        op="TreeEnsemble", targets=targets, double=double, v5_transform=transform, v5_aggregate=aggregate, roots=roots,
        feature_ids=get("feature"), v5_modes=get("mode"), values=get("split"), true_ids=get("yes"), true_leafs=get("yesleaf"),
        false_ids=get("no"), false_leafs=get("noleaf"), missing=get("missing"), leaf_targets=[t for t, _ in leaves],
        leaf_weights=[w for _, w in leaves], members=[None if m != m else m for m in members])
    return node, case


def text(value):
    return float(str(value)) if np.isfinite(value) else str(value)


def run(node, case, opset):
    kind = TensorProto.DOUBLE if case["double"] else TensorProto.FLOAT
    outputs = []
    if len(node.output) == 2:
        outputs.append(helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]))
    score = kind if case["op"] == "TreeEnsemble" else TensorProto.FLOAT
    outputs.append(helper.make_tensor_value_info("scores", score, ["n", case["targets"]]))
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", kind, ["n", FEATURES])], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("ai.onnx.ml", opset), helper.make_opsetid("", 18)],
                              ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = rows(6)
    got = session.run(None, {"x": x.astype(np.float64) if case["double"] else x})
    if len(got) == 2:
        case["labels"] = [int(v) for v in got[0]]
    case["x"] = [text(v) for v in x.ravel()]
    case["scores"] = [text(v) for v in got[-1].ravel()]
    return case


def main():
    cases = []
    transforms = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]

    def add(opset, made):
        try:
            cases.append(run(*made, opset))
        except Exception as e:  # what the runtime refuses is no golden data
            print("refused:", str(e)[:150])

    for transform in transforms:
        for positive in [True, False]:
            for columns, targets in [([0], 2), ([1], 2), ([0, 1], 2), ([0, 1, 2], 3), ([0, 2], 3)]:
                for votes in ["all", "one"]:
                    for base in [None] + ([[0.25]] if targets == 2 else []) + [[0.125, -0.5, 0.75][:targets]]:
                        if len(columns) == 2 and votes == "one" and base and len(base) == 1:
                            continue  # the runtime leaves a score unset
                        if transform == "PROBIT" and targets == 2 and 0 in columns and len(base or []) < 2:
                            if votes == "one" or columns == [0]:
                                continue  # likewise
                        modes = MODES if rng.random() < 0.5 else MODES[:1]
                        add(1, old(True, targets, 3, modes, positive, votes, columns, base, transform, "SUM"))
            for aggregate in ["SUM", "AVERAGE", "MIN", "MAX"]:
                for targets in [1, 3]:
                    for base in [None, [0.125, -0.5, 0.75][:targets]]:
                        add(3, old(False, targets, 3, MODES, positive, "all" if targets == 1 else "one",
                                   list(range(targets)), base, transform, aggregate))
    for transform in range(5):
        for aggregate in range(4):
            for double in [False, True]:
                add(5, v5(int(rng.integers(1, 4)), 3, transform, aggregate, double))
    for classifier in [True, False]:
        for _ in range(4):
            add(3, old(classifier, 3, 3, MODES, False, "one", [0, 1, 2], None, "NONE", "SUM", double=True))
    with open("ort.json", "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
    print(len(cases), "cases")


main()
