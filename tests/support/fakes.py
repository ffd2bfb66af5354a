"""A fake model with a registry around it; tests replace nothing else of the server."""

import math
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import numpy as np

from foretell_contract.contract import Contract
from grpc_server.calls.admission import Admission
from grpc_server.calls.batcher import Batcher
from grpc_server.loading.loader import Loader
from grpc_server.loading.version import Model, Version
from grpc_server.rows.method_binding import MethodBinding
from grpc_server.rows.mixed_rows import Dtype, Matrix, Rows
from grpc_server.rows.outputs import Source, probability_outputs
from grpc_server.runtimes.runtime import Classes
from grpc_server.settings import ServerSettings
from grpc_server.store.manifest import Manifest
from grpc_server.store.route_table import RouteTable
from grpc_server.versions.registry import Registry
from grpc_server.versions.served_model import ServedModel
from grpc_server.workers.cost import Cost, Placement
from tests.support.iris import CLASSES, COLUMNS


def even(rows: Matrix) -> Matrix:
    """The same probability for every class."""
    return np.full((len(rows), 3), 1 / 3)


class FakeRuntime:
    """A runtime that calls `predict`, and records the rows of each run."""

    columns: tuple[str, ...] | None = COLUMNS
    width = 4
    classes = CLASSES
    targets = ()

    def __init__(self, predict: Callable[[Matrix], Matrix] = even) -> None:
        self._predict = predict
        self.runs: list[int] = []

    def sources(self, dtypes: Sequence[Dtype], sample: Rows, classes: Classes) -> tuple[Source, ...]:
        return (Source(probability_outputs([3]), self.predict),)

    def predict(self, rows: Matrix) -> Matrix:
        self.runs.append(len(rows))
        return self._predict(rows)


class Held(AbstractContextManager["Held"]):
    """A model that blocks inside its run until `go`, or until the `with` block ends."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        """Released at the start of each run."""
        self._go = threading.Event()

    def __call__(self, rows: Matrix) -> Matrix:
        self.entered.release()
        assert self._go.wait(30)
        return even(rows)

    def go(self) -> None:
        self._go.set()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.go()


MANIFEST = Manifest(
    format="joblib",
    artifact="model.joblib",
    files={"model.joblib": "00"},
    libraries={},
    columns=COLUMNS,
    classes=CLASSES,
    created=datetime(2026, 1, 1, tzinfo=UTC),
)


def registry_of(
    contract: Contract, runtime: FakeRuntime, *, max_rows: int = 1024, max_waiting: int = 20_000, inline: bool = False
) -> Registry:
    """A registry in which `runtime` serves the only service of `contract`."""
    (service,) = contract.services
    bindings = {method.name: MethodBinding(contract, method, COLUMNS, CLASSES) for method in service.methods}
    batcher = Batcher([runtime.predict], max_rows=max_rows, max_waiting=max_waiting, inline=inline)
    model = Model("iris", "7", MANIFEST, service, bindings, batcher, Cost(0.0001, math.inf), Placement.INLINE, workers=1)
    return hosting(contract, [model])


def hosting(contract: Contract, models: list[Model]) -> Registry:
    """A registry of models with one name, one for each service."""
    admission = Admission()
    loader = Loader(models[0].name, contract, ServerSettings(models=Path("/nowhere")), admission)
    return Registry(contract, [ServedModel(loader, Version(models, contract.rules, admission), RouteTable())], admission)
