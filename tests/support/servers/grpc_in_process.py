"""A gRPC server in this process, around a fake model."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from foretell_contract.contract import Contract, load_set
from foretell_contract.service import Method
from foretell_contract.source.compiler import compile_protos
from grpc_server.calls.handler import Handler
from grpc_server.rows.mixed_rows import Matrix
from grpc_server.server import Server
from grpc_server.settings import ServerSettings
from grpc_server.versions.registry import Registry
from tests.conftest import PROTOS
from tests.support.fakes import FakeRuntime, registry_of


class Stub:
    """The iris service over one channel, in the messages of a loaded contract."""

    def __init__(
        self, registry: Registry, channel: grpc.aio.Channel, server: Server, address: str, handlers: list[Handler]
    ) -> None:
        self.registry = registry
        self.handlers = handlers
        self.server = server
        self.address = address
        contract = registry.contract
        self.channel = channel
        self.methods: dict[str, Method] = {method.name: method for method in contract.services[0].methods}
        self.predict = self._unary("Predict")
        self.predict_batch = self._unary("PredictBatch")
        stream = self.methods["PredictStream"]
        self.predict_stream: Any = channel.stream_stream(
            stream.path, request_serializer=stream.request.SerializeToString, response_deserializer=stream.response.FromString
        )
        self.raw: Any = channel.unary_unary(self.methods["Predict"].path)

    async def until_waiting(self, rows: int) -> None:
        """Wait until the model's queue holds `rows`."""
        async with asyncio.timeout(10):
            while self.registry.models[0].batcher.waiting != rows:  # noqa: ASYNC110  # the server runs on this loop, and moves on
                await asyncio.sleep(0)

    def features(self, **values: Any) -> Any:
        return self.methods["Predict"].request(**values)

    def batch(self, rows: list[dict[str, Any]]) -> Any:
        return self.methods["PredictBatch"].request(rows=rows)

    def _unary(self, name: str) -> Any:
        method = self.methods[name]
        return self.channel.unary_unary(
            method.path, request_serializer=method.request.SerializeToString, response_deserializer=method.response.FromString
        )


compiled = cache(compile_protos)


def iris() -> Contract:
    """A new iris contract, because a server adds descriptors to its pool."""
    return load_set(compiled(PROTOS)).restricted_to(["iris"])


@asynccontextmanager
async def served(runtime: FakeRuntime, *, inline: bool = False, **settings: Any) -> AsyncIterator[Stub]:
    """A server whose only model is `runtime`, on a thread or `inline`, with settings such as `max_queue_rows=4`."""
    contract = iris()
    chosen = ServerSettings(**{"grpc_address": "127.0.0.1:0"} | settings)
    server = Server(chosen)
    address = server.bind()
    bounds = {"max_rows": chosen.max_batch_rows, "max_waiting": chosen.max_queue_rows}
    registry = registry_of(contract, runtime, inline=inline, **bounds)
    handlers = await server.start(registry)
    try:
        async with grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            yield Stub(registry, channel, server, address, handlers)
    finally:
        await server.stop()


def status_of(error: grpc.RpcError) -> Status:
    """The google.rpc.Status in the trailing metadata."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return Status.FromString(value)
    raise AssertionError("no details")


def violations(error: grpc.RpcError) -> list[tuple[str, str, str]]:
    """Field, rule and text of each violation."""
    detail = BadRequest()
    for packed in status_of(error).details:
        if packed.Unpack(detail):
            return [(v.field, v.reason, v.description) for v in detail.field_violations]
    return []


def info(error: grpc.RpcError) -> ErrorInfo:
    """The ErrorInfo in the details."""
    found = [packed for packed in status_of(error).details if packed.Is(ErrorInfo.DESCRIPTOR)]
    assert len(found) == 1
    detail = ErrorInfo()
    found[0].Unpack(detail)
    return detail


def by_first_column(rows: Matrix) -> Matrix:
    """Probabilities by which a test recognizes the row."""
    return np.stack([rows[:, 0], 1 - rows[:, 0], np.zeros(len(rows))], axis=1)


async def failure(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return failed.value
