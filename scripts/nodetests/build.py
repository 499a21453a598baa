"""Write ONNX's own node tests as files that the engine's tests read.

    python scripts/nodetests/build.py FOLDER

The onnx package makes the cases in Python and no longer writes them itself.
This writes every node case, and the models that the package carries as files
beside them, as

    FOLDER/KIND/NAME/model.onnx
    FOLDER/KIND/NAME/SET/input_N.pb, output_N.pb   TensorProto, SequenceProto or OptionalProto
    FOLDER/index.json                              what the cases are, written last

An entry of the index names the operator that a case is about and all those
that its model applies, the element types that occur, and the tolerances. It
says so apart from the model because a reader may be unable to read the model.

The light versions of image networks (data/light, data/real) are left out: their
weights are all alike, and each needs the network's whole input.
"""

import json
import pathlib
import re
import sys
import warnings

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.loader import load_model_tests

CARRIED = ["simple", "pytorch-converted", "pytorch-operator"]
WRITERS = {"sequence_type": numpy_helper.from_list, "optional_type": numpy_helper.from_optional}


def serialized(value, info):
    """One input or output of a case, in the message that its declared type asks for."""
    form = info.type.WhichOneof("value")
    if form in WRITERS:
        return WRITERS[form](value, info.name).SerializeToString()
    if form != "tensor_type":
        raise ValueError(f"{info.name} is a {form}, which no case had so far")
    if not isinstance(value, TensorProto):
        value = numpy_helper.from_array(np.asarray(value), info.name)
    return value.SerializeToString()


def graphs(graph):
    """The graph and those in its nodes' attributes."""
    yield graph
    for node in graph.node:
        for a in node.attribute:
            for sub in [*([a.g] if a.type == AttributeProto.GRAPH else []), *a.graphs]:
                yield from graphs(sub)


def operators(model):
    """The operators that a model applies; its own functions are none."""
    own = {(f.domain, f.name) for f in model.functions}
    nodes = [n for g in graphs(model.graph) for n in g.node] + [n for f in model.functions for n in f.node]
    return sorted({f"{n.domain or 'ai.onnx'} {n.op_type}" for n in nodes if (n.domain, n.op_type) not in own})


def type_names(type_proto):
    form = type_proto.WhichOneof("value")
    if form in ("sequence_type", "optional_type"):
        return type_names(getattr(type_proto, form).elem_type)
    return {TensorProto.DataType.Name(type_proto.tensor_type.elem_type).lower()}


def types(model):
    """The element types of a model's inputs, outputs and constants."""
    found = set()
    for g in graphs(model.graph):
        for v in [*g.input, *g.output]:
            found |= type_names(v.type)
        tensors = list(g.initializer) + [a.t for n in g.node for a in n.attribute if a.type == AttributeProto.TENSOR]
        found |= {TensorProto.DataType.Name(t.data_type).lower() for t in tensors}
    return sorted(found - {"undefined"})


def ports(values):
    return [{"name": v.name, "form": v.type.WhichOneof("value").removesuffix("_type")} for v in values]


def given(model):
    """The inputs that a caller gives: those without an initializer."""
    constant = {i.name for i in model.graph.initializer}
    return [v for v in model.graph.input if v.name not in constant]


def store(folder, case, group, model, model_bytes, sets):
    """Writes a case and returns its entry of the index. sets has, by name, the files of each data set."""
    home = folder / case.kind / case.name
    for name, files in sets.items():
        (home / name).mkdir(parents=True)
        for file, data in files.items():
            (home / name / file).write_bytes(data)
    (home / "model.onnx").write_bytes(model_bytes)
    return {
        "name": case.name, "folder": f"{case.kind}/{case.name}", "group": group,
        "operators": operators(model), "types": types(model), "rtol": case.rtol, "atol": case.atol,
        "inputs": ports(given(model)), "outputs": ports(model.graph.output), "sets": sorted(sets),
    }


def files_of(model, inputs, outputs):
    if len(inputs) != len(given(model)) or len(outputs) != len(model.graph.output):
        raise ValueError("a data set does not have the model's inputs and outputs")
    pairs = [("input", inputs, given(model)), ("output", outputs, model.graph.output)]
    return {f"{what}_{i}.pb": serialized(v, info) for what, values, infos in pairs for i, (v, info) in enumerate(zip(values, infos))}


def node_cases(folder):
    np.random.seed(0)
    warnings.simplefilter("ignore")  # the cases overflow and divide by zero on purpose
    base = None
    for case in collect_testcases(None):
        # A case about an operator is followed by the same with the operator's
        # function in its place.
        if base is None or not re.fullmatch(re.escape(base.name) + r"_expanded(_ver\d+)?", case.name):
            base = case
        about = base.model.graph.node[0]
        sets = {f"set_{i}": files_of(case.model, *s) for i, s in enumerate(case.data_sets)}
        group = f"{about.domain or 'ai.onnx'}.{about.op_type}"
        yield store(folder, case, group, case.model, case.model.SerializeToString(), sets)


def carried_cases(folder):
    for kind in CARRIED:
        for case in sorted(load_model_tests(kind=kind), key=lambda c: c.name):
            home = pathlib.Path(case.model_dir)
            data = (home / "model.onnx").read_bytes()
            sets = {s.name: {f.name: f.read_bytes() for f in s.glob("*.pb")} for s in home.glob("test_data_set_*")}
            yield store(folder, case, kind, onnx.load_from_string(data), data, sets)


def main():
    folder = pathlib.Path(sys.argv[1])
    index = [*node_cases(folder), *carried_cases(folder)]
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    print(f"{len(index)} cases of ONNX's node tests in {folder}")


if __name__ == "__main__":
    main()
