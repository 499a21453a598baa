"""The tensors of the models that the peers of onnxgate serve, and what they compute.

`simple` adds and subtracts, `identity` answers what it was sent. Both peers run
this file; each has its own way to read and write tensors.
"""

import numpy as np

DATATYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "FP32": "float32", "FP64": "float64", "BYTES": "object",
}


def tensors(prefix, names):
    return [{"name": prefix + n, "datatype": d, "shape": [-1, width]} for n, d, width in names]


def identity(datatypes):
    return {
        "inputs": tensors("in_", [(d.lower(), d, 1) for d in datatypes]),
        "outputs": tensors("out_", [(d.lower(), d, 1) for d in datatypes]),
    }


SPECS = {
    "simple": {
        "inputs": tensors("INPUT", [("0", "INT32", 16), ("1", "INT32", 16)]),
        "outputs": tensors("OUTPUT", [("0", "INT32", 16), ("1", "INT32", 16)]),
    },
    "identity": identity([d for d in DATATYPES if d != "FP16"]),
    "identity_fp16": identity(["FP16"]),  # by itself, since servers may refuse it in JSON
    "iris": {
        "inputs": [{"name": "input-0", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "predict", "datatype": "INT64", "shape": [-1, 1]}],
    },
}


class Refused(ValueError):
    """The request does not fit the model."""


def compute(model, arrays):
    """Outputs by name from inputs by name; raises Refused for tensors that do not fit."""
    spec = SPECS[model]
    for t in spec["inputs"]:
        a = arrays.get(t["name"])
        if a is None:
            raise Refused(f"the input {t['name']} is missing")
        if a.ndim != 2 or a.shape[1] != t["shape"][1]:
            raise Refused(f"the input {t['name']} has another shape than {t['shape']}")
    names = [t["name"] for t in spec["outputs"]]
    if model == "simple":
        x, y = arrays["INPUT0"], arrays["INPUT1"]
        return dict(zip(names, [x + y, x - y]))
    return dict(zip(names, [np.asarray(arrays[t["name"]]) for t in spec["inputs"]]))
