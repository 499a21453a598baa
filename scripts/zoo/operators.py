"""Print the operators that models use: domain, name, version, how many models,
how many nodes, types of inputs and outputs, and combinations of attributes.

    python operators.py DIR
"""

import collections
import concurrent.futures
import pathlib
import sys

import onnx
from onnx import AttributeProto, TensorProto

NAMED = {"to", "axis", "keepdims", "mode", "post_transform", "aggregate_function", "norm", "kernel_type", "p", "largest", "sorted", "perm",
         "metric", "alpha", "beta", "transA", "transB", "equation", "case_change_action", "direction", "axes", "noop_with_empty_axes",
         "allowzero", "select_last_index", "batch_dims", "reduction", "positive", "seed", "dtype", "n_targets", "cats_int64s", "zeros"}


def inferred(data):
    return onnx.shape_inference.infer_shapes(data)


def value_types(model):
    """Return the types of values, as far as onnx finds them: in a process of its
    own, for it ends with a segmentation fault on some models."""
    try:
        with concurrent.futures.ProcessPoolExecutor(1) as pool:
            model = onnx.load_from_string(pool.submit(inferred, model.SerializeToString()).result())
    except Exception:
        pass
    types = {}
    for v in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
        kind = v.type.WhichOneof("value")
        types[v.name] = TensorProto.DataType.Name(v.type.tensor_type.elem_type).lower() if kind == "tensor_type" else str(kind)
    for i in model.graph.initializer:
        types[i.name] = TensorProto.DataType.Name(i.data_type).lower() + "*"
    return types


def attribute(a):
    if a.name in NAMED and a.type in (AttributeProto.INT, AttributeProto.FLOAT, AttributeProto.STRING, AttributeProto.INTS) and len(a.ints) < 8:
        v = onnx.helper.get_attribute_value(a)
        return f"{a.name}={v.decode() if isinstance(v, bytes) else v}"
    return a.name


def walk(nodes):
    for n in nodes:
        yield n
        for a in n.attribute:
            for g in [a.g, *a.graphs]:
                yield from walk(g.node)


def main():
    uses = collections.defaultdict(lambda: [set(), 0, collections.Counter(), collections.Counter()])
    files = sorted(pathlib.Path(sys.argv[1]).glob("*.onnx"))
    for file in files:
        model = onnx.load(file)
        versions = {o.domain or "ai.onnx": o.version for o in model.opset_import}
        types = value_types(model)
        for n in walk([*model.graph.node, *(n for f in model.functions for n in f.node)]):
            domain = n.domain or "ai.onnx"
            try:
                since = onnx.defs.get_schema(n.op_type, versions[domain], "" if domain == "ai.onnx" else domain).since_version
            except Exception:
                since = versions.get(domain, "?")
            u = uses[domain, n.op_type, since]
            u[0].add(file.stem)
            u[1] += 1
            u[2]["(" + ", ".join(types.get(i, "-" if not i else "?") for i in n.input[:6]) + (", …" if len(n.input) > 6 else "")
                 + ") -> " + ", ".join(types.get(o, "?") for o in n.output)] += 1
            u[3]["{" + ", ".join(sorted(map(attribute, n.attribute))) + "}"] += 1
    print(f"{len(files)} models; an operator's version is that of its schema; * is an initializer")
    for (domain, op, since), (models, nodes, types, attrs) in sorted(uses.items(), key=lambda kv: -len(kv[1][0])):
        print(f"{domain}.{op} {since}: {len(models)} models, {nodes} nodes; e.g. {', '.join(sorted(models)[:3])}")
        for text, count in [*types.most_common(12), *attrs.most_common(8)]:
            print(f"    {count:5} {text}")


if __name__ == "__main__":
    main()
