"""One model in a process of its own: what grpc_server/workers/worker_handle.py has forked.

The first frame names the outputs that are wanted. Every other that comes is rows, and each is answered with a frame: a matrix, or a
text that says why there is none. The first rows are to warm up with; their answer is what a run costs.
"""

import contextlib
import logging
import os
import socket
import time
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from foretell_contract.errors import SetupError
from foretell_lifecycle.platform import kill_when_closed, lower_priority, name_process
from grpc_server.checks.golden_rows import check_golden
from grpc_server.checks.manifest_agreement import check_manifest, checked_sources
from grpc_server.errors import ArtifactAltered
from grpc_server.rows.mixed_rows import Matrix, Rows
from grpc_server.rows.outputs import output_function, outputs_from_json
from grpc_server.runtimes.formats import format_table
from grpc_server.store.repository import Repository
from grpc_server.workers.cost import Clock, measure
from grpc_server.workers.pauses import Pausing
from grpc_server.workers.wire_frame import receive, send

logger = logging.getLogger(__name__)

_LONGEST_TEXT = 8_000
"""Characters of an exception and its trace that go to the server's log: the last ones."""

_LAST = 19
"""How far a worker stands back that is to take only the time which all others leave."""


Predict = Callable[[Any], Matrix]


def serve(
    line: socket.socket,
    load: Callable[[str], Predict],
    warm: Callable[[], None] = lambda: None,
    clock: Clock = time.perf_counter,
    pauses: Pausing | None = None,
) -> None:
    """Load the model, call `warm` once it is, and answer frames until the other end closes.

    `load` takes the outputs that are wanted. What the model does, it does with the `pauses`, which the `clock` leaves out.
    """
    pauses = pauses or contextlib.nullcontext()
    with contextlib.suppress(EOFError, ConnectionError):
        wanted = cast("str", receive(line))  # The server sends nothing else.
        sample = _rows(line)
        try:
            with pauses:
                predict = load(wanted)
        except SetupError as error:
            send(line, str(error))
            return
        except BaseException as error:  # Unpickling may run into anything, SystemExit too.
            logger.exception("while loading")
            send(line, f"{type(error).__name__} while a worker loaded the model; the log has the trace")
            return
        with pauses:
            cost = measure(predict, sample, clock)
        send(line, np.array([[cost.one_row, cost.batch]]))
        warm()
        while True:
            rows = _rows(line)
            with pauses:
                answer = _answer(predict, rows)
            send(line, answer)


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
        raise ArtifactAltered(f"{place} in {root} is another than when the server started", "start the server again")
    runtime = format_table.load(bundle.manifest.format, bundle.artifact)
    check_manifest(runtime, bundle.manifest, place)
    sources = checked_sources(runtime, bundle.manifest, bundle.golden, place)
    check_golden(sources, bundle.manifest, bundle.golden, place)
    return output_function(sources, outputs_from_json(wanted) or sources[0].outputs)


def main(facts: dict[str, Any], clock: Clock, pauses: Pausing, line: socket.socket, lifeline: socket.socket) -> None:
    """Run the process, forked for it: `facts` are `models`, `name`, `version`, `digest`, and whether it `stands_back`."""
    os.setsid()
    name_process(f"worker {facts['name']}")
    kill_when_closed(lifeline)
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    load = partial(load_version, Path(facts["models"]), facts["name"], facts["version"], facts["digest"])
    serve(line, load, lambda: lower_priority(_LAST) if facts["stands_back"] else None, clock, pauses)
