"""What Triton's examples exchange with their models: tensors and the answers to them.

The client's module, tritonclient.http or tritonclient.grpc, is an argument; the
names of their classes are the same.
"""

import numpy as np
from cases import equal

# The first input counts, the second is ones; the models take one row or more.
NUMBERS = [np.arange(16, dtype=np.int32).reshape(1, 16), np.ones((1, 16), np.int32)]
SUM, DIFFERENCE = NUMBERS[0] + NUMBERS[1], NUMBERS[0] - NUMBERS[1]
TEXTS = [np.array([str(n) for n in a.flatten()], object).reshape(a.shape) for a in NUMBERS]


def inputs(client, arrays=NUMBERS, datatype="INT32", binary=()):
    """Tensors INPUT0, INPUT1 …; over HTTP each as bytes or as JSON."""
    made = []
    for i, array in enumerate(arrays):
        tensor = client.InferInput(f"INPUT{i}", list(array.shape), datatype)
        tensor.set_data_from_numpy(array, **({"binary_data": binary[i]} if binary else {}))
        made.append(tensor)
    return made


def outputs(client, binary=(), names=("OUTPUT0", "OUTPUT1")):
    return [client.InferRequestedOutput(n, **({"binary_data": binary[i]} if binary else {})) for i, n in enumerate(names)]


def check(result, expected=(SUM, DIFFERENCE)):
    for i, want in enumerate(expected):
        got = result.as_numpy(f"OUTPUT{i}")
        equal(got.shape, want.shape)
        assert np.array_equal(got, want), got


def texts(array):
    """Texts as the client gives them: bytes."""
    return np.array([str(n).encode() for n in array.flatten()], object).reshape(array.shape)


def statistics_count(stats):
    """How many requests a model has answered, of one model's statistics as JSON."""
    equal(len(stats["model_stats"]), 1)
    return int(stats["model_stats"][0]["inference_stats"]["success"]["count"])
