"""The clients of iris.v1.IrisService: IrisClient for threads, AsyncIrisClient for asyncio."""
# ruff: noqa: ASYNC109  # `timeout` becomes the deadline of the call, which gRPC sends to the server.

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Self

import grpc

from foretell_client.channel import TIMEOUT, options
from foretell_client.errors import translated
from foretell_client.rows import feed, until_failed
from foretell_client.stubs.iris.v1.iris_pb2 import Features, FeaturesBatch, Response
from foretell_client.stubs.iris.v1.iris_pb2_grpc import IrisServiceStub


class IrisClient:
    """A client with one channel. Safe to use from any number of threads; methods raise PredictionError.

    `timeout` is in seconds; None in a method means the client's own. `stub` is the generated stub, which raises grpcio's errors.
    """

    def __init__(self, channel: grpc.Channel, *, timeout: float = TIMEOUT) -> None:
        self.stub = IrisServiceStub(channel)
        self._channel = channel
        self._timeout = timeout

    @classmethod
    def connect(cls, target: str, *, timeout: float = TIMEOUT) -> Self:
        """A client of the server at `target`, such as "127.0.0.1:50051". It connects at its first call."""
        return cls(grpc.insecure_channel(target, options(target)), timeout=timeout)

    def predict(self, features: Features, *, timeout: float | None = None) -> Response:
        """Classify one flower."""
        with translated():
            return self.stub.Predict(features, timeout=_first(timeout, self._timeout))

    def predict_batch(self, rows: Iterable[Features], *, timeout: float | None = None) -> list[Response]:
        """Classify up to 10,000 flowers; the answers are in their order. One invalid flower refuses the batch."""
        with translated():
            return list(self.stub.PredictBatch(FeaturesBatch(rows=rows), timeout=_first(timeout, self._timeout)).rows)

    def predict_stream(self, rows: Iterable[Features], *, timeout: float | None = None) -> Iterator[Response]:
        """Classify flowers as they arrive, in their order. Without `timeout` there is no deadline, since a stream may be long.

        The first invalid flower ends the stream after the answers before it, with its `index` in the error. An exception of
        `rows` is raised after the answers to the rows before it.
        """
        failed: list[Exception] = []
        call = self.stub.PredictStream(until_failed(rows, failed), timeout=timeout)
        try:
            with translated():
                yield from call
        finally:
            call.cancel()
        for error in failed:
            raise error

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncIrisClient:
    """IrisClient for asyncio. Create and use it on one event loop."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout: float = TIMEOUT) -> None:
        self.stub = IrisServiceStub(channel)
        self._channel = channel
        self._timeout = timeout

    @classmethod
    def connect(cls, target: str, *, timeout: float = TIMEOUT) -> Self:
        """As IrisClient.connect."""
        return cls(grpc.aio.insecure_channel(target, options(target)), timeout=timeout)

    async def predict(self, features: Features, *, timeout: float | None = None) -> Response:
        """As IrisClient.predict."""
        with translated():
            return await self.stub.Predict(features, timeout=_first(timeout, self._timeout))

    async def predict_batch(self, rows: Iterable[Features], *, timeout: float | None = None) -> list[Response]:
        """As IrisClient.predict_batch."""
        with translated():
            return list((await self.stub.PredictBatch(FeaturesBatch(rows=rows), timeout=_first(timeout, self._timeout))).rows)

    async def predict_stream(
        self, rows: Iterable[Features] | AsyncIterable[Features], *, timeout: float | None = None
    ) -> AsyncIterator[Response]:
        """As IrisClient.predict_stream."""
        failed: list[Exception] = []
        call = self.stub.PredictStream(timeout=timeout)
        feed(call, rows, failed)
        try:
            with translated():
                async for response in call:
                    yield response
        finally:
            call.cancel()
        for error in failed:
            raise error

    async def close(self) -> None:
        """As IrisClient.close."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _first(timeout: float | None, default: float) -> float:
    return default if timeout is None else timeout
