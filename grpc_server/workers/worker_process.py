"""The worker process: it loads one model, then answers each frame of rows with a frame, until the line closes.

The first frame is for warming up; its answer is an empty matrix. Any other answer is a matrix, or a text with the reason why not.
"""

import contextlib
import logging
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from foretell_contract.errors import SetupError
from foretell_lifecycle.platform import lower_priority, name_process
from grpc_server.checks.manifest_agreement import check_golden, check_manifest, checked_sources
from grpc_server.errors import ArtifactAltered
from grpc_server.rows.mixed_rows import Matrix, Rows
from grpc_server.rows.outputs import Output, output_function
from grpc_server.runtimes.formats import format_table
from grpc_server.store.repository import Repository
from grpc_server.workers.cost import measure
from grpc_server.workers.wire_frame import receive, send

logger = logging.getLogger(__name__)

_MOST_TEXT = 8_000
"""Characters of an exception with its traceback that go to the server's log: the last ones."""

LOADING_NICE = 5
"""Niceness of a process that loads a version beside what is served: a quarter of a core whose rest another process wants.

A candidate takes 0.3 s of CPU time, so its trial ends within 2 s. At nice 19 it took 14 s on cores that were all busy, and callers
had the same p99.
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """The model that a worker loads."""

    root: Path
    """Folder of the repository."""
    name: str
    version: str
    digest: str
    """SHA-256 of the artifact that the server has verified, in hexadecimal."""
    outputs: tuple[Output, ...] = ()
    """Columns of the answers, in this order; empty for the model's default outputs."""
    low_priority: bool = False
    """Whether the worker has one thread, and the lowest priority once it is warm."""

    def __str__(self) -> str:
        return f"model {self.name!r} version {self.version}"


def main(line: socket.socket, origin: Origin) -> None:
    """Run the process until the other end of `line` closes."""
    name_process(f"worker {origin.name}")
    import_format(origin.root, origin.name, origin.version)
    if origin.low_priority:
        lower_priority(LOADING_NICE)
    with contextlib.suppress(EOFError, ConnectionError):
        _serve(line, origin)


def import_format(models: Path, name: str, version: str) -> None:
    """Import the libraries of a version, which takes seconds at low priority if the fork server has not. Never raises."""
    with contextlib.suppress(Exception):  # Loading the version raises it again.
        format_table.loader_of(Repository(models).manifest(name, version).format)


def load_version(origin: Origin) -> Callable[[Any], Matrix]:
    """Load and check a version; the function that gives its outputs.

    Raises ArtifactAltered if the version is not the one that the server has verified, else ModelError.
    """
    bundle = Repository(origin.root).read(origin.name, origin.version)
    if bundle.manifest.digest != origin.digest:
        raise ArtifactAltered(f"{origin} in {origin.root} is another than when the server started", "start the server again")
    runtime = bundle.load()
    check_manifest(runtime, bundle.manifest, str(origin))
    sources = checked_sources(runtime, bundle.manifest, bundle.golden, str(origin))
    check_golden(sources, bundle.manifest, bundle.golden, str(origin))
    return output_function(sources, origin.outputs or sources[0].outputs)


def _serve(line: socket.socket, origin: Origin) -> None:
    sample = _receive(line)
    try:
        predict = load_version(origin)
    except SetupError as error:
        send(line, str(error))
        return
    except BaseException as error:  # Unpickling may raise anything, SystemExit too.
        logger.exception("while loading")
        send(line, f"{type(error).__name__} while a worker loaded the model; the log has the trace")
        return
    measure(predict, sample)
    send(line, np.empty((0, 0)))
    if origin.low_priority:
        lower_priority()
    while True:
        send(line, _answer(predict, _receive(line)))


def _receive(line: socket.socket) -> Rows:
    return cast("Rows", receive(line))  # The server sends no text.


def _answer(predict: Callable[[Any], Matrix], rows: Rows) -> Matrix | str:
    try:
        outputs = predict(rows)
        return outputs if outputs.ndim == 2 else f"the model answered {len(rows)} rows with shape {outputs.shape}"
    except BaseException as error:  # A model may raise anything, SystemExit and MemoryError too; the process lives on.
        return "".join(traceback.format_exception(error))[-_MOST_TEXT:]
