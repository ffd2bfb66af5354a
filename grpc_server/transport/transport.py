"""What a shell is: it takes gRPC calls from the network to handlers, and their answers back."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import grpc

from grpc_server.calls.handler import Handler


class Work(Protocol):
    """Models that run on the shell's own loop, once it has taken in the calls that have arrived."""

    @property
    def waiting(self) -> int:
        """Rows that wait for `run_waiting`."""

    def run_waiting(self) -> None:
        """Run the models for which rows wait; their answers come before it returns."""


class Transport(Protocol):
    """One gRPC server on one set of ports."""

    def beside(self, options: Sequence[tuple[str, int]]) -> "Transport":
        """Another server on other ports, on the threads of this one. It has no work, starts after this one and stops before it."""

    def add_port(self, target: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listen on HOST:PORT or `unix:` and a path; the port. Raises RuntimeError where it cannot."""

    async def start(self, handlers: Iterable[Handler], work: Work) -> None:
        """Answer calls."""

    async def stop(self, seconds: float) -> None:
        """Take no more calls; cut off those that are not answered after `seconds`."""
