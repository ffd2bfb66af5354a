"""Whether a model agrees with its manifest, its contract and its golden rows."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from foretell_contract.contract import Contract
from foretell_contract.examples.example import example
from foretell_contract.examples.variants import variants
from foretell_contract.problem import Problem, error
from foretell_contract.rules.rules import Violation
from foretell_contract.service import Service
from foretell_contract.source.suggestion import did_you_mean
from grpc_server.errors import ADD_AGAIN, Mismatches, ModelMismatch, misfit
from grpc_server.rows.binding import Binding
from grpc_server.rows.class_names import names_of
from grpc_server.rows.mixed_rows import Matrix, blank_row
from grpc_server.rows.outputs import Output, Source, asking, offered
from grpc_server.runtimes.runtime import Runtime
from grpc_server.store.manifest import GoldenRow, Manifest, golden_rows

GOLDEN_TOLERANCE = 1e-6
"""How far a probability may be from its golden value: far below what a caller acts on, far above rounding."""

_RIGHT = "if that is right, add the model again with golden rows that say so"
_GIVEN = "take it out of the golden rows, and add the model again"


def sources_of(runtime: Runtime, manifest: Manifest, golden: tuple[GoldenRow, ...], place: str) -> tuple[Source, ...]:
    """What the model can say, of as many classes and targets as its manifest names. Raises ModelMismatch, or ModelUnloadable."""
    sources = tried(runtime, manifest, golden, place)
    given = offered(sources)
    count = len({output.item for output in given if output.kind == "probability" and not output.target})
    if not manifest.targets and manifest.classes and count not in (0, len(manifest.classes)):
        reason = f"{place} gives {count} probabilities a row, its manifest names {len(manifest.classes)} classes"
        raise ModelMismatch(reason, "add it with --classes that names each")
    targets, named = 1 + max(output.target for output in given), len(manifest.all_targets)
    if targets != named:
        reason = f"{place} predicts {targets} target{'s' * (targets != 1)}, its manifest names {named}"
        raise ModelMismatch(reason, ADD_AGAIN)
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
    """The model has the columns and classes that its manifest says. Raises ModelMismatch with everything that differs."""
    problems = [error("", f"{place} {reason}", fix) for reason, fix in _misstated(runtime, manifest)]
    if problems:
        raise ModelMismatch.of(problems)


def _misstated(runtime: Runtime, manifest: Manifest) -> Iterator[tuple[str, str]]:
    known = "add it without {}: the model knows its own"
    if runtime.width != len(manifest.columns):
        yield f"has {runtime.width} columns, its manifest names {len(manifest.columns)}", "add it with --columns that names each"
    elif runtime.columns is not None and runtime.columns != manifest.columns:
        reason = f"was trained on {_list(runtime.columns)}, its manifest says {_list(manifest.columns)}"
        yield reason, known.format("--columns")
    if runtime.classes == () and manifest.classes:
        yield f"gives no probabilities or labels of {_list(manifest.classes)}: it gives numbers", "add it without --classes"
    elif runtime.classes is not None and runtime.classes != manifest.classes:
        reason = f"tells {_list(runtime.classes)} apart, its manifest says {_list(manifest.classes)}"
        yield reason, known.format("--classes")
    for classes, target in zip(runtime.targets, manifest.targets, strict=False):
        if classes != target.classes:
            yield f"tells {_list(classes)} apart, its manifest says {_list(target.classes)} of {target.name}", ADD_AGAIN


def _check_columns(manifest: Manifest, golden: tuple[GoldenRow, ...], place: str) -> None:
    wrong = []
    for number, row in enumerate(golden, 1):
        old_form = set(row.probabilities)
        if set(row.features) != set(manifest.columns) or (old_form and old_form != set(manifest.classes)):
            wrong.append(number)
    if wrong:
        reason = f"golden row {wrong[0]} does not name exactly the columns and classes of {place}{_share(len(wrong), golden)}"
        raise ModelMismatch(reason, f"name {_list(manifest.columns)} in each row, and add the model again")


def check_golden(sources: Sequence[Source], manifest: Manifest, golden: tuple[GoldenRow, ...], place: str) -> None:
    """The model answers each golden row as recorded.

    Raises ModelMismatch with each output that it does not give, how many rows it answers otherwise, and how it answers the first.
    """
    _check_columns(manifest, golden, place)
    given = dict(names_of(offered(sources), manifest.all_targets))
    first = {name: number for number, row in reversed([*enumerate(golden, 1)]) for name in row.expected}
    names = [name for name in dict.fromkeys(name for row in golden for name in row.expected) if name in given]
    problems = [
        error("", f"golden row {number}: {place} gives no output {name!r}{did_you_mean(name, given)}", _GIVEN)
        for name, number in first.items()
        if name not in given
    ]
    answers = asking(sources, [given[name] for name in names])(golden_rows(golden, manifest)).tolist() if names else []
    otherwise = []
    for number, (row, answer) in enumerate(zip(golden, answers, strict=bool(names)), 1):
        told = {name: value for name, value in zip(names, answer, strict=True) if name in row.expected}
        found = (_otherwise(number, name, given[name], value, row.expected[name], manifest) for name, value in told.items())
        otherwise += list(filter(None, found))[:1]
    if otherwise:
        problems.append(error("", f"{place} {otherwise[0]}{_share(len(otherwise), golden)}", _RIGHT))
    if problems:
        raise ModelMismatch.of(problems)


def _otherwise(
    number: int, name: str, output: Output, value: float, expected: bool | int | float | str, manifest: Manifest
) -> str | None:
    """How the model answers a golden row, if not as it says."""
    if output.kind == "label":
        label = manifest.all_targets[output.target].classes[int(value)]
        return None if label == str(expected) else f"gives the {name} {label!r} for golden row {number}, expected {expected!r}"
    if isinstance(expected, str):
        return f"gives a number as {name} for golden row {number}, expected {expected!r}"
    if abs(value - expected) <= GOLDEN_TOLERANCE * max(1.0, abs(expected)):
        return None
    return f"gives {name.removeprefix('probability.')} {value:.6f} for golden row {number}, expected {expected:.6f}"


def _share(count: int, golden: tuple[GoldenRow, ...]) -> str:
    return f" ({count} of {len(golden)} golden rows are so)" if count > 1 else ""


def check_example(predict: Callable[[Any], Matrix], binding: Binding, contract: Contract, place: str) -> None:
    """The model answers the contract's example and its variants, and keeps the rules of the response.

    Raises ModelMismatch with everything of it that fails.
    """
    request: Any = example(binding.method.input, contract.rules)
    if request is None:
        return
    name = binding.method.features.full_name
    rows = binding.rows(request)
    try:
        answer = binding.response(_finite(predict(binding.matrix(rows))))
    except Exception as raised:
        reason = f"{place} cannot answer the example of {name} ({_why(raised)})"
        raise misfit(name, reason, "give the fields examples that the model was trained for") from raised
    problems = [_broken(violation, binding, place) for violation in contract.rules.violations(answer)]
    for variant in (variant for row in rows[:1] for variant in variants(row, contract.rules)):
        try:
            _finite(predict(binding.matrix([variant.row])))
        except Exception as raised:
            reason = f"{name}.{variant.path} {variant.says}, but {place} cannot answer then ({_why(raised)})"
            problems.append(error(f"{name}.{variant.path.partition('[')[0]}", reason, variant.fix))
    if problems:
        raise ModelMismatch.of(problems)


def _broken(violation: Violation, binding: Binding, place: str) -> Problem:
    """A rule that the answer breaks, which in a batch is that of one of its rows."""
    method = binding.method
    _, in_row, path = violation.field.partition("].") if method.answers else ("", "", "")
    message, path = (method.answer, path) if in_row else (method.output, violation.field)
    reason = f"the answer of {place} to the example of {method.features.full_name} breaks {path}: {violation.message}"
    return error(
        f"{message.full_name}.{path.partition('[')[0]}".strip("."), reason, "change the rule: the model decides its answers"
    )


def _finite(answers: Matrix) -> Matrix:
    if not np.isfinite(answers).all():
        raise ValueError("its answer is not finite")
    return answers


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names)
