"""The choice of a server's transport."""

from collections.abc import Sequence
from typing import Literal

from foretell_lifecycle.platform import usable_cores
from grpc_server.transport.loop_check import loop_works
from grpc_server.transport.transport import Transport


def create_transport(choice: Literal["auto", "loop", "aio"], options: Sequence[tuple[str, int]]) -> Transport:
    """A transport with gRPC's channel arguments `options`; `auto` is the loop if it passes its check, else aio."""
    if choice == "loop" or (choice == "auto" and loop_works()):
        from grpc_server.transport.loop import LoopTransport

        return LoopTransport(options)
    from grpc_server.transport.aio import AioTransport

    return AioTransport(options)


def create_second_transport(first: Transport, options: Sequence[tuple[str, int]]) -> Transport:
    """A transport for other ports of this process and no models. Start it after `first` and stop it before.

    A thread that waits for gRPC's events may take another thread's and must wake it. On one core that costs a tenth of a call, so
    both use the threads of `first`; on several cores a second thread takes a fifth of the work from the first.
    """
    if usable_cores() == 1:
        return first.sibling(options)
    from grpc_server.transport.aio import AioTransport

    return AioTransport(options)
