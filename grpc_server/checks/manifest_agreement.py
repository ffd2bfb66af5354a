"""Whether a loaded model agrees with its manifest and golden rows.

`place` names the model in messages, such as "model 'iris' version 3".
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

from foretell_contract.problem import Problem, error
from foretell_contract.source.spelling import counted, did_you_mean
from grpc_server.errors import ADD_AGAIN, ModelError, ModelMismatch, exception_text
from grpc_server.rows.mixed_rows import placeholder_row
from grpc_server.rows.outputs import Output, Source, all_outputs, output_function
from grpc_server.rows.targets import outputs_by_name
from grpc_server.runtimes.runtime import Runtime, of_columns
from grpc_server.store.manifest import GoldenRow, Manifest, golden_rows
from grpc_server.store.training_values import Scalar

GOLDEN_TOLERANCE = 1e-6
"""Largest difference between a number and its golden value: far below any decision of a caller, far above rounding."""

_EXPECT_IT = "if the new value is right, add the model again with golden rows that expect it"
_REMOVE_IT = "remove it from the golden rows, and add the model again"


@contextmanager
def guarded(runtime: Runtime, place: str) -> Iterator[None]:
    """Turn each exception of the block, which calls the model, into a ModelError: a model may raise anything.

    OpenMP runs on one thread: several wait for each other in busy loops, which takes seconds if other processes want the cores.
    """
    trained_with = getattr(runtime, "sklearn_version", "")
    fix = f"it was fitted with scikit-learn {trained_with}, so install that, or train it again" if trained_with else ""
    try:
        with threadpool_limits(1, "openmp"):
            yield
    except ModelError as error:
        if fix and isinstance(error.__cause__, Exception) and not isinstance(error.__cause__, ModelError):
            raise ModelError(error.reason, fix) from error.__cause__  # The model raised it.
        raise
    except Exception as error:
        raise ModelError(f"the model in {place} does not answer a row ({exception_text(error)})", fix) from error


def check_manifest(runtime: Runtime, manifest: Manifest, place: str) -> None:
    """Compare width, columns and classes. Raises ModelMismatch with every difference."""
    problems = [error("", f"{place} {reason}", fix) for reason, fix in _differences(runtime, manifest)]
    if problems:
        raise ModelMismatch.of(problems)


def checked_sources(runtime: Runtime, manifest: Manifest, golden: Sequence[GoldenRow], place: str) -> tuple[Source, ...]:
    """The model's sources. Raises ModelMismatch if they have another number of classes or targets than the manifest."""
    sources = unchecked_sources(runtime, manifest, golden, place)
    outputs = all_outputs(sources)
    classes = len({output.item for output in outputs if output.kind == "probability" and not output.target})
    if not manifest.targets and manifest.classes and classes not in (0, len(manifest.classes)):
        reason = f"{place} gives probabilities of {classes} classes, its manifest names {len(manifest.classes)}"
        raise ModelMismatch(reason, "add it with --classes that names each")
    targets, named = 1 + max(output.target for output in outputs), len(manifest.all_targets)
    if targets != named:
        reason = f"{place} predicts {counted(targets, 'target')}, its manifest names {named}"
        raise ModelMismatch(reason, ADD_AGAIN)
    return sources


def unchecked_sources(runtime: Runtime, manifest: Manifest, golden: Sequence[GoldenRow], place: str) -> tuple[Source, ...]:
    """The model's sources for the manifest's columns; the sample is the first golden row, or else a row of blanks.

    Raises ModelMismatch for golden rows of other columns, and ModelUnloadable from the runtime.
    """
    wrong = [number for number, row in enumerate(golden, 1) if not _has_columns(row, manifest)]
    if wrong:
        reason = f"golden row {wrong[0]} does not name exactly the columns and classes of {place}{_count(len(wrong), golden)}"
        raise ModelMismatch(reason, f"name {', '.join(manifest.columns)} in each row, and add the model again")
    dtypes = manifest.column_dtypes
    sample = golden_rows(golden[:1], manifest) if golden else placeholder_row(dtypes)
    with guarded(runtime, place):
        return of_columns(runtime, manifest.columns).sources(dtypes, sample, [target.classes for target in manifest.all_targets])


