"""The process that forks those which run models, as grpc_server/fork_server.py starts it: `python -m grpc_server.forking`.

It imports what a model needs and never loads one, so that each process begins with what was imported, and nothing else of those
before it. Each has a keeper, forked as well, which tells how it ended.
"""

import contextlib
import gc
import json
import os
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from grpc_server import candidate, worker
from grpc_server.lifeline import show_as
from grpc_server.repository import Repository
from grpc_server.runtimes import loader_of
from lifecycle.process import log_to_stderr

_KINDS: dict[str, Callable[..., None]] = {"candidate": candidate.main, "worker": worker.main}
"""What a forked process does with its facts and its sockets."""

_IDLE_SECONDS = 60.0
"""After so long without a request, and once all that it has forked have ended, the process gives its memory back.

While they run it costs little, because they share its memory.
"""

_LONGEST, _MOST_SOCKETS = 2**16, 4
"""Bytes and sockets of a request."""


def requests(line: socket.socket) -> Iterator[tuple[dict[str, Any], list[socket.socket]]]:
    """What is asked for, and with which sockets, until the other end closes, or for a while nobody asks and nothing runs."""
    line.settimeout(_IDLE_SECONDS)
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(line, _LONGEST, _MOST_SOCKETS)
        except TimeoutError:
            if _has_children():
                continue
            line.shutdown(socket.SHUT_RD)  # Whoever asks from now on is told; what has come before is read all the same.
            continue
        if not message:
            return
        yield json.loads(message), [socket.socket(fileno=each) for each in descriptors]


def _has_children() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def keep(kind: str, facts: dict[str, Any], status: socket.socket, *sockets: socket.socket) -> NoReturn:
    """Fork the process, and tell its id and how it ended. Does not return."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        status.close()
        _KINDS[kind](facts, *sockets)
        sys.stdout.flush()
        os._exit(0)  # ONNX Runtime would wait for threads of its own, which it has begun before the fork and which are not here.
    show_as(f"keeper {facts['name']}")
    for each in sockets:
        each.close()
    with contextlib.suppress(OSError):  # Nobody waits for it any more.
        status.send(str(pid).encode())
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(OSError):
        status.send(str(code).encode())
    os._exit(0)  # There is nothing to tidy up.


def import_runtime(facts: dict[str, Any]) -> None:
    """What is imported here takes no process any time: scikit-learn takes one or two seconds."""
    with contextlib.suppress(Exception):  # The process will say it.
        loader_of(Repository(Path(facts["models"])).manifest(facts["name"], facts["version"]).format)


def main(line: str, _purpose: str, nice: str) -> None:
    """Run the process; `line` is the file descriptor of a socket."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # Meant for the server, which ends this process and those that it forks.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody asks how keepers end.
    # From Python 3.12 on. The threads are those of OpenBLAS, which ends them before a fork.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    os.nice(int(nice))
    show_as("fork server")
    log_to_stderr()
    with socket.socket(fileno=int(line)) as asked:
        for request, sockets in requests(asked):
            import_runtime(request["facts"])
            gc.freeze()  # Else a collection in a process would copy every page that is shared.
            if os.fork() == 0:
                asked.close()
                keep(request["kind"], request["facts"], *sockets)
            for each in sockets:
                each.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
