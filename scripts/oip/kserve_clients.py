"""KServe's own clients, with the rows and the answers of KServe's tests of iris."""

import ssl

import grpc
import httpx
import numpy as np
from cases import SERVER, case, credential, equal, run
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

ROWS = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]
ANSWER = [1, 1]
URL = "https://" + SERVER["http"]
METADATA = list(credential("authorization").items())


def rest(protocol, **options):
    return InferenceRESTClient(RESTConfig(protocol=protocol, verify=ssl.create_default_context(cafile=SERVER["ca"]), retries=0, **options))


def rpc():
    return InferenceGRPCClient(SERVER["grpc"], use_ssl=True, root_certificates=SERVER["ca"])


def tensor(binary=False, name="input-0"):
    made = InferInput(name, [2, 4], "FP32")
    made.set_data_from_numpy(np.array(ROWS, np.float32), binary_data=binary)
    return made


def labels(response):
    return np.array(response.outputs[0].as_numpy()).flatten().tolist()


async def fails(status, contains, call):
    try:
        await call
    except httpx.HTTPStatusError as e:
        equal(e.response.status_code, status)
        assert contains in str(e), e
    else:
        raise AssertionError("it was answered")


@case
async def v1_predict():
    async with rest("v1") as client:
        answer = await client.infer(URL, {"instances": ROWS}, model_name="iris", headers=credential())
        equal(answer, {"predictions": ANSWER})


# Its is_server_live asks V1 servers for "/", where only KServe's own answer.
@case
async def v1_health():
    async with rest("v1") as client:
        assert await client.is_model_ready(URL, "iris", headers=credential())


@case
async def v1_errors_have_their_text():
    async with rest("v1") as client:
        await fails(404, "unknown model", client.infer(URL, {"instances": ROWS}, model_name="wrong", headers=credential()))
        await fails(401, "", client.infer(URL, {"instances": ROWS}, model_name="iris"))


@case
async def v2_infer():
    async with rest("v2") as client:
        response = await client.infer(URL, InferRequest("iris", [tensor()], request_id="7"), model_name="iris", headers=credential())
        equal(labels(response), ANSWER)
        equal((response.model_name, response.id), ("iris", "7"))


@case
async def v2_infer_as_in_the_file_of_the_tests():
    async with rest("v2") as client:
        request = {"inputs": [{"name": "input-0", "shape": [2, 4], "datatype": "FP32", "data": ROWS}]}
        response = await client.infer(URL, request, model_name="iris", headers=credential())
        equal(response.outputs[0].data, ANSWER)


@case
async def v2_infer_binary_in():
    async with rest("v2") as client:
        equal(labels(await client.infer(URL, InferRequest("iris", [tensor(binary=True)]), model_name="iris", headers=credential())), ANSWER)


@case
async def v2_infer_binary_out():
    async with rest("v2") as client:
        request = InferRequest("iris", [tensor()], request_outputs=[RequestedOutput("output-0", {"binary_data": True})])
        equal(labels(await client.infer(URL, request, model_name="iris", headers=credential())), ANSWER)


@case
async def v2_infer_all_binary():
    async with rest("v2") as client:
        for inside in (False, True):
            request = InferRequest("iris", [tensor(binary=inside)], parameters={"binary_data_output": True})
            response = await client.infer(URL, request, model_name="iris", headers=credential())
            equal(labels(response), ANSWER)


@case
async def v2_health():
    async with rest("v2") as client:
        assert await client.is_server_live(URL)
        assert await client.is_server_ready(URL)
        assert await client.is_model_ready(URL, "iris", headers=credential())
        assert not await client.is_model_ready(URL, "wrong", headers=credential())


@case
async def v2_errors_have_their_text():
    async with rest("v2") as client:
        await fails(404, "Request for unknown model: 'wrong' is not found",
                    client.infer(URL, InferRequest("wrong", [tensor()]), model_name="wrong", headers=credential()))
        short = {"inputs": [{"name": "input-0", "shape": [2, 4], "datatype": "FP32", "data": ROWS[:1]}]}
        await fails(400, "input-0", client.infer(URL, short, model_name="iris", headers=credential()))
        await fails(401, "", client.infer(URL, InferRequest("iris", [tensor()]), model_name="iris"))


@case
async def basic_auth_with_an_api_key():
    async with rest("v2", auth=httpx.BasicAuth(SERVER["id"], SERVER["key"])) as client:
        equal(labels(await client.infer(URL, InferRequest("iris", [tensor()]), model_name="iris")), ANSWER)


if SERVER.get("grpc"):

    @case
    async def grpc_infer():
        async with rpc() as client:
            response = await client.infer(InferRequest("iris", [tensor()], request_id="7"), headers=METADATA)
            equal(labels(response), ANSWER)

    @case
    async def grpc_infer_binary():
        async with rpc() as client:
            equal(labels(await client.infer(InferRequest("iris", [tensor(binary=True)]), headers=METADATA)), ANSWER)

    @case
    async def grpc_health():
        async with rpc() as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready("iris", headers=METADATA)

    @case
    async def grpc_errors_have_their_text():
        async with rpc() as client:
            try:
                await client.infer(InferRequest("wrong", [tensor()]), headers=METADATA)
            except grpc.RpcError as e:
                equal(e.code(), grpc.StatusCode.NOT_FOUND)
                assert "Request for unknown model" in e.details(), e
            else:
                raise AssertionError("it was answered")


run()