def check_golden(sources: Sequence[Source], manifest: Manifest, golden: Sequence[GoldenRow], place: str) -> None:
    """Compare the model's outputs with the recorded ones: labels exactly, numbers within GOLDEN_TOLERANCE.

    A number above 1 may differ by GOLDEN_TOLERANCE of itself. `sources` are the `checked_sources` of these rows. Raises
    ModelMismatch with each output that the model lacks, the first row that differs, and how many do. A conversion may lack an
    output: its original has it, and no response needs it.
    """
    offers = outputs_by_name(all_outputs(sources), manifest.all_targets)
    problems = [] if manifest.original else list(_missing_outputs(offers, golden, place))
    differences = list(_golden_differences(sources, offers, manifest, golden))
    if differences:
        problems.append(error("", f"{place} {differences[0]}{_count(len(differences), golden)}", _EXPECT_IT))
    if problems:
        raise ModelMismatch.of(problems)


def _differences(runtime: Runtime, manifest: Manifest) -> Iterator[tuple[str, str]]:
    if runtime.width not in (0, len(manifest.columns)):
        reason = f"has {counted(runtime.width, 'column')}, its manifest names {len(manifest.columns)}"
        yield reason, "add it with --columns that names each"
    elif runtime.columns is not None and runtime.columns != manifest.columns:
        reason = f"was trained on {_list(runtime.columns)}, its manifest says {_list(manifest.columns)}"
        yield reason, "add it without --columns: the model knows its own"
    if runtime.classes == () and manifest.classes:
        yield f"gives numbers, no probabilities or labels of {_list(manifest.classes)}", "add it without --classes"
    elif runtime.classes is not None and runtime.classes != manifest.classes:
        reason = f"has the classes {_list(runtime.classes)}, its manifest says {_list(manifest.classes)}"
        yield reason, "add it without --classes: the model knows its own"
    for classes, target in zip(runtime.targets, manifest.targets, strict=False):
        if classes != target.classes:
            yield f"has the classes {_list(classes)}, its manifest says {_list(target.classes)} of {target.name}", ADD_AGAIN


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _has_columns(row: GoldenRow, manifest: Manifest) -> bool:
    """Whether a golden row has the columns of the manifest, and its classes in the older `probabilities`."""
    return set(row.features) == set(manifest.columns) and (not row.probabilities or set(row.probabilities) == set(manifest.classes))


def _missing_outputs(offers: dict[str, Output], golden: Sequence[GoldenRow], place: str) -> Iterator[Problem]:
    """One problem for each output that golden rows expect and the model lacks, with the first such row."""
    first_rows = {name: number for number, row in reversed([*enumerate(golden, 1)]) for name in row.expected if name not in offers}
    for name, number in sorted(first_rows.items(), key=lambda each: each[1]):
        yield error("", f"golden row {number}: {place} gives no output {name!r}{did_you_mean(name, offers)}", _REMOVE_IT)


def _golden_differences(
    sources: Sequence[Source], offers: dict[str, Output], manifest: Manifest, golden: Sequence[GoldenRow]
) -> Iterator[str]:
    """The first difference of each golden row that has one."""
    names = [name for name in dict.fromkeys(name for row in golden for name in row.expected) if name in offers]
    if not names:
        return
    values = output_function(sources, [offers[name] for name in names])(golden_rows(golden, manifest)).tolist()
    for number, (row, given) in enumerate(zip(golden, values, strict=True), 1):
        outputs = {name: value for name, value in zip(names, given, strict=True) if name in row.expected}
        found = (_difference(number, name, offers[name], value, row.expected[name], manifest) for name, value in outputs.items())
        yield from list(filter(None, found))[:1]


def _difference(number: int, name: str, output: Output, value: float, expected: Scalar, manifest: Manifest) -> str | None:
    """The difference between one output of a golden row and its recorded value; None within the tolerance."""
    if output.kind == "label":
        label = manifest.all_targets[output.target].classes[int(value)]
        return None if label == str(expected) else f"gives the {name} {label!r} for golden row {number}, expected {expected!r}"
    if isinstance(expected, str):
        return f"gives a number as {name} for golden row {number}, expected {expected!r}"
    if abs(value - expected) <= GOLDEN_TOLERANCE * max(1.0, abs(expected)):
        return None
    return f"gives {name.removeprefix('probability.')} {value:.6f} for golden row {number}, expected {expected:.6f}"


def _count(failing: int, golden: Sequence[GoldenRow]) -> str:
    return f" ({failing} of {len(golden)} golden rows fail)" if failing > 1 else ""
