"""tritonclient over HTTP: in turn, all at once and by asyncio.

The exchanges are those of Triton's examples for this client: infer, async_infer,
aio, string, health_metadata, reuse, model_control, each with the credential that
this server asks for.
"""

import ssl

import numpy as np
import tritonclient.http as http
import tritonclient.http.aio as aio
from cases import SERVER, case, credential, equal, refused, run
from exchange import DIFFERENCE, NUMBERS, SUM, TEXTS, check, inputs, outputs, statistics_count, texts
from tritonclient.http.auth import BasicAuth
from tritonclient.utils import InferenceServerException

QUERY = {"test_1": 1, "test_2": 2}
UNKNOWN = "Request for unknown model"


def connect(**options):
    return http.InferenceServerClient(SERVER["http"], ssl=True, ssl_options={"ca_certs": SERVER["ca"]}, **options)


def connect_aio():
    return aio.InferenceServerClient(SERVER["http"], ssl=True, ssl_context=ssl.create_default_context(cafile=SERVER["ca"]))


@case
def infer_with_outputs_mixing_json_and_binary():
    with connect() as client:
        result = client.infer("simple", inputs(http, binary=[False, True]), outputs=outputs(http, binary=[True, False]),
                              query_params=QUERY, headers=credential())
        check(result)
        equal(result.get_response()["model_name"], "simple")
        equal(result.get_response()["model_version"], "1")


@case
def infer_without_outputs():
    with connect() as client:
        check(client.infer("simple", inputs(http, binary=[False, True]), query_params=QUERY, headers=credential()))


@case
def infer_in_json_alone():
    with connect() as client:
        check(client.infer("simple", inputs(http, binary=[False, False]), outputs=outputs(http, binary=[False, False]), headers=credential()))


@case
def infer_many_rows_of_a_version_with_an_id():
    arrays = [np.repeat(a, 100, axis=0) for a in NUMBERS]
    with connect() as client:
        result = client.infer("simple", inputs(http, arrays), model_version="1", request_id="the id", headers=credential())
        check(result, [np.repeat(SUM, 100, axis=0), np.repeat(DIFFERENCE, 100, axis=0)])
        equal(result.get_response()["id"], "the id")


@case
def infer_compressed():
    with connect() as client:
        for sent in (None, "gzip", "deflate"):
            for wanted in (None, "gzip", "deflate"):
                for binary in (True, False):
                    check(client.infer("simple", inputs(http, binary=[False, True]), outputs=outputs(http, binary=[binary] * 2), headers=credential(),
                                       request_compression_algorithm=sent, response_compression_algorithm=wanted))


@case
def statistics_count_what_was_answered():
    with connect() as client:
        before = statistics_count(client.get_inference_statistics("simple", headers=credential()))
        client.infer("simple", inputs(http), headers=credential())
        equal(statistics_count(client.get_inference_statistics("simple", headers=credential())), before + 1)


@case
def the_same_tensors_serve_several_requests():
    tensors = inputs(http)
    with connect() as client:
        for _ in range(3):
            check(client.infer("simple", tensors, headers=credential()))
        tensors[0].set_data_from_numpy(NUMBERS[1])
        check(client.infer("simple", tensors, headers=credential()), [NUMBERS[1] * 2, NUMBERS[1] * 0])


@case
def async_infer():
    with connect(concurrency=4) as client:
        pending = [client.async_infer("simple", inputs(http, binary=[True, False]), outputs=outputs(http, binary=[True, False]), headers=credential())
                   for _ in range(20)]
        for request in pending:
            check(request.get_result())


@case
async def aio_infer():
    async with connect_aio() as client:
        check(await client.infer("simple", inputs(aio, binary=[True, False]), outputs=outputs(aio, binary=[True, False]),
                                 query_params=QUERY, headers=credential()))
        check(await client.infer("simple", inputs(aio), headers=credential()))


@case
async def aio_health_and_metadata():
    async with connect_aio() as client:
        assert await client.is_server_live() and await client.is_server_ready()
        assert await client.is_model_ready("simple", headers=credential())
        equal((await client.get_model_metadata("simple", headers=credential()))["name"], "simple")
        try:
            await client.infer("wrong_model_name", inputs(aio), headers=credential())
        except InferenceServerException as e:
            assert UNKNOWN in e.message(), e
        else:
            raise AssertionError("it was answered")


@case
async def aio_compressed():
    async with connect_aio() as client:
        for algorithm in ("gzip", "deflate"):
            check(await client.infer("simple", inputs(aio), headers=credential(),
                                     request_compression_algorithm=algorithm, response_compression_algorithm=algorithm))


