"""One model in a process of its own, as grpc_server/child.py starts it: `python -m grpc_server.worker`.

The first frame names the outputs that are wanted. Every other that comes is rows, and each is answered with a frame: a matrix, or a
text that says why there is none. The first rows are to warm up with; their answer is what a run costs.
"""

import contextlib
import fcntl
import logging
import os
import select
import signal
import socket
import sys
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from contract.errors import SetupError
from grpc_server import runtimes
from grpc_server.cost import measure
from grpc_server.errors import ArtifactAltered
from grpc_server.frame import receive, send
from grpc_server.model import check_golden, check_manifest, sources_of
from grpc_server.outputs import asking, from_text
from grpc_server.repository import Repository
from grpc_server.table import Matrix, Rows
from lifecycle.process import log_to_stderr

logger = logging.getLogger(__name__)

_LONGEST_TEXT = 8_000
"""Characters of an exception and its trace that go to the server's log: the last ones."""


Predict = Callable[[Any], Matrix]


def serve(line: socket.socket, load: Callable[[str], Predict]) -> None:
    """Load the model and answer frames until the other end closes; `load` takes the outputs that are wanted."""
    with contextlib.suppress(EOFError, ConnectionError):
        wanted = cast("str", receive(line))  # The server sends nothing else.
        sample = _rows(line)
        try:
            predict = load(wanted)
        except SetupError as error:
            send(line, str(error))
            return
        except BaseException as error:  # Unpickling may run into anything, SystemExit too.
            logger.exception("while loading")
            send(line, f"{type(error).__name__} while a worker loaded the model; the log has the trace")
            return
        cost = measure(predict, sample)
        send(line, np.array([[cost.one_row, cost.batch]]))
        while True:
            send(line, _answer(predict, _rows(line)))


def _rows(line: socket.socket) -> Rows:
    return cast("Rows", receive(line))  # The server sends nothing else.


def _answer(predict: Predict, rows: Rows) -> Matrix | str:
    try:
        outputs = predict(rows)
        return outputs if outputs.ndim == 2 else f"the model answered {len(rows)} rows with shape {outputs.shape}"
    except BaseException as error:  # A model may raise anything, SystemExit and MemoryError too; the process must live on.
        return "".join(traceback.format_exception(error))[-_LONGEST_TEXT:]


def load_version(root: Path, name: str, version: str, digest: str, wanted: str) -> Predict:
    """Load a version that is still what the server has verified; what gives the outputs that are wanted. Raises ModelError."""
    bundle = Repository(root).read(name, version)
    place = f"model {name!r} version {version}"
    if bundle.manifest.digest != digest:
        raise ArtifactAltered(f"{place} in {root} is another than when the server started: start the server again")
    runtime = runtimes.load(bundle.manifest.format, bundle.artifact)
    check_manifest(runtime, bundle.manifest, place)
    sources = sources_of(runtime, bundle.manifest, bundle.golden, place)
    check_golden(sources, bundle.manifest, bundle.golden, place)
    return asking(sources, from_text(wanted) or sources[0].outputs)


def end_with(lifeline: socket.socket) -> None:
    """From now on the kernel kills this process, and what it has started, when the other end of `lifeline` closes.

    Not a matter of this interpreter, because a model that hangs may never let another thread run.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:  # Nothing is ever sent there: it closed before.
        raise SystemExit(1)


def main(root: str, name: str, version: str, digest: str, line: str, lifeline: str) -> None:
    """Run the process; `line` and `lifeline` are file descriptors of sockets."""
    with socket.socket(fileno=int(lifeline)) as alive, socket.socket(fileno=int(line)) as frames:
        for inherited in (alive, frames):
            inherited.set_inheritable(False)  # What a model starts must not hold them open.
        end_with(alive)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # Meant for the server, which drains and then ends this process.
        log_to_stderr()
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        serve(frames, partial(load_version, Path(root), name, version, digest))


if __name__ == "__main__":
    main(*sys.argv[1:])
