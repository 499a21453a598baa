"""MLServer's types and codecs read the answers: each must validate as its type says."""

import json
import ssl
import urllib.error
import urllib.request

import numpy as np
from cases import SERVER, case, credential, equal, run
from mlserver import types
from mlserver.codecs import NumpyCodec, NumpyRequestCodec, PandasCodec, StringCodec

TLS = ssl.create_default_context(cafile=SERVER["ca"])
ROWS = np.array([[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]], np.float32)


def ask(path, body=None):
    """The status and the JSON of the answer; a body is a type of MLServer's."""
    data = None if body is None else body.model_dump_json(exclude_none=True).encode()
    request = urllib.request.Request(f"https://{SERVER['http']}{path}", data, credential() | {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, context=TLS) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as e:
        with e:
            return e.code, json.load(e)


def strictly(kind, status, path, body=None):
    """The answer as the type, which must know every member of it."""
    got, value = ask(path, body)
    equal(got, status)
    known = {f.alias or name for name, f in kind.model_fields.items()}
    assert not isinstance(value, dict) or set(value) <= known, f"{set(value) - known} are unknown"
    return kind.model_validate(value)


@case
def metadata_of_the_server():
    equal(strictly(types.MetadataServerResponse, 200, "/v2").name, "onnxgate")


@case
def metadata_of_a_model():
    for path in ("/v2/models/iris", "/v2/models/iris/versions/1"):
        model = strictly(types.MetadataModelResponse, 200, path)
        equal((model.name, model.versions, [i.shape.root if hasattr(i.shape, "root") else i.shape for i in model.inputs]), ("iris", ["1"], [[-1, 4]]))


@case
def an_answer_to_a_numpy_array():
    request = types.InferenceRequest(id="7", inputs=[NumpyCodec.encode_input("input-0", ROWS)])
    response = strictly(types.InferenceResponse, 200, "/v2/models/iris/infer", request)
    equal((response.model_name, response.model_version, response.id), ("iris", "1", "7"))
    equal(NumpyCodec.decode_output(response.outputs[0]).flatten().tolist(), [1, 1])
    equal(NumpyCodec.decode_output(response.outputs[1]).shape, (2, 3))


@case
def an_answer_to_a_request_codec():
    request = NumpyRequestCodec.encode_request(ROWS)
    request.inputs[0].name = "input-0"
    response = strictly(types.InferenceResponse, 200, "/v2/models/iris/versions/1/infer", request)
    equal(NumpyRequestCodec.decode_response(types.InferenceResponse(model_name="iris", outputs=response.outputs[:1])).flatten().tolist(), [1, 1])


@case
def an_answer_as_a_data_frame():
    texts = [StringCodec.encode_input(name, [str(n) for n in range(16)]) for name in ("INPUT0", "INPUT1")]
    for t in texts:
        t.shape, t.parameters = [1, 16], None
    response = strictly(types.InferenceResponse, 200, "/v2/models/simple_string/infer", types.InferenceRequest(inputs=texts))
    for o in response.outputs:
        o.shape = [16, 1]
    frame = PandasCodec.decode_response(response)
    equal(list(frame.columns), ["OUTPUT0", "OUTPUT1"])
    equal([int(n) for n in frame["OUTPUT0"]], [2 * n for n in range(16)])


@case
def an_index():
    status, value = ask("/v2/repository/index", types.RepositoryIndexRequest(ready=True))
    equal(status, 200)
    index = types.RepositoryIndexResponse.model_validate(value)
    equal({i.name for i in index.root}, {"iris", "simple", "simple_string", "simple_identity"})
    equal({types.State(i.state).value for i in index.root}, {"READY"})


@case
def errors():
    equal(strictly(types.MetadataModelErrorResponse, 404, "/v2/models/wrong").error, "Request for unknown model: 'wrong' is not found")
    request = types.InferenceRequest(inputs=[NumpyCodec.encode_input("input-0", ROWS[:, :3])])
    assert "[2,3]" in strictly(types.InferenceErrorResponse, 400, "/v2/models/iris/infer", request).error


run()
