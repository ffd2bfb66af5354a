"""Other engines around the handlers of a registry: grpcio's own server with threads, and a channel without any port.

Health, reflection and the list of models come with the handlers of the models.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from foretell.serve.local_channel import LocalChannel
from grpc_server.calls.call import read_call
from grpc_server.calls.handler import Answer, Handler, Kind
from grpc_server.calls.refusal import Refusal
from grpc_server.services.service_set import ServiceSet
from grpc_server.versions.registry import Registry
from rest_bridge.app import create_app
from rest_bridge.settings import BridgeSettings
from tests.support.fakes import FakeRuntime, registry_of
from tests.support.iris import EXAMPLE
from tests.support.servers.asgi_hosts import HOSTS
from tests.support.servers.grpc_in_process import iris

REFLECTION = "/grpc.reflection.{}.ServerReflection/ServerReflectionInfo"


@contextmanager
def opened(*, inline: bool) -> Iterator[Registry]:
    registry = registry_of(iris(), FakeRuntime(), inline=inline)
    registry.follow()
    yield registry
    registry.close(1.0)


@pytest.fixture
def channel() -> Iterator[grpc.Channel]:
    """To grpcio's own server, which knows nothing of our transports."""
    with opened(inline=False) as registry:
        server = grpc.server(ThreadPoolExecutor(4), [Handlers(ServiceSet.of_models(registry).handlers)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as opened_channel:
            yield opened_channel
        server.stop(None).wait()


class Handlers(grpc.GenericRpcHandler):
    """Our handlers for grpcio."""

    def __init__(self, handlers: list[Handler]) -> None:
        self._handlers = {handler.path: handler for handler in handlers}

    def service(self, details: Any) -> Any:
        handler = self._handlers[details.method]
        if handler.kind is Kind.STREAM:
            return grpc.stream_stream_rpc_method_handler(partial(self._stream, handler))
        return grpc.unary_unary_rpc_method_handler(partial(self._answer, handler))

    def _stream(self, handler: Handler, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        for request in requests:
            yield self._answer(handler, request, context)

    def _answer(self, handler: Handler, request: bytes, context: Any) -> bytes:
        replied: Future[Answer] = Future()
        handler.answer(request, read_call(context.invocation_metadata(), context.time_remaining()), replied.set_result)
        reply = replied.result(20)
        if isinstance(reply, Refusal):
            context.abort(reply.code, reply.message)
        return bytes(reply)


@pytest.mark.parametrize("service", ["", "iris.v1.IrisService", "foretell.v1.ModelService"])
def test_health_is_hosted(channel: grpc.Channel, service: str) -> None:
    check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
    answer = check(health_pb2.HealthCheckRequest(service=service).SerializeToString(), timeout=20)
    assert health_pb2.HealthCheckResponse.FromString(answer).status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_is_hosted(channel: grpc.Channel, version: str) -> None:
    call: Any = channel.stream_stream(REFLECTION.format(version))
    (answer,) = call(iter([reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()]), timeout=20)
    listed = reflection_pb2.ServerReflectionResponse.FromString(answer).list_services_response.service
    assert {"iris.v1.IrisService", "foretell.v1.ModelService", "grpc.health.v1.Health"} < {one.name for one in listed}


def test_models_and_predictions_are_hosted(channel: grpc.Channel) -> None:
    contract = iris()
    list_models: Any = channel.unary_unary("/foretell.v1.ModelService/ListModels")
    listed = contract.message("foretell.v1.ListModelsResponse").FromString(list_models(b"", timeout=20))
    assert [(model.name, model.version) for model in listed.models] == [("iris", "7")]
    method = contract.services[0].methods[0]
    predict: Any = channel.unary_unary(method.path)
    answer: Any = method.response.FromString(predict(method.request(**EXAMPLE).SerializeToString(), timeout=20))
    assert answer.setosa_probability == 1 / 3
    with pytest.raises(grpc.RpcError, match="sepal_length: value is required"):
        predict(b"", timeout=20)


@pytest.mark.parametrize("host", HOSTS)
async def test_one_process_hosts_bridge_and_model(host: str) -> None:
    """The bridge in another ASGI server, the model in the same process: no gRPC port."""
    with opened(inline=True) as registry:
        channel = LocalChannel(ServiceSet.of_models(registry).handlers, registry, max_message_bytes=1 << 20)
        async with HOSTS[host](create_app(iris(), channel, BridgeSettings())) as http:
            assert (await http.post("/predict", json=EXAMPLE)).json()["setosa_probability"] == 1 / 3
            assert (await http.post("/predict", json={})).status_code == 422
            assert (await http.get("/readyz")).json() == {"status": "ready"}
            assert (await http.get("/models")).json()["models"][0]["version"] == "7"
