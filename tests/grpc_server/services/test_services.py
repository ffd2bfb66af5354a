"""Health, reflection and the list of models, on each transport."""

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tests.support.fakes import FakeRuntime, Held
from tests.support.iris import EXAMPLE
from tests.support.servers.grpc_in_process import failure, served

pytestmark = pytest.mark.usefixtures("each_transport")


@pytest.mark.parametrize("method", ["/grpc.health.v1.Health/Check", "/foretell.v1.ModelService/ListModels"])
async def test_unary_services_refuse_malformed_bytes(method: str) -> None:
    async with served(FakeRuntime()) as stub:
        call: Any = stub.channel.unary_unary(method)
        assert (await failure(call(b"\xff\xff\xff"))).code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("service", ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"])
async def test_reflection_refuses_malformed_bytes(service: str) -> None:
    async with served(FakeRuntime()) as stub:
        call: Any = stub.channel.stream_stream(f"/{service}/ServerReflectionInfo")
        assert (await failure(call(iter([b"\xff\xff"])).read())).code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_unknown_method_is_unimplemented() -> None:
    async with served(FakeRuntime()) as stub:
        call: Any = stub.channel.unary_unary("/iris.v1.IrisService/Explain")
        assert (await failure(call(b""))).code() is grpc.StatusCode.UNIMPLEMENTED


async def test_health_of_server_and_each_service() -> None:
    async with served(FakeRuntime()) as stub:
        check: Any = stub.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        for service in ("", "iris.v1.IrisService", "foretell.v1.ModelService"):
            assert (await check(health_pb2.HealthCheckRequest(service=service))).status == health_pb2.HealthCheckResponse.SERVING
        unknown = await failure(check(health_pb2.HealthCheckRequest(service="nothing")))
        assert unknown.code() is grpc.StatusCode.NOT_FOUND


async def test_health_lists_every_service() -> None:
    async with served(FakeRuntime()) as stub:
        call: Any = stub.channel.unary_unary(
            "/grpc.health.v1.Health/List", response_deserializer=health_pb2.HealthListResponse.FromString
        )
        listed = await call(b"")
        assert set(listed.statuses) == {"", "iris.v1.IrisService", "foretell.v1.ModelService"}


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
@pytest.mark.parametrize(
    "symbol", ["iris.v1.IrisService", "iris.v1.IrisService.Predict", "iris.v1.Features", "google.rpc.BadRequest"]
)
async def test_reflection_finds_services_methods_and_messages(version: str, symbol: str) -> None:
    async with served(FakeRuntime()) as stub:
        call: Any = stub.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        symbols = [symbol, f"{symbol}.Nothing"]
        answers = [
            answer async for answer in call(reflection_pb2.ServerReflectionRequest(file_containing_symbol=s) for s in symbols)
        ]
        assert [answer.WhichOneof("message_response") for answer in answers] == ["file_descriptor_response", "error_response"]


async def test_health_answers_beside_a_full_queue() -> None:
    with Held() as held:
        async with served(FakeRuntime(held)) as stub:
            calls = [stub.predict(stub.features(**EXAMPLE)) for _ in range(90)]
            await asyncio.to_thread(held.entered.acquire)
            check: Any = stub.channel.unary_unary("/grpc.health.v1.Health/Check")
            assert await check(b"", timeout=5) == b"\x08\x01"
            held.go()
            await asyncio.gather(*calls)
