"""Calls on gRPC's core, without the layer of Python in which `grpc.aio` wraps each of them.

That layer, a task and classes of metadata among it, is a quarter of what a call costs its client. `grpc.aio` makes its calls on
the same core (`grpc._cython.cygrpc`), which is private, however: pyproject.toml bounds the releases of grpcio for such reasons.
"""

import asyncio
import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import grpc

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class CoreChannel:
    """See rest_bridge.channel.Channel. `channel` is for its owner to close."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._core: Any = channel._channel  # type: ignore[attr-defined]  # private, so without types

    def unary_unary(self, method: str) -> Callable[..., "CoreCall"]:
        """See Channel."""
        return partial(self._call, method.encode())

    def _call(self, method: bytes, request: bytes, *, timeout: float, metadata: tuple[tuple[str, str], ...] = ()) -> "CoreCall":
        return CoreCall(self._core.call(method, time.time() + timeout, None, None, 0), request, metadata)


class CoreCall:
    """See rest_bridge.channel.Call. It begins as it is awaited."""

    __slots__ = ("_core", "_metadata", "_request")

    def __init__(self, core: Any, request: bytes, metadata: tuple[tuple[str, str], ...]) -> None:
        self._core = core
        self._request = request
        self._metadata = metadata

    def __await__(self) -> Generator[Any, None, bytes]:
        """The response's bytes."""
        return self._answer().__await__()

    async def trailing_metadata(self) -> tuple[tuple[str, Any], ...]:
        """Pairs of name and value."""
        found: tuple[tuple[str, Any], ...] | None = (await self._core.status()).trailing_metadata()
        return found or ()

    def cancel(self) -> bool:
        """Tell the server that nobody waits."""
        if self._core.done():
            return False
        self._core.cancel("the caller is gone")
        return True

    async def _answer(self) -> bytes:
        answer: bytes | None = await self._core.unary_unary(self._request, self._metadata, None)
        if answer is not None:
            return answer
        raise asyncio.CancelledError if self._core.is_locally_cancelled() else await self._error()

    async def _error(self) -> grpc.aio.AioRpcError:
        status = await self._core.status()
        trailing = grpc.aio.Metadata(*await self.trailing_metadata())
        return grpc.aio.AioRpcError(_CODES[status.code()], None, trailing, status.details(), status.debug_error_string())
