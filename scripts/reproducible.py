"""Write ONNX models as the same bytes in every process."""


def serialize(model):
    """Return the model as bytes.

    skl2onnx collects the operator sets in a Python set, whose order changes
    with the process's hash seed; sorting them changes nothing else.
    """
    operator_sets = sorted(model.opset_import, key=lambda o: (o.domain, o.version))
    del model.opset_import[:]
    model.opset_import.extend(operator_sets)
    return model.SerializeToString(deterministic=True)
