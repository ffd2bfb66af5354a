"""Whether the loop works on the installed grpcio, whose completion queue is private: found out by real calls."""

import logging
from typing import Any

import grpc

from grpc_server.calls.call import Call
from grpc_server.calls.handler import Handler, Kind, Reply

logger = logging.getLogger(__name__)

_UNARY, _STREAM = "/check/Unary", "/check/Stream"
_SECONDS = 5.0
"""Longest time for one call of the check; each takes about a millisecond."""


def loop_works() -> bool:
    """Whether a loop echoes a call and a stream over the loopback. Where it does not, the log says why."""
    try:
        from grpc_server.transport.loop import LoopTransport

        shell = LoopTransport(())
        address = f"127.0.0.1:{shell.add_port('127.0.0.1:0')}"
        shell.begin([Handler(_UNARY, Kind.UNARY, _echo), Handler(_STREAM, Kind.STREAM, _echo)], _NoWork())
        try:
            _call(address, [b"one", b"", b"three"])
        finally:
            shell.end(_SECONDS)
    except Exception as error:
        logger.warning("the loop does not work on grpcio %s, so calls go through grpc.aio, slower: %s", grpc.__version__, error)
        return False
    return True


def _call(address: str, messages: list[bytes]) -> None:
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]) as channel:
        call: Any = channel.unary_unary(_UNARY)
        stream: Any = channel.stream_stream(_STREAM)
        for message in messages:
            if call(message, timeout=_SECONDS) != message:
                raise RuntimeError("a call is answered wrongly")
        if list(stream(iter(messages), timeout=_SECONDS)) != messages:
            raise RuntimeError("a stream is answered wrongly")


def _echo(request: bytes, _call: Call, reply: Reply) -> None:
    reply(request)


class _NoWork:
    waiting = 0

    def run_waiting(self) -> None:
        """Nothing ever waits."""
