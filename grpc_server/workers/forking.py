"""The process that forks those which run models: `python -m grpc_server.workers.forking`.

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

from foretell_lifecycle.platform import name_process
from foretell_lifecycle.process import log_to_stderr
from grpc_server.loading import candidate_process
from grpc_server.runtimes.formats.format_table import format_named, loader_of
from grpc_server.store.repository import Repository
from grpc_server.workers import worker_process
from grpc_server.workers.cost import Clock
from grpc_server.workers.pauses import Paused, Pauses, Pausing

_KINDS: dict[str, Callable[..., None]] = {"candidate": candidate_process.main, "worker": worker_process.main}
"""What a forked process does with its facts, a clock that leaves its pauses out, the pauses, and its sockets."""

_IDLE_SECONDS = 60.0
"""After so long without a request, and without a process that it has forked, it gives its memory back.

While they run it takes little, for they share its memory.
"""

_LONGEST, _MOST_DESCRIPTORS = 2**16, 4
"""Bytes and descriptors of a request."""


class Forks:
    """Forks what is asked for on a line, and tells how each ended."""

    def __init__(self, line: socket.socket, *, apart: bool) -> None:
        self._line = line
        self._apart = apart
        self._pauses = _pauses(Paused(), apart=apart)
        self._running: dict[int, socket.socket] = {}
        """By process id: where its id and its exit code go."""
        self._ready = selectors.DefaultSelector()
        self._ready.register(line, selectors.EVENT_READ)

    def serve(self) -> Callable[[], None] | None:
        """None once nobody asks any more. In each process that it forks, it returns what that is to do."""
        while True:
            events = self._ready.select(None if self._running else _IDLE_SECONDS)
            if not events and not self._running:
                self._line.shutdown(socket.SHUT_RD)  # Whoever asks from now on is told; what has come before is read all the same.
            for key, _ in events:
                if key.fileobj is not self._line:
                    self._bury(key.fd, key.data)
                    continue
                message, descriptors, _, _ = socket.recv_fds(self._line, _LONGEST, _MOST_DESCRIPTORS)
                if not message:
                    return None
                for each in descriptors:
                    os.set_inheritable(each, False)  # What a model starts must not hold them open.
                *sockets, paused = descriptors
                with open(paused):
                    task = self._fork(json.loads(message), Paused(paused), *(socket.socket(fileno=each) for each in sockets))
                if task is not None:
                    return task

    def _fork(
        self, request: dict[str, Any], paused: Paused, status: socket.socket, *sockets: socket.socket
    ) -> Callable[[], None] | None:
        with contextlib.suppress(Exception), self._pauses:  # The process will say it.
            if format_named(name := _format(request["facts"])).forks:
                loader_of(name)  # What is imported here takes no process any time: scikit-learn takes one or two seconds.
        gc.freeze()  # Else a collection in a process would copy every page that is shared.
        pid = os.fork()
        if pid == 0:
            self._ready.close()
            for each in (self._line, status, *self._running.values()):
                each.close()
            return partial(run, request["kind"], request["facts"], paused.clock, _pauses(paused, apart=self._apart), *sockets)
        for each in sockets:
            each.close()
        self._running[pid] = status
        self._ready.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
        _tell(status, pid)
        return None

    def _bury(self, handle: int, pid: int) -> None:
        self._ready.unregister(handle)
        os.close(handle)
        with contextlib.suppress(OSError):  # It may have started nothing. The number is nobody else's until it is waited for.
            os.killpg(pid, signal.SIGKILL)
        with self._running.pop(pid) as status:
            _tell(status, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _tell(status: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # Nobody waits for it any more.
        status.send(str(number).encode())


def _pauses(paused: Paused, *, apart: bool) -> Pausing:
    return Pauses(paused) if apart else contextlib.nullcontext()


def run(kind: str, facts: dict[str, Any], clock: Clock, pauses: Pausing, *sockets: socket.socket) -> None:
    """What a forked process does."""
    with contextlib.suppress(Exception), pauses:  # It will come to it again, and say it.
        loader_of(_format(facts))
    _KINDS[kind](facts, clock, pauses, *sockets)


def _format(facts: dict[str, Any]) -> str:
    return Repository(Path(facts["models"])).manifest(facts["name"], facts["version"]).format


def main(line: str, _purpose: str, nice: str, apart: str) -> None:
    """Run the process; `line` is the file descriptor of a socket."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # Meant for the server, which ends this process and those that it forks.
    # From Python 3.12 on. The threads are those of OpenBLAS, which ends them before a fork.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    os.nice(int(nice))
    name_process("fork server")
    log_to_stderr()
    os.set_inheritable(int(line), False)
    task = Forks(socket.socket(fileno=int(line)), apart=bool(apart)).serve()
    if task is not None:
        task()
        sys.stdout.flush()
        os._exit(0)  # To tidy an interpreter up takes longer than all the rest.


if __name__ == "__main__":
    main(*sys.argv[1:])
