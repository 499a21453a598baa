"""Prints MLServer's own OpenAPI document of the protocol, out of its wheel, for one
model of ours: python dataplane.py MODEL VERSION REQUEST.

What is changed in it: the model and the version are named, so that requests reach
one; REQUEST, a body that fits the model, is an example; a model or version that is
none may be refused on every route; tensors are arrays, where the document has a
type that JSON Schema does not; the routes that stream or generate text are left
out, which are no part of the protocol.
"""

import json
import sys
from importlib import resources

ABROAD = ("infer_stream", "generate", "generate_stream")
ERROR = {"description": "", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/InferenceErrorResponse"}}}}

model, version, request = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
document = json.loads(resources.files("mlserver.rest.openapi").joinpath("dataplane.json").read_text())
document["components"]["schemas"]["TensorData"] = {"type": "array"}
document["components"]["schemas"] |= document["components"].pop("enums", {})
document = json.loads(json.dumps(document).replace("#/components/enums/", "#/components/schemas/"))
document["paths"] = {path: item for path, item in document["paths"].items() if not path.endswith(ABROAD)}
for path, item in document["paths"].items():
    names = [name for name in ("model_name", "model_version") if "{" + name + "}" in path]
    item["parameters"] = [
        {"name": name, "in": "path", "required": True, "schema": {"enum": [{"model_name": model, "model_version": version}[name]]}} for name in names
    ]
    for operation in (o for o in item.values() if isinstance(o, dict)):
        if names:
            operation["responses"] = {"400": ERROR, "404": ERROR} | operation["responses"]
        if "requestBody" in operation:
            for media in operation["requestBody"]["content"].values():
                media["example"] = request
json.dump(document, sys.stdout)
