"""Build the zoo: exported models of every kind, with ONNX Runtime's answers.

    python build.py DIR [--share 10] [--seed 1] [--only NAME…] [--fixtures] [--jobs 2]

writes NAME.onnx and NAME.json into DIR, and zoo.json, which says of each model
how its export agrees with the library that trained it. --share 10 builds a tenth,
chosen by the seed; a model in it does not depend on the others. --fixtures
builds those that are committed, in internal/onnx/exec/testdata/zoo.
"""

import argparse
import concurrent.futures
import hashlib
import importlib
import json
import os
import pathlib
import sys
import traceback

import fixtures

# Models are small and several are trained at once; and sums do not depend on
# how many processors there are.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

# Models whose answers hang on the last bit of what they are asked: differences of
# large numbers, and square roots of what is left of them.
SENSITIVE = {
    "bayesian_ridge_std", "k_means", "k_means_gemm_off", "kernel_pca_poly", "kernel_pca_sigmoid", "local_outlier_factor_cdist", "mini_batch_k_means",
    "one_class_svm_poly", "svc_double", *(f"gaussian_process_{k}" for k in (
        "cdist", "lengths", "matern", "matern_half", "of_three", "pairwise", "periodic", "product", "quadratic")),
}

FAMILIES = ("plain", "options", "members", "pipelines", "boosters", "unconverted", "drawn")


def registry():
    for family in FAMILIES:
        importlib.import_module(family)
    import entry

    return entry.ZOO


def chosen(names, share, seed):
    def lot(name):
        return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8])

    return [n for n in names if lot(n) % share == 0]


def settle_names(model, name):
    """Replace what exporters make at random, or of the time."""
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        graph.name = name
        graphs += [g for n in graph.node for a in n.attribute for g in [*([a.g] if a.HasField("g") else []), *a.graphs]]
    for entry in model.metadata_props:
        if entry.key in ("model_guid", "train_finish_time", "catboost_version_info", "params"):
            entry.value = "fixed"


def build(name, folder):
    """Build one model and return its line of zoo.json."""
    import agreement
    import record
    import thresholds

    entry = registry()[name]
    made = entry.make()
    settle_names(made.model, name)
    data = made.model.SerializeToString(deterministic=True)
    feeds = thresholds.add(made.model, made.feeds)
    outputs = record.specified(made.model, record.answers(data, feeds))
    recording = {
        "inputs": [record.array(k, v) for k, v in feeds.items()],
        "outputs": [record.array(k, v) for k, v in outputs.items()],
    }
    if name in SENSITIVE or entry.group == "drawn" and not any(thresholds.trees(made.model)):
        slack = record.slack(data, feeds, outputs)
        for out in recording["outputs"]:
            out["slack"] = slack[out["name"]]
    (folder / f"{name}.onnx").write_bytes(data)
    (folder / f"{name}.json").write_text(json.dumps(recording, separators=(",", ":"), ensure_ascii=False) + "\n")
    rows = len(next(iter(made.feeds.values())))
    return {
        "name": name, "group": entry.group, "rows": rows, "on_thresholds": len(next(iter(feeds.values()))) - rows,
        "library": agreement.compare(made.library, list(outputs.values()), rows),
    }


def attempt(name, folder):
    """Build one model; one that cannot be had must be known for it."""
    refused = registry()[name].refused
    try:
        line = build(name, folder)
    except Exception as e:
        said = f"{type(e).__name__}: {e}"
        if refused and refused in said:
            return {"name": name, "group": registry()[name].group, "refused": refused}
        return {"name": name, "error": said, "trace": traceback.format_exc()}
    return line if not refused else {"name": name, "error": f"it can be had now, and was refused with {refused}", "trace": ""}


def settle():
    """Start again with a fixed order of sets, which exporters write out."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *(f"-W{w}" for w in sys.warnoptions), *sys.argv])


def main():
    settle()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--share", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--fixtures", action="store_true")
    args = parser.parse_args()
    names = args.only or args.fixtures and fixtures.NAMES or chosen(registry(), args.share, args.seed)
    args.folder.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ProcessPoolExecutor(args.jobs) as pool:
        lines = list(pool.map(attempt, names, [args.folder] * len(names), chunksize=1))
    if not args.fixtures:
        (args.folder / "zoo.json").write_text(json.dumps(lines, indent=1, ensure_ascii=False) + "\n")
    failed = [line for line in lines if "error" in line]
    for line in failed:
        print(f"{line['name']}: {line['error'].splitlines()[0][:200]}", file=sys.stderr)
    refused = sum("refused" in line for line in lines)
    print(f"{len(lines) - len(failed) - refused} models; {refused} cannot be had, as is known; {len(failed)} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
