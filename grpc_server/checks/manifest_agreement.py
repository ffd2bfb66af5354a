"""Whether a loaded model has the columns, classes and targets that its manifest records.

`place` names the model in messages, such as "model 'iris' version 3".
"""

from collections.abc import Iterator, Sequence

from foretell_contract.problem import error
from grpc_server.checks.golden_rows import check_golden_columns
from grpc_server.errors import ADD_AGAIN, ModelMismatch
from grpc_server.rows.mixed_rows import placeholder_row
from grpc_server.rows.outputs import Source, all_outputs
from grpc_server.runtimes.runtime import Runtime
from grpc_server.store.manifest import GoldenRow, Manifest, golden_rows


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
        reason = f"{place} gives {classes} probabilities a row, its manifest names {len(manifest.classes)} classes"
        raise ModelMismatch(reason, "add it with --classes that names each")
    targets, named = 1 + max(output.target for output in outputs), len(manifest.all_targets)
    if targets != named:
        reason = f"{place} predicts {targets} target{'s' * (targets != 1)}, its manifest names {named}"
        raise ModelMismatch(reason, ADD_AGAIN)
    return sources


def unchecked_sources(runtime: Runtime, manifest: Manifest, golden: Sequence[GoldenRow], place: str) -> tuple[Source, ...]:
    """The model's sources for the manifest's columns; the sample is the first golden row, or else a row of blanks.

    Raises ModelMismatch for golden rows of other columns, and ModelUnloadable from the runtime.
    """
    check_golden_columns(manifest, golden, place)
    dtypes = manifest.column_dtypes
    sample = golden_rows(golden[:1], manifest) if golden else placeholder_row(dtypes)
    return runtime.sources(dtypes, sample, [target.classes for target in manifest.all_targets])


def _differences(runtime: Runtime, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Each difference, and what to do about it."""
    yield from _column_differences(runtime, manifest)
    yield from _class_differences(runtime, manifest)
    for classes, target in zip(runtime.targets, manifest.targets, strict=False):
        if classes != target.classes:
            yield f"has the classes {_list(classes)}, its manifest says {_list(target.classes)} of {target.name}", ADD_AGAIN


def _column_differences(runtime: Runtime, manifest: Manifest) -> Iterator[tuple[str, str]]:
    if runtime.width != len(manifest.columns):
        yield f"has {runtime.width} columns, its manifest names {len(manifest.columns)}", "add it with --columns that names each"
    elif runtime.columns is not None and runtime.columns != manifest.columns:
        reason = f"was trained on {_list(runtime.columns)}, its manifest says {_list(manifest.columns)}"
        yield reason, "add it without --columns: the model knows its own"


def _class_differences(runtime: Runtime, manifest: Manifest) -> Iterator[tuple[str, str]]:
    if runtime.classes == () and manifest.classes:
        yield f"gives numbers, no probabilities or labels of {_list(manifest.classes)}", "add it without --classes"
    elif runtime.classes is not None and runtime.classes != manifest.classes:
        reason = f"has the classes {_list(runtime.classes)}, its manifest says {_list(manifest.classes)}"
        yield reason, "add it without --classes: the model knows its own"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
