"""Compare both engines on every model of the zoo, one row a call.

    python scripts/bench/zoo.py bin/onnxgate-ort .cache/zoo

Prints the geometric mean of how many times faster the native engine is, and the
models at the lower end. Each model's two engines run in turn in one process, on
the model's own rows, one after the other.
"""

import base64
import json
import math
import pathlib
import struct
import subprocess
import sys
import tempfile

SHOWN = 10
FORMATS = {"float32": ("f", "FP32"), "float64": ("d", "FP64"), "int64": ("q", "INT64")}


def said(value):
    """A number as a request says it: JSON has none for NaN and the infinities."""
    if isinstance(value, int) or math.isfinite(value):
        return value
    return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def tensor(recorded):
    """One recorded input in the words of the Open Inference Protocol."""
    if recorded["type"] == "string":
        kind, data = "BYTES", recorded["data"]
    else:
        code, kind = FORMATS[recorded["type"]]
        raw = base64.b64decode(recorded["raw"])
        data = [said(v) for v in struct.unpack(f"<{len(raw) // struct.calcsize(code)}{code}", raw)]
    return {"name": recorded["name"], "shape": recorded["shape"], "datatype": kind, "data": data}


def request(model, folder):
    """Options that name a file with the rows recorded beside the model."""
    try:
        recorded = json.loads(model.with_suffix(".json").read_text(encoding="utf-8"))
        text = json.dumps({"inputs": [tensor(i) for i in recorded["inputs"]]})
    except (KeyError, ValueError):
        return []
    path = pathlib.Path(folder, "request.json")
    path.write_text(text, encoding="utf-8")
    return ["--input", str(path)]


def measure(binary, model, folder):
    command = [binary, "model", "bench", str(model), "--engine", "both", "--rows", "1", "--time", "100ms", "--json"]
    done = subprocess.run(command + request(model, folder), capture_output=True, text=True)
    if done.returncode:
        return None
    per_call = {m["engine"]: m["ns_per_call"] for m in json.loads(done.stdout)["results"]}
    return per_call["ort"] / per_call["native"], per_call["native"] / 1000, per_call["ort"] / 1000


def main():
    binary, folder = sys.argv[1:]
    results, left_out = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for model in sorted(pathlib.Path(folder).glob("*.onnx")):
            result = measure(binary, model, scratch)
            if result is None:
                left_out.append(model.stem)
            else:
                results.append((*result, model.stem))
    results.sort()
    mean = math.exp(sum(math.log(r[0]) for r in results) / len(results))
    print(f"{len(results)} models, one row: the native engine is {mean:.1f} times as fast (geometric mean)")
    for ratio, native, ort, name in results[:SHOWN]:
        print(f"{ratio:7.1f} x  {native:9.1f} µs  {ort:9.1f} µs  {name}")
    if left_out:
        print("no random row suits, or ONNX Runtime cannot load:", ", ".join(left_out))


if __name__ == "__main__":
    main()