@case
def string_arithmetic():
    with connect() as client:
        result = client.infer("simple_string", inputs(http, TEXTS, "BYTES", binary=[True, False]), outputs=outputs(http, binary=[True, True]),
                              headers=credential())
        check(result, [texts(SUM), texts(DIFFERENCE)])
        # In JSON a text is a text.
        result = client.infer("simple_string", inputs(http, TEXTS, "BYTES", binary=[True, False]), outputs=outputs(http, binary=[True, False]),
                              headers=credential())
        equal([int(x) for x in result.as_numpy("OUTPUT1").flatten()], DIFFERENCE.flatten().tolist())


@case
def string_identity():
    words = np.array(["", "Grüße", "日本", "a" * 1000] * 4, object).reshape(1, 16)
    with connect() as client:
        for binary in (True, False):
            result = client.infer("simple_identity", inputs(http, [words], "BYTES", binary=[binary]),
                                  outputs=outputs(http, binary=[binary], names=["OUTPUT0"]), headers=credential())
            got = [x if isinstance(x, str) else x.decode() for x in result.as_numpy("OUTPUT0").flatten()]
            equal(got, words.flatten().tolist())


@case
def health_and_metadata():
    with connect() as client:
        assert client.is_server_live(query_params=QUERY)
        assert client.is_server_ready()
        assert client.is_model_ready("simple", headers=credential())
        assert client.is_model_ready("simple", "1", headers=credential())
        assert not client.is_model_ready("wrong_model_name", headers=credential())
        server = client.get_server_metadata(headers=credential())
        equal(server["name"], "onnxgate")
        assert "binary_tensor_data" in server["extensions"], server
        model = client.get_model_metadata("simple", query_params=QUERY, headers=credential())
        equal(model["name"], "simple")
        equal(model["inputs"], [{"name": f"INPUT{i}", "datatype": "INT32", "shape": [-1, 16]} for i in range(2)])
        equal(model["outputs"], [{"name": f"OUTPUT{i}", "datatype": "INT32", "shape": [-1, 16]} for i in range(2)])


@case
def model_config():
    with connect() as client:
        equal(client.get_model_config("simple", headers=credential())["name"], "simple")


@case
def an_unknown_model_is_named():
    with connect() as client:
        refused(InferenceServerException, UNKNOWN, lambda: client.get_model_metadata("wrong_model_name", headers=credential()))
        refused(InferenceServerException, UNKNOWN, lambda: client.infer("wrong_model_name", inputs(http), headers=credential()))


@case
def a_request_without_a_credential_is_refused():
    with connect() as client:
        refused(InferenceServerException, "[401]", lambda: client.infer("simple", inputs(http)))


@case
def wrong_tensors_are_refused_with_a_reason():
    with connect() as client:
        refused(InferenceServerException, "INPUT1", lambda: client.infer("simple", inputs(http)[:1], headers=credential()))
        floats = [a.astype(np.float32) for a in NUMBERS]
        refused(InferenceServerException, "INPUT0", lambda: client.infer("simple", inputs(http, floats, "FP32"), headers=credential()))
        narrow = [a[:, :4] for a in NUMBERS]
        refused(InferenceServerException, "INPUT0", lambda: client.infer("simple", inputs(http, narrow), headers=credential()))


@case
def basic_auth_plugin_with_an_api_key():
    with connect() as client:
        client.register_plugin(BasicAuth(SERVER["id"], SERVER["key"]))
        check(client.infer("simple", inputs(http)))
        equal(client.get_model_metadata("simple")["name"], "simple")


@case
def basic_auth_plugin_with_a_wrong_key():
    with connect() as client:
        client.register_plugin(BasicAuth(SERVER["id"], SERVER["key"][:-1] + "_"))
        refused(InferenceServerException, "[401]", lambda: client.infer("simple", inputs(http)))


@case
def model_control():
    name = "simple_identity"
    with connect() as client:
        equal({m["name"] for m in client.get_model_repository_index(headers=credential())}, {"iris", "simple", "simple_string", name})
        client.unload_model(name, headers=credential())
        assert not client.is_model_ready(name, headers=credential())
        assert client.is_server_ready()
        refused(InferenceServerException, UNKNOWN, lambda: client.get_model_metadata(name, headers=credential()))
        client.load_model(name, headers=credential())
        assert client.is_model_ready(name, headers=credential())
        refused(InferenceServerException, "failed to load", lambda: client.load_model("wrong_model_name", headers=credential()))


run()
