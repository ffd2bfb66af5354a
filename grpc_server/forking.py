"""The process that forks those which run models, as grpc_server/fork_server.py starts it: `python -m grpc_server.forking`.

It imports what a model needs and never loads one, so that each process begins with what was imported, and nothing else of those
before it.
"""

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from grpc_server import candidate, worker
from grpc_server.pauses import Bursts, Paused, go_on_without_parent
from grpc_server.repository import Repository
from grpc_server.runtimes import format_named, loader_of
from lifecycle.lifeline import show_as
from lifecycle.process import log_to_stderr

_KINDS: dict[str, Callable[..., None]] = {"candidate": candidate.main, "worker": worker.main}
"""What a forked process does with its facts, the time for which it is stopped, and its sockets."""

_IDLE_SECONDS = 60.0
"""After so long without a request, and without a process that it has forked, it gives its memory back.

While they run it takes little, for they share its memory.
"""

_LONGEST, _MOST_SOCKETS = 2**16, 4
"""Bytes and sockets of a request."""


class Forks:
    """Forks what is asked for on a line, and tells how each ended."""

    def __init__(self, line: socket.socket, paused: Paused, *, apart: bool) -> None:
        self._line = line
        self._paused = paused
        self._bursts = Bursts(paused) if apart else None
        self._running: dict[int, socket.socket] = {}
        """By process id: where its id and its exit code go."""
        self._ready = selectors.SelectSelector()  # The others count time in milliseconds, which is too coarse for bursts.
        self._ready.register(line, selectors.EVENT_READ)

    def serve(self) -> Callable[[], None] | None:
        """None once nobody asks any more. In each process that it forks, it returns what that is to do."""
        while True:
            events = self._ready.select(self._wait())
            if not events and not self._running:
                self._line.shutdown(socket.SHUT_RD)  # Whoever asks from now on is told; what has come before is read all the same.
            for key, _ in events:
                if key.fileobj is not self._line:
                    self._bury(key.fd, key.data)
                    continue
                message, descriptors, _, _ = socket.recv_fds(self._line, _LONGEST, _MOST_SOCKETS)
                if not message:
                    return None
                task = self._fork(json.loads(message), *map(_own, descriptors))
                if task is not None:
                    return task

    def _wait(self) -> float | None:
        """Seconds until something is to be done, whatever comes."""
        turn = None if self._bursts is None else self._bursts.turn(self._running)
        return turn if self._running else _IDLE_SECONDS

    def _fork(self, request: dict[str, Any], status: socket.socket, *sockets: socket.socket) -> Callable[[], None] | None:
        with contextlib.suppress(Exception):  # The process will say it.
            if format_named(name := _format(request["facts"])).forks:
                loader_of(name)  # What is imported here takes no process any time: scikit-learn takes one or two seconds.
        gc.freeze()  # Else a collection in a process would copy every page that is shared.
        pid = os.fork()
        if pid == 0:
            self._ready.close()
            for each in (self._line, status, *self._running.values()):
                each.close()
            if self._bursts is not None:
                go_on_without_parent()
            return partial(run, request["kind"], request["facts"], self._paused, *sockets)
        for each in sockets:
            each.close()
        self._running[pid] = status
        self._ready.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
        _tell(status, pid)
        return None

    def _bury(self, handle: int, pid: int) -> None:
        self._ready.unregister(handle)
        os.close(handle)
        with self._running.pop(pid) as status:
            _tell(status, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _own(descriptor: int) -> socket.socket:
    """The socket, which what a model starts must not hold open."""
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)


def _tell(status: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # Nobody waits for it any more.
        status.send(str(number).encode())


def run(kind: str, facts: dict[str, Any], paused: Paused, *sockets: socket.socket) -> None:
    """What a forked process does."""
    with contextlib.suppress(Exception):  # It will come to it again, and say it.
        loader_of(_format(facts))
    _KINDS[kind](facts, paused, *sockets)


def _format(facts: dict[str, Any]) -> str:
    return Repository(Path(facts["models"])).manifest(facts["name"], facts["version"]).format


def main(line: str, paused: str, _purpose: str, nice: str, apart: str) -> None:
    """Run the process; `line` is the file descriptor of a socket, `paused` that of a Paused."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # Meant for the server, which ends this process and those that it forks.
    # From Python 3.12 on. The threads are those of OpenBLAS, which ends them before a fork.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    os.nice(int(nice))
    show_as("fork server")
    log_to_stderr()
    shared = Paused(int(paused))
    os.close(int(paused))
    task = Forks(_own(int(line)), shared, apart=bool(apart)).serve()
    if task is not None:
        task()
        sys.stdout.flush()
        os._exit(0)  # To tidy an interpreter up takes longer than all the rest.


if __name__ == "__main__":
    main(*sys.argv[1:])
