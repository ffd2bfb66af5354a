"""A model in memory, and the gates it passes on the way there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contract.contract import Contract
from contract.example import example
from contract.service import Service
from grpc_server import runtimes
from grpc_server.batcher import Batcher, Predict
from grpc_server.binding import Binding
from grpc_server.child import Origin
from grpc_server.cost import Cost, Placement, cores, measure, placement
from grpc_server.errors import ModelMismatch
from grpc_server.gates import Gate, Gates
from grpc_server.manifest import GoldenRow, Manifest
from grpc_server.pool import Pool
from grpc_server.repository import Bundle
from grpc_server.runtimes import Matrix, Runtime
from grpc_server.settings import ServerSettings

GOLDEN_TOLERANCE = 1e-6
"""How far a probability may be from its golden value: far below what a caller acts on, far above rounding."""


@dataclass(frozen=True, slots=True)
class Model:
    """One version of a model, ready to answer one service."""

    name: str
    version: str
    manifest: Manifest
    service: Service
    bindings: dict[str, Binding]
    """By the name of the method."""
    batcher: Batcher
    cost: Cost
    placement: Placement
    workers: int
    """How many runs go on at the same time."""
    pool: Pool | None = None
    """The worker processes, where the model runs in processes."""

    def close(self, seconds: float) -> None:
        """Answer what is queued, then end threads and workers; each of the two is waited for at most `seconds`."""
        self.batcher.close(seconds)
        if self.pool:
            self.pool.close(seconds)


def load_model(bundle: Bundle, contract: Contract, service: Service, settings: ServerSettings, gates: Gates | None = None) -> Model:
    """Pass a verified bundle through the gates from LOAD to WARM_UP, for one service.

    Where a run takes long, worker processes load it again and run it. Raises ModelError naming what is wrong; nothing then stays
    behind.
    """
    gates = gates or Gates(bundle.place)
    runtime, bindings = _examine(bundle, contract, service, gates)
    with gates(Gate.WARM_UP):
        sample = _sample(bundle, bindings, contract)
        cost = _timed(runtime, bundle, sample, settings)
        if placement(cost, settings.placement) is Placement.PROCESS:
            return _in_workers(bundle, service, bindings, settings, cost, sample)
        return _in_line(bundle, service, bindings, settings, cost, runtime)


def try_model(bundle: Bundle, contract: Contract, service: Service, settings: ServerSettings, gates: Gates) -> Cost:
    """Pass a verified bundle through the gates from LOAD to WARM_UP and keep nothing of it; what a run costs. Raises ModelError."""
    runtime, bindings = _examine(bundle, contract, service, gates)
    with gates(Gate.WARM_UP):
        return _timed(runtime, bundle, _sample(bundle, bindings, contract), settings)


def load_tried(
    bundle: Bundle,
    contract: Contract,
    service: Service,
    settings: ServerSettings,
    gates: Gates,
    cost: Cost,
    *,
    apart: bool = False,
) -> Model:
    """The model of a bundle that was tried in another process and costs what was seen there. Raises ModelError.

    One that will run in workers is loaded only there; one `apart` runs in a single one that stands back. It is not timed again, so
    that what is served has the interpreter.
    """
    if not apart and placement(cost, settings.placement) is Placement.INLINE:
        runtime, bindings = _examine(bundle, contract, service, gates)
        return _in_line(bundle, service, bindings, settings, cost, runtime)
    if apart:
        settings = settings.model_copy(update={"workers": 1})
    with gates(Gate.WARM_UP):
        bindings = _bindings(bundle, contract, service)
        return _in_workers(bundle, service, bindings, settings, cost, _sample(bundle, bindings, contract), apart=apart)


def _examine(bundle: Bundle, contract: Contract, service: Service, gates: Gates) -> tuple[Runtime, dict[str, Binding]]:
    with gates(Gate.LOAD):
        runtime = runtimes.load(bundle.manifest.format, bundle.artifact)
    with gates(Gate.CONTRACT):
        check_manifest(runtime, bundle.manifest, bundle.place)
        bindings = _bindings(bundle, contract, service)
        for binding in bindings.values():
            _check_example(runtime, binding, contract, bundle.place)
    with gates(Gate.GOLDEN):
        check_golden(runtime, bundle.manifest, bundle.golden, bundle.place)
    return runtime, bindings


def _bindings(bundle: Bundle, contract: Contract, service: Service) -> dict[str, Binding]:
    return {m.name: Binding(contract, m, bundle.manifest.columns, bundle.manifest.classes) for m in service.methods}


def _in_line(
    bundle: Bundle, service: Service, bindings: dict[str, Binding], settings: ServerSettings, cost: Cost, runtime: Runtime
) -> Model:
    batcher = _batcher([runtime.predict], settings, inline=True)
    return Model(bundle.name, bundle.version, bundle.manifest, service, bindings, batcher, cost, Placement.INLINE, workers=1)


def _in_workers(
    bundle: Bundle,
    service: Service,
    bindings: dict[str, Binding],
    settings: ServerSettings,
    cost: Cost,
    sample: Matrix,
    *,
    apart: bool = False,
) -> Model:
    pool = _pool(bundle, sample, settings, apart=apart)
    batcher = _batcher(pool.runners, settings, inline=False)
    workers = len(pool.runners)
    return Model(bundle.name, bundle.version, bundle.manifest, service, bindings, batcher, cost, Placement.PROCESS, workers, pool)


def _batcher(runners: Sequence[Predict], settings: ServerSettings, *, inline: bool) -> Batcher:
    return Batcher(runners, max_rows=settings.max_batch_rows, max_waiting=settings.max_queue_rows, inline=inline)


def _timed(runtime: Runtime, bundle: Bundle, sample: Matrix, settings: ServerSettings) -> Cost:
    """What a run costs. Raises ModelMismatch above `max_row_seconds`."""
    cost = measure(runtime.predict, sample)
    if settings.max_row_seconds < cost.one_row < math.inf:  # Infinite where the model refuses the sample, which may be made up.
        limit = f"max_row_seconds is {settings.max_row_seconds:g}"
        raise ModelMismatch(f"{bundle.place} takes {cost.one_row:.3g} s for a row, but {limit}: raise it, or speed the model up")
    return cost


def _sample(bundle: Bundle, bindings: dict[str, Binding], contract: Contract) -> Matrix:
    """Rows to try the model on: its golden rows, else the contract's example, else a row of zeros."""
    if bundle.golden:
        return np.array([[row.features[column] for column in bundle.manifest.columns] for row in bundle.golden])
    for binding in bindings.values():
        request = example(binding.method.input, contract.rules)
        if request is not None:
            return binding.matrix(binding.rows(request))
    return np.zeros((1, len(bundle.manifest.columns)))


