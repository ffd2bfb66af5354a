"""Whether a model agrees with its manifest, its contract and its golden rows."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from contract.contract import Contract
from contract.example import example
from contract.service import Service
from contract.suggestion import did_you_mean
from contract.variants import variants
from grpc_server.binding import Binding
from grpc_server.errors import Mismatches, ModelMismatch
from grpc_server.manifest import GoldenRow, Manifest, golden_rows
from grpc_server.names import names_of
from grpc_server.outputs import Output, Source, asking, offered
from grpc_server.runtimes import Runtime
from grpc_server.table import Matrix, blank_row

GOLDEN_TOLERANCE = 1e-6
"""How far a probability may be from its golden value: far below what a caller acts on, far above rounding."""


def sources_of(runtime: Runtime, manifest: Manifest, golden: tuple[GoldenRow, ...], place: str) -> tuple[Source, ...]:
    """What the model can say, of as many classes and targets as its manifest names. Raises ModelMismatch, or ModelUnloadable."""
    sources = tried(runtime, manifest, golden, place)
    given = offered(sources)
    count = len({output.item for output in given if output.kind == "probability" and not output.target})
    if not manifest.targets and manifest.classes and count not in (0, len(manifest.classes)):
        raise ModelMismatch(f"{place} gives {count} probabilities a row, its manifest names {len(manifest.classes)} classes")
    targets, named = 1 + max(output.target for output in given), len(manifest.all_targets)
    if targets != named:
        raise ModelMismatch(f"{place} predicts {targets} target{'s' * (targets != 1)}, its manifest names {named}")
    return sources


def tried(runtime: Runtime, manifest: Manifest, golden: tuple[GoldenRow, ...], place: str) -> tuple[Source, ...]:
    """What the model can say, tried on a golden row if there is one. Raises ModelMismatch, or ModelUnloadable."""
    _check_columns(manifest, golden, place)
    dtypes = manifest.column_dtypes
    classes = [target.classes for target in manifest.all_targets]
    return runtime.sources(dtypes, golden_rows(golden[:1], manifest) if golden else blank_row(dtypes), classes)


def bind(contract: Contract, service: Service, manifest: Manifest, sources: Sequence[Source]) -> dict[str, Binding]:
    """The bindings of a service's methods, by their names. Raises ModelMismatch."""
    facts = {"dtypes": manifest.column_dtypes, "targets": manifest.all_targets, "offered": offered(sources)}
    bindings, mismatches = {}, Mismatches()
    for method in service.methods:
        with mismatches.noted():
            bindings[method.name] = Binding(contract, method, manifest.columns, manifest.classes, **facts)  # type: ignore[arg-type]
    mismatches.check()
    return bindings


def check_manifest(runtime: Runtime, manifest: Manifest, place: str) -> None:
    """The model has the columns and classes that its manifest says. Raises ModelMismatch."""
    if runtime.width != len(manifest.columns):
        raise ModelMismatch(f"{place} has {runtime.width} columns, its manifest names {len(manifest.columns)}")
    if runtime.columns is not None and runtime.columns != manifest.columns:
        raise ModelMismatch(f"{place} was trained on {_list(runtime.columns)}, its manifest says {_list(manifest.columns)}")
    if runtime.classes == () and manifest.classes:
        raise ModelMismatch(f"{place} gives no probabilities or labels of {_list(manifest.classes)}: it gives numbers")
    if runtime.classes is not None and runtime.classes != manifest.classes:
        raise ModelMismatch(f"{place} tells {_list(runtime.classes)} apart, its manifest says {_list(manifest.classes)}")
    for classes, target in zip(runtime.targets, manifest.targets, strict=False):
        if classes != target.classes:
            raise ModelMismatch(f"{place} tells {_list(classes)} apart, its manifest says {_list(target.classes)} of {target.name}")


def _check_columns(manifest: Manifest, golden: tuple[GoldenRow, ...], place: str) -> None:
    for number, row in enumerate(golden, 1):
        old_form = set(row.probabilities)
        if set(row.features) != set(manifest.columns) or (old_form and old_form != set(manifest.classes)):
            raise ModelMismatch(f"golden row {number} does not name exactly the columns and classes of {place}")


def check_golden(sources: Sequence[Source], manifest: Manifest, golden: tuple[GoldenRow, ...], place: str) -> None:
    """The model answers each golden row as recorded. Raises ModelMismatch naming the first that differs."""
    _check_columns(manifest, golden, place)
    given = dict(names_of(offered(sources), manifest.all_targets))
    for number, row in enumerate(golden, 1):
        for name in row.expected:
            if name not in given:
                raise ModelMismatch(f"golden row {number}: {place} gives no output {name!r}{did_you_mean(name, given)}")
    names = list(dict.fromkeys(name for row in golden for name in row.expected))
    if not names:
        return
    answers = asking(sources, [given[name] for name in names])(golden_rows(golden, manifest))
    for number, (row, answer) in enumerate(zip(golden, answers.tolist(), strict=True), 1):
        for name, value in zip(names, answer, strict=True):
            if name in row.expected:
                _check_output(number, name, given[name], value, row.expected[name], manifest, place)


def _check_output(
    number: int, name: str, output: Output, value: float, expected: bool | int | float | str, manifest: Manifest, place: str
) -> None:
    if output.kind == "label":
        label = manifest.all_targets[output.target].classes[int(value)]
        if label != str(expected):
            raise ModelMismatch(f"{place} gives the {name} {label!r} for golden row {number}, expected {expected!r}")
    elif isinstance(expected, str):
        raise ModelMismatch(f"golden row {number}: {name} is a number, not {expected!r}")
    elif not abs(value - expected) <= GOLDEN_TOLERANCE * max(1.0, abs(expected)):
        short = name.removeprefix("probability.")
        raise ModelMismatch(f"{place} gives {short} {value:.6f} for golden row {number}, expected {expected:.6f}")


def check_example(predict: Callable[[Any], Matrix], binding: Binding, contract: Contract, place: str) -> None:
    """The model answers the contract's example and its variants, and keeps the rules of the response. Raises ModelMismatch."""
    request: Any = example(binding.method.input, contract.rules)
    if request is None:
        return
    name = binding.method.features.full_name
    rows = binding.rows(request)
    try:
        answer = binding.response(_finite(predict(binding.matrix(rows))))
    except Exception as error:
        raise ModelMismatch(f"{place} cannot answer the example of {name} ({_why(error)})") from error
    for violation in contract.rules.violations(answer):
        raise ModelMismatch(f"the answer of {place} to the example of {name} breaks {violation.field}: {violation.message}")
    for row in rows[:1]:
        for variant in variants(row, contract.rules):
            try:
                _finite(predict(binding.matrix([variant.row])))
            except Exception as error:
                raise ModelMismatch(
                    f"{name}.{variant.path} {variant.says}, but {place} cannot answer then ({_why(error)}): {variant.fix}"
                ) from error


def _finite(answers: Matrix) -> Matrix:
    if not np.isfinite(answers).all():
        raise ValueError("its answer is not finite")
    return answers


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names)
