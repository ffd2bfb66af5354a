"""Which shell a server gets."""

from collections.abc import Sequence
from typing import Literal

from grpc_server.loop_check import loop_works
from grpc_server.shell import Shell


def chosen_shell(choice: Literal["auto", "loop", "aio"], options: Sequence[tuple[str, int]]) -> Shell:
    """The shell that `choice` names; for "auto" the loop where it works."""
    if choice == "loop" or (choice == "auto" and loop_works()):
        from grpc_server.loop_shell import LoopShell

        return LoopShell(options)
    from grpc_server.aio_shell import AioShell

    return AioShell(options)
