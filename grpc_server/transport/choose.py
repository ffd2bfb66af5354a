"""Which shell a server gets."""

from collections.abc import Sequence
from typing import Literal

from foretell_lifecycle.platform import usable_cores
from grpc_server.transport.loop_check import loop_works
from grpc_server.transport.transport import Transport


def chosen_transport(choice: Literal["auto", "loop", "aio"], options: Sequence[tuple[str, int]]) -> Transport:
    """The shell that `choice` names; for "auto" the loop where it works."""
    if choice == "loop" or (choice == "auto" and loop_works()):
        from grpc_server.transport.loop import LoopTransport

        return LoopTransport(options)
    from grpc_server.transport.aio import AioTransport

    return AioTransport(options)


def transport_beside(shell: Transport, options: Sequence[tuple[str, int]]) -> Transport:
    """A shell for other ports of the same process, which has no work, starts after `shell` and is stopped before it.

    Any thread that waits for events of gRPC may take those of another and wake it. On one core that costs a tenth of a call, so
    that both are on the threads of `shell`; on several a second thread takes a fifth of the work from the first.
    """
    if usable_cores() == 1:
        return shell.beside(options)
    from grpc_server.transport.aio import AioTransport

    return AioTransport(options)
