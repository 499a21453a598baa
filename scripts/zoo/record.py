"""What is written of a model: what it was asked, and what ONNX Runtime answers.

A recording is JSON: "inputs" and "outputs" are lists of {"name", "kind", "type",
"shape"} with "raw", the base64 of little-endian elements, or "data" for strings.
Kinds: "tensor"; "maps", a sequence of maps, of which the columns stand under
"keys"; "map", one map; "sequence", whose tensors stand under "items". "slack" is
how far rounding alone may move an output, where that is more than usual.
"""

import base64

import numpy as np
import onnx
import onnxruntime


def session(model, optimized=True):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimized else level.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def with_locale(data):
    """Return a model whose StringNormalizers use the locale that is on every
    machine: ONNX Runtime's default is one that need not be installed."""
    if b"StringNormalizer" not in data:
        return data
    model = onnx.load_from_string(data)
    for node in model.graph.node:
        if node.op_type == "StringNormalizer" and not any(a.name == "locale" for a in node.attribute):
            node.attribute.append(onnx.helper.make_attribute("locale", "C.UTF-8"))
    return model.SerializeToString()


def answers(model, feeds, optimized=True):
    """Return ONNX Runtime's outputs by name."""
    s = session(with_locale(model), optimized)
    return dict(zip([o.name for o in s.get_outputs()], s.run(None, feeds), strict=True))


def specified(model, outputs):
    """Return outputs as the specification has them. Of two integer labels that
    both have votes, ONNX Runtime gives 0 and 1 in place of the labels."""
    for node in model.graph.node:
        a = {x.name: list(x.ints) for x in node.attribute}
        labels, votes = a.get("classlabels_int64s", []), set(a.get("class_ids", []))
        name = node.output[0]
        if node.op_type == "TreeEnsembleClassifier" and len(labels) == 2 and len(votes) == 2 and name in outputs:
            if set(np.unique(outputs[name])) <= {0, 1}:
                outputs[name] = np.array(labels, np.int64)[outputs[name]]
    return outputs


def tensor(name, value):
    value = np.asarray(value)
    if value.dtype.kind in "OU":
        kind = {"type": "string", "shape": list(value.shape), "data": [str(v) for v in value.ravel()]}
    else:
        little = value.astype(value.dtype.newbyteorder("<"))
        kind = {"type": str(value.dtype), "shape": list(value.shape), "raw": base64.b64encode(little.tobytes()).decode()}
    return {"name": name, "kind": "tensor", **kind}


def columns(rows):
    """Return the keys of maps, and their values as a table."""
    keys = list(rows[0])
    return keys, np.array([[row[k] for k in keys] for row in rows], np.float32)


def array(name, value):
    if isinstance(value, dict):
        keys = list(value)
        return {**tensor(name, np.array([value[k] for k in keys], np.float32)), "kind": "map", "keys": tensor("", np.array(keys))}
    if not isinstance(value, list):
        return tensor(name, value)
    if value and isinstance(value[0], dict):
        keys, table = columns(value)
        return {**tensor(name, table), "kind": "maps", "keys": tensor("", np.array(keys))}
    return {"name": name, "kind": "sequence", "items": [array("", v) for v in value]}


def nudged(a, g):
    """Return numbers of which each is moved by a bit of float32, or not."""
    return (a * (1 + 2.0**-23 * g.choice([-1, 0, 1], a.shape))).astype(a.dtype)


def slack(data, feeds, outputs):
    """Return how far answers move when inputs and constants do by a bit: what
    rounding alone may do to them."""
    g, worst = np.random.default_rng(1), dict.fromkeys(outputs, 0.0)

    def note(moved):
        for name, v in outputs.items():
            if getattr(v, "dtype", np.dtype(int)).kind == "f":
                worst[name] = max(worst[name], float(np.nanmax(np.abs(moved[name] - v))))

    for _ in range(8):
        note(answers(data, {k: nudged(v, g) for k, v in feeds.items()}))
        model = onnx.load_from_string(data)
        for t in model.graph.initializer:
            if t.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
                t.CopyFrom(onnx.numpy_helper.from_array(nudged(onnx.numpy_helper.to_array(t), g), t.name))
        note(answers(model.SerializeToString(), feeds))
    return {name: 2 * v for name, v in worst.items()}
