"""tritonclient over gRPC: in turn, by callbacks, as a stream and by asyncio.

The exchanges are those of Triton's examples for this client: infer, async_infer,
aio, string, health_metadata, stream, model_control, keepalive, custom_args, and
the two that fill the messages themselves, with the credential that this server
asks for.
"""

import queue

import numpy as np
import grpc
import tritonclient.grpc as triton
import tritonclient.grpc.aio as aio
from cases import SERVER, case, credential, equal, refused, run
from exchange import DIFFERENCE, NUMBERS, SUM, TEXTS, check, inputs, outputs, statistics_count, texts
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.grpc.auth import BasicAuth
from tritonclient.utils import InferenceServerException

HEADERS = credential("authorization")
UNKNOWN = "Request for unknown model"
WAIT = 60  # seconds, against hanging


def connect(**options):
    return triton.InferenceServerClient(SERVER["grpc"], ssl=True, root_certificates=SERVER["ca"], **options)


def connect_aio():
    return aio.InferenceServerClient(SERVER["grpc"], ssl=True, root_certificates=SERVER["ca"])


@case
def infer():
    with connect() as client:
        result = client.infer("simple", inputs(triton), outputs=outputs(triton), headers=HEADERS | {"test": "1"}, client_timeout=WAIT)
        check(result)
        equal((result.get_response().model_name, result.get_response().model_version), ("simple", "1"))
        check(client.infer("simple", inputs(triton), headers=HEADERS))


@case
def infer_compressed():
    with connect() as client:
        check(client.infer("simple", inputs(triton), headers=HEADERS, compression_algorithm="gzip"))


@case
def infer_many_rows_of_a_version_with_an_id():
    arrays = [np.repeat(a, 100, axis=0) for a in NUMBERS]
    with connect() as client:
        result = client.infer("simple", inputs(triton, arrays), model_version="1", request_id="the id", headers=HEADERS)
        check(result, [np.repeat(SUM, 100, axis=0), np.repeat(DIFFERENCE, 100, axis=0)])
        equal(result.get_response().id, "the id")


@case
def statistics_count_what_was_answered():
    with connect() as client:
        before = statistics_count(client.get_inference_statistics("simple", headers=HEADERS, as_json=True))
        client.infer("simple", inputs(triton), headers=HEADERS)
        equal(statistics_count(client.get_inference_statistics("simple", headers=HEADERS, as_json=True)), before + 1)


@case
def async_infer():
    done = queue.Queue()
    with connect() as client:
        for _ in range(20):
            client.async_infer("simple", inputs(triton), lambda result, error: done.put((result, error)), outputs=outputs(triton), headers=HEADERS)
        for _ in range(20):
            result, error = done.get(timeout=WAIT)
            assert error is None, error
            check(result)


@case
def stream():
    done = queue.Queue()
    with connect() as client:
        client.start_stream(lambda result, error: done.put((result, error)), headers=HEADERS)
        for n in range(10):
            client.async_stream_infer("simple", inputs(triton), outputs=outputs(triton), request_id=str(n))
        client.async_stream_infer("wrong_model_name", inputs(triton))
        client.async_stream_infer("simple", inputs(triton), request_id="last")
        for n in range(10):
            result, error = done.get(timeout=WAIT)
            assert error is None, error
            check(result)
            equal(result.get_response().id, str(n))
        # An error in a stream is one answer; the stream goes on.
        _, error = done.get(timeout=WAIT)
        assert UNKNOWN in error.message(), error
        result, error = done.get(timeout=WAIT)
        assert error is None, error
        equal(result.get_response().id, "last")
        client.stop_stream()


@case
async def aio_infer():
    async with connect_aio() as client:
        check(await client.infer("simple", inputs(aio), outputs=outputs(aio), headers=HEADERS))
        check(await client.infer("simple", inputs(aio), headers=HEADERS))


@case
async def aio_stream():
    async def requests():
        for n in range(10):
            yield {"model_name": "simple", "inputs": inputs(aio), "outputs": outputs(aio), "request_id": str(n)}

    async with connect_aio() as client:
        n = 0
        async for result, error in client.stream_infer(requests(), headers=HEADERS):
            assert error is None, error
            check(result)
            equal(result.get_response().id, str(n))
            n += 1
        equal(n, 10)


@case
async def aio_health_and_metadata():
    async with connect_aio() as client:
        assert await client.is_server_live() and await client.is_server_ready()
        assert await client.is_model_ready("simple", headers=HEADERS)
        equal((await client.get_model_metadata("simple", headers=HEADERS)).name, "simple")


@case
def string_arithmetic():
    with connect() as client:
        check(client.infer("simple_string", inputs(triton, TEXTS, "BYTES"), outputs=outputs(triton), headers=HEADERS), [texts(SUM), texts(DIFFERENCE)])


@case
def string_identity():
    words = np.array(["", "Grüße", "日本", "a" * 1000] * 4, object).reshape(1, 16)
    with connect() as client:
        result = client.infer("simple_identity", inputs(triton, [words], "BYTES"), outputs=outputs(triton, names=["OUTPUT0"]), headers=HEADERS)
        equal([x.decode() for x in result.as_numpy("OUTPUT0").flatten()], words.flatten().tolist())


