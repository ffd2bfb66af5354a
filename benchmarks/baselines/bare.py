"""Servers without a model, as limits.

`python -m benchmarks.baselines.bare sync|aio PORT` echoes bytes over gRPC; uvicorn runs `app`.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import uvloop

ANSWER = b'{"setosa_probability":0.010000000000000,"versicolor_probability":0.020000000000000,"virginica_probability":0.97}'
_HEAD = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())],
}
_BODY = {"type": "http.response.body", "body": ANSWER}


async def app(_scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """Read the body and send a constant answer."""
    while (await receive()).get("more_body"):
        pass
    await send(_HEAD)
    await send(_BODY)


class _Echo(grpc.GenericRpcHandler):
    def __init__(self, behaviour: Callable[..., Any]) -> None:
        self._handler: Any = grpc.unary_unary_rpc_method_handler(behaviour)

    def service(self, _details: Any) -> Any:
        """The echo, for every method."""
        return self._handler


async def _answer(request: bytes, _context: Any) -> bytes:
    return request


def _sync(address: str) -> None:
    server = grpc.server(ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((_Echo(lambda request, _context: request),))
    server.add_insecure_port(address)
    server.start()
    server.wait_for_termination()


async def _aio(address: str) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Echo(_answer),))
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    address = f"127.0.0.1:{sys.argv[2]}"
    if sys.argv[1] == "sync":
        _sync(address)
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_aio(address))
