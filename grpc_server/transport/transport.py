"""The interface of a transport, and of the models that run on its thread."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import grpc

from grpc_server.calls.handler import Handler


class InlineModels(Protocol):
    """Models that run on the thread that takes the calls. The registry is one."""

    @property
    def waiting(self) -> int:
        """Rows in their queues."""

    def run_waiting(self) -> None:
        """Run the models whose queues hold rows; replies are sent before it returns."""


class NoInlineModels:
    """For a server whose calls need no model."""

    waiting = 0

    def run_waiting(self) -> None:
        """Do nothing."""


class Transport(Protocol):
    """One gRPC server with its ports. Use it once: add ports, start, stop."""

    def sibling(self, options: Sequence[tuple[str, int]]) -> "Transport":
        """Another server, with other ports, on the threads of this one. Start it after this one and stop it before."""

    def add_port(self, target: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listen on HOST:PORT, or `unix:` and a path; the port number. Raises RuntimeError if it cannot."""

    async def start(self, handlers: Iterable[Handler], models: InlineModels) -> None:
        """Take calls."""

    async def stop(self, seconds: float) -> None:
        """Take no more calls; cancel those that have no reply after `seconds`."""
