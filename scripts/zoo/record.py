"""What is written of a model: what it was asked, and what ONNX Runtime answers.

A recording is JSON: "inputs" and "outputs" are lists of {"name", "kind", "type",
"shape"} with "raw", the base64 of little-endian elements, or "data" for strings.
Kinds: "tensor"; "maps", a sequence of maps, of which the columns stand under
"keys"; "map", one map; "sequence", whose tensors stand under "items".
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
        return {**tensor(name, np.array([value[k] for k in keys])), "kind": "map", "keys": tensor("", np.array(keys))}
    if not isinstance(value, list):
        return tensor(name, value)
    if value and isinstance(value[0], dict):
        keys, table = columns(value)
        return {**tensor(name, table), "kind": "maps", "keys": tensor("", np.array(keys))}
    return {"name": name, "kind": "sequence", "items": [array("", v) for v in value]}