def _pool(bundle: Bundle, sample: Matrix, settings: ServerSettings, *, apart: bool) -> Pool:
    return Pool(
        Origin(settings.models, bundle.name, bundle.version, bundle.manifest.digest, stands_back=apart),
        sample,
        workers=cores() if settings.workers == "auto" else settings.workers,
        seconds=settings.worker_seconds,
        max_megabytes=settings.worker_max_mb,
    )


def check_manifest(runtime: Runtime, manifest: Manifest, place: str) -> None:
    """The model has the columns and classes that its manifest says. Raises ModelMismatch."""
    if runtime.width != len(manifest.columns):
        raise ModelMismatch(f"{place} has {runtime.width} columns, its manifest names {len(manifest.columns)}")
    if runtime.columns is not None and runtime.columns != manifest.columns:
        raise ModelMismatch(f"{place} was trained on {_list(runtime.columns)}, its manifest says {_list(manifest.columns)}")
    if runtime.classes is None:
        outputs = runtime.predict(np.zeros((1, runtime.width))).shape[1]
        if outputs != len(manifest.classes):
            raise ModelMismatch(f"{place} gives {outputs} probabilities a row, its manifest names {len(manifest.classes)} classes")
    elif runtime.classes != manifest.classes:
        raise ModelMismatch(f"{place} tells {_list(runtime.classes)} apart, its manifest says {_list(manifest.classes)}")


def check_golden(runtime: Runtime, manifest: Manifest, golden: tuple[GoldenRow, ...], place: str) -> None:
    """The model answers each golden row as recorded. Raises ModelMismatch naming the first that differs."""
    for number, row in enumerate(golden, 1):
        if set(row.features) != set(manifest.columns) or set(row.probabilities) != set(manifest.classes):
            raise ModelMismatch(f"golden row {number} does not name exactly the columns and classes of {place}")
    if not golden:
        return
    rows = np.array([[row.features[column] for column in manifest.columns] for row in golden])
    for number, (row, answer) in enumerate(zip(golden, runtime.predict(rows).tolist(), strict=True), 1):
        for name, value in zip(manifest.classes, answer, strict=True):
            if not abs(value - row.probabilities[name]) <= GOLDEN_TOLERANCE:
                raise ModelMismatch(
                    f"{place} gives {name} {value:.6f} for golden row {number}, expected {row.probabilities[name]:.6f}"
                )


def _check_example(runtime: Runtime, binding: Binding, contract: Contract, place: str) -> None:
    """The model answers the contract's example, and its answer keeps the rules of the response."""
    request = example(binding.method.input, contract.rules)
    if request is None:
        return
    name = binding.method.features.full_name
    try:
        outputs = runtime.predict(binding.matrix(binding.rows(request)))
        answer = binding.response(outputs)
    except Exception as error:
        raise ModelMismatch(f"{place} cannot answer the example of {name} ({type(error).__name__}: {str(error)[:200]})") from error
    if not np.isfinite(outputs).all():
        raise ModelMismatch(f"{place} answers the example of {name} with numbers that are not finite")
    for violation in contract.rules.violations(answer):
        raise ModelMismatch(f"the answer of {place} to the example of {name} breaks {violation.field}: {violation.message}")


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names)
