"""The process that forks candidates, as grpc_server/fork_server.py starts it: `python -m grpc_server.forking`.

It imports what a model needs and never loads one, so that each candidate begins with what was imported, and nothing else of those
before it. Each has a keeper, forked as well, which tells how it ended.
"""

import contextlib
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator

from grpc_server.candidate import Request, import_runtime, run
from lifecycle.process import log_to_stderr

_IDLE_SECONDS = 60.0
"""After so long without a candidate the process gives its memory back."""

_NICE = 10
"""A tenth of the time of a process that serves, if both want it; what it waits for a core, the gates do not count."""

_LONGEST = 2**16
"""Bytes of a request."""


def requests(line: socket.socket) -> Iterator[tuple[Request, socket.socket, socket.socket]]:
    """What candidates are asked for, with their sockets, until the other end closes or asks for none for a while."""
    line.settimeout(_IDLE_SECONDS)
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(line, _LONGEST, 2)
        except TimeoutError:
            line.shutdown(socket.SHUT_RD)  # Whoever sends from now on is told; what has come before is still there to read.
            line.settimeout(0)
            continue
        except BlockingIOError:
            return
        if not message:
            return
        told, lifeline = (socket.socket(fileno=each) for each in descriptors)
        yield Request(**json.loads(message)), told, lifeline


def keep(request: Request, told: socket.socket, lifeline: socket.socket) -> None:
    """Fork a candidate, and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)  # What it starts ends with it.
        run(request, told, lifeline)
        return
    lifeline.close()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(OSError):  # Nobody waits for it any more.
        told.sendall(json.dumps({"ended": code}).encode() + b"\n")
    os._exit(0)  # There is nothing to tidy up.


def main(line: str) -> None:
    """Run the process; `line` is the file descriptor of a socket."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # Meant for the server, which ends this process.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody asks how keepers end.
    os.nice(_NICE)
    log_to_stderr()
    with socket.socket(fileno=int(line)) as asked:
        asked.set_inheritable(False)
        for request, told, lifeline in requests(asked):
            import_runtime(request)
            gc.freeze()  # A collection in a candidate would else copy every page of what is shared.
            if os.fork() == 0:
                asked.close()
                keep(request, told, lifeline)
                return
            told.close()
            lifeline.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
