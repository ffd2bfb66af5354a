"""A model in memory, and the gates it passes on the way there."""

from dataclasses import dataclass

import numpy as np

from contract.contract import Contract
from contract.example import example
from contract.service import Service
from grpc_server import runtimes
from grpc_server.batcher import Batcher
from grpc_server.binding import Binding
from grpc_server.cost import INLINE_SECONDS, cost
from grpc_server.errors import ModelMismatch
from grpc_server.manifest import GoldenRow, Manifest
from grpc_server.repository import Bundle
from grpc_server.runtimes import Matrix, Runtime

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


def load_model(bundle: Bundle, contract: Contract, service: Service, *, max_rows: int, max_waiting: int) -> Model:
    """Load a verified bundle and pass it through the gates: manifest, contract, golden rows, the contract's own examples.

    Raises ModelUnloadable or ModelMismatch naming what is wrong; nothing then stays behind.
    """
    place = f"model {bundle.name!r} version {bundle.version}"
    manifest = bundle.manifest
    runtime = runtimes.load(manifest.format, bundle.artifact)
    check_manifest(runtime, manifest, place)
    bindings = {m.name: Binding(contract, m, manifest.columns, manifest.classes) for m in service.methods}
    golden = check_golden(runtime, manifest, bundle.golden, place)
    for binding in bindings.values():
        _check_example(runtime, binding, contract, place)
    inline = cost(runtime, golden) <= INLINE_SECONDS
    batcher = Batcher([runtime.predict], max_rows=max_rows, max_waiting=max_waiting, inline=inline)
    return Model(bundle.name, bundle.version, manifest, service, bindings, batcher)


def check_manifest(runtime: Runtime, manifest: Manifest, place: str) -> None:
    """The model has the columns and classes that its manifest says. Raises ModelMismatch."""
    if runtime.width != len(manifest.columns):
        raise ModelMismatch(f"{place} has {runtime.width} columns, its manifest names {len(manifest.columns)}")
    if runtime.columns is not None and runtime.columns != manifest.columns:
        raise ModelMismatch(f"{place} was trained on {_list(runtime.columns)}, its manifest says {_list(manifest.columns)}")
    if runtime.classes != manifest.classes:
        raise ModelMismatch(f"{place} tells {_list(runtime.classes)} apart, its manifest says {_list(manifest.classes)}")


def check_golden(runtime: Runtime, manifest: Manifest, golden: tuple[GoldenRow, ...], place: str) -> Matrix:
    """The golden rows as a matrix; the model answers each as recorded. Raises ModelMismatch naming the first that differs."""
    for number, row in enumerate(golden, 1):
        if set(row.features) != set(manifest.columns) or set(row.probabilities) != set(manifest.classes):
            raise ModelMismatch(f"golden row {number} does not name exactly the columns and classes of {place}")
    rows = np.array([[row.features[column] for column in manifest.columns] for row in golden]).reshape(-1, len(manifest.columns))
    if not golden:
        return rows
    for number, (row, answer) in enumerate(zip(golden, runtime.predict(rows).tolist(), strict=True), 1):
        for name, value in zip(manifest.classes, answer, strict=True):
            if not abs(value - row.probabilities[name]) <= GOLDEN_TOLERANCE:
                raise ModelMismatch(
                    f"{place} gives {name} {value:.6f} for golden row {number}, expected {row.probabilities[name]:.6f}"
                )
    return rows


def _check_example(runtime: Runtime, binding: Binding, contract: Contract, place: str) -> None:
    """The model answers the contract's example, and its answer keeps the rules of the response."""
    request = example(binding.method.input, contract.rules)
    if request is None:
        return
    name = binding.method.features.full_name
    try:
        answer = binding.response(runtime.predict(binding.matrix(binding.rows(request))))
    except Exception as error:
        raise ModelMismatch(f"{place} cannot answer the example of {name} ({type(error).__name__}: {str(error)[:200]})") from error
    for violation in contract.rules.violations(answer):
        raise ModelMismatch(f"the answer of {place} to the example of {name} breaks {violation.field}: {violation.message}")


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names)
