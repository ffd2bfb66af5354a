"""Which shell a server gets."""

import os
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


def shell_beside(shell: Shell, options: Sequence[tuple[str, int]]) -> Shell:
    """A shell for other ports of the same process, which has no work, starts after `shell` and is stopped before it.

    Any thread that waits for events of gRPC may take those of another and wake it. On one core that costs a tenth of a call, so
    that both are on the threads of `shell`; on several a second thread takes a fifth of the work from the first.
    """
    if len(os.sched_getaffinity(0)) == 1:
        return shell.beside(options)
    from grpc_server.aio_shell import AioShell

    return AioShell(options)