@case
def health_and_metadata():
    with connect() as client:
        assert client.is_server_live() and client.is_server_ready()
        assert client.is_model_ready("simple", headers=HEADERS)
        assert client.is_model_ready("simple", "1", headers=HEADERS)
        equal(client.get_server_metadata(headers=HEADERS).name, "onnxgate")
        model = client.get_model_metadata("simple", headers=HEADERS, as_json=True)
        equal(model["inputs"], [{"name": f"INPUT{i}", "datatype": "INT32", "shape": ["-1", "16"]} for i in range(2)])


@case
def model_config():
    with connect() as client:
        equal(client.get_model_config("simple", headers=HEADERS).config.name, "simple")


@case
def an_unknown_model_is_named():
    with connect() as client:
        refused(InferenceServerException, UNKNOWN, lambda: client.get_model_metadata("wrong_model_name", headers=HEADERS))
        refused(InferenceServerException, UNKNOWN, lambda: client.infer("wrong_model_name", inputs(triton), headers=HEADERS))


@case
def a_call_without_a_credential_is_refused():
    with connect() as client:
        refused(InferenceServerException, "UNAUTHENTICATED", lambda: client.infer("simple", inputs(triton)))


@case
def wrong_tensors_are_refused_with_a_reason():
    with connect() as client:
        refused(InferenceServerException, "INPUT1", lambda: client.infer("simple", inputs(triton)[:1], headers=HEADERS))
        narrow = [a[:, :4] for a in NUMBERS]
        refused(InferenceServerException, "INPUT0", lambda: client.infer("simple", inputs(triton, narrow), headers=HEADERS))


@case
def basic_auth_plugin_with_an_api_key():
    with connect() as client:
        client.register_plugin(BasicAuth(SERVER["id"], SERVER["key"]))
        check(client.infer("simple", inputs(triton)))
        equal(client.get_model_metadata("simple").name, "simple")


@case
def keepalive_and_channel_arguments():
    with connect(keepalive_options=triton.KeepAliveOptions(keepalive_time_ms=60_000, keepalive_timeout_ms=20_000)) as client:
        check(client.infer("simple", inputs(triton), headers=HEADERS))
    with connect(channel_args=[("grpc.primary_user_agent", "tester")]) as client:
        check(client.infer("simple", inputs(triton), headers=HEADERS))


def stub():
    with open(SERVER["ca"], "rb") as f:
        channel = grpc.secure_channel(SERVER["grpc"], grpc.ssl_channel_credentials(f.read()))
    return service_pb2_grpc.GRPCInferenceServiceStub(channel)


def message(model="simple", datatype="INT32"):
    request = service_pb2.ModelInferRequest(model_name=model)
    for i in range(2):
        request.inputs.add(name=f"INPUT{i}", datatype=datatype, shape=[1, 16])
    return request


@case
def messages_with_typed_contents():
    request = message()
    for tensor, array in zip(request.inputs, NUMBERS):
        tensor.contents.int_contents.extend(array.flatten().tolist())
    answer = stub().ModelInfer(request, metadata=list(HEADERS.items()))
    equal([o.name for o in answer.outputs], ["OUTPUT0", "OUTPUT1"])
    # The answer is in the way of the request, or in bytes.
    got = list(answer.outputs[0].contents.int_contents) or np.frombuffer(answer.raw_output_contents[0], "<i4").tolist()
    equal(got, SUM.flatten().tolist())


@case
def messages_with_raw_contents():
    request = message()
    request.raw_input_contents.extend(a.tobytes() for a in NUMBERS)
    answer = stub().ModelInfer(request, metadata=list(HEADERS.items()))
    equal(np.frombuffer(answer.raw_output_contents[1], "<i4").tolist(), DIFFERENCE.flatten().tolist())


@case
def messages_with_texts():
    request = message("simple_string", "BYTES")
    for tensor, array in zip(request.inputs, TEXTS):
        tensor.contents.bytes_contents.extend(t.encode() for t in array.flatten())
    answer = stub().ModelInfer(request, metadata=list(HEADERS.items()))
    equal(len(answer.outputs), 2)


@case
def messages_with_both_contents_are_refused():
    request = message()
    request.raw_input_contents.extend(a.tobytes() for a in NUMBERS)
    request.inputs[0].contents.int_contents.extend([1] * 16)
    try:
        stub().ModelInfer(request, metadata=list(HEADERS.items()))
    except grpc.RpcError as e:
        equal(e.code(), grpc.StatusCode.INVALID_ARGUMENT)
    else:
        raise AssertionError("it was answered")


@case
def model_control():
    name = "simple_identity"
    with connect() as client:
        index = client.get_model_repository_index(headers=HEADERS)
        equal({m.name for m in index.models}, {"iris", "simple", "simple_string", name})
        client.unload_model(name, headers=HEADERS)
        assert not client.is_model_ready(name, headers=HEADERS)
        assert client.is_server_ready()
        client.load_model(name, headers=HEADERS)
        assert client.is_model_ready(name, headers=HEADERS)
        refused(InferenceServerException, "failed to load", lambda: client.load_model("wrong_model_name", headers=HEADERS))


run()
