"""Compare both engines on every model of the zoo, one row a call.

    python scripts/bench/zoo.py bin/onnxgate-ort .cache/zoo

Prints the geometric mean of how many times faster the native engine is, and the
models at the lower end. Each model's two engines run in turn in one process.
"""

import json
import math
import pathlib
import subprocess
import sys

SHOWN = 10


def measure(binary, model):
    command = [binary, "model", "bench", str(model), "--engine", "both", "--rows", "1", "--time", "100ms", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return None
    per_call = {m["engine"]: m["ns_per_call"] for m in json.loads(done.stdout)["results"]}
    return per_call["ort"] / per_call["native"], per_call["native"] / 1000, per_call["ort"] / 1000


def main():
    binary, folder = sys.argv[1:]
    results, left_out = [], []
    for model in sorted(pathlib.Path(folder).glob("*.onnx")):
        result = measure(binary, model)
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
