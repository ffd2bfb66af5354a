"""Whether a model's answer to a row depends on the rows beside it, or on earlier calls."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grpc_server.errors import ModelMismatch
from grpc_server.rows.mixed_rows import Matrix, Rows
from grpc_server.rows.outputs import Output, Source, all_outputs, output_function
from grpc_server.rows.targets import output_name
from grpc_server.runtimes.runtime import Runtime, estimator_of, of_columns
from grpc_server.store.manifest import GoldenRow, Manifest, golden_rows

_ALONE = 4
"""The last rows, which are also sent alone."""

_ROUNDING = 1e-6
"""Share of an output's largest number, or of 1 if that is larger, by which two answers to a row may differ."""

_ROUNDING_OF_ROOTS = 1e-3
"""The same for outputs that are the root of a small difference of large numbers."""

_ROOTS = frozenset({"distance", "std", "lower", "upper"})
_FIT_LEARNS = "let fit learn all that predict needs beside the row itself"
_FIXES = {"sent again": "let predict keep nothing between calls, and draw no random numbers"}
"""What to do by the manner of sending."""

_CHOICES = frozenset({"label", "cluster"})
_STRENGTHS = frozenset({"probability", "decision", "distance"})
"""Kinds of outputs whose largest or smallest number decides the choice."""


def check_independence(
    runtime: Runtime, sources: Sequence[Source], manifest: Manifest, golden: Sequence[GoldenRow], place: str, *, brief: bool = False
) -> None:
    """Send the golden rows, or made-up numbers without any, in another order and alone: six runs of the model.

    With `brief`, two: a start sends two rows together, and the second alone. Raises ModelMismatch if an answer then differs by more
    than rounding, with the step of a pipeline that is the cause.
    """
    rows = _rows(manifest, golden)
    if rows is None:
        return
    outputs = all_outputs(sources)
    rows = rows[:2] if brief else rows
    try:
        found = _first_difference(output_function(sources, outputs), rows, lambda *both: _differ(outputs, *both), brief=brief)
    except Exception:  # The rows may be made up, and golden rows have a check of their own.
        return
    if found:
        manner, index, together, other = found
        name = output_name(outputs[index], manifest.all_targets)
        one, two = (_shown(outputs[index], manifest, value) for value in (together, other))
        both = f"{place} gives {name} {one} for a row among {len(rows)}, and {two} for the same row {manner}"
        raise ModelMismatch(f"{both}{_cause(runtime, manifest, rows)}", _FIXES.get(manner, _FIT_LEARNS))


def _rows(manifest: Manifest, golden: Sequence[GoldenRow]) -> Rows | None:
    """The golden rows, else made-up rows if all columns are numbers."""
    if golden:
        return golden_rows(golden, manifest)
    plain = all(dtype.is_plain for dtype in manifest.column_dtypes)
    return np.random.default_rng(0).normal(size=(_ALONE, len(manifest.columns))) if plain else None


def _first_difference(
    run: Callable[[Rows], Any], rows: Rows, differ: Callable[[Any, Any], Any], *, brief: bool = False
) -> tuple[str, int, Any, Any] | None:
    """The manner of sending in which an answer differs, its column, and the answer before and then; None if none does."""
    together = run(rows)
    for manner, answers in _other_answers(run, rows, together, differ, brief=brief):
        before = together[-len(answers) :]
        wrong = np.argwhere(differ(before, answers))
        if len(wrong):
            row, column = wrong[0].tolist()
            return manner, column, before[row, column], answers[row, column]
    return None


def _other_answers(
    run: Callable[[Rows], Any], rows: Rows, together: Any, differ: Callable[[Any, Any], Any], *, brief: bool
) -> Iterator[tuple[str, Any]]:
    """Each other manner of sending rows, and the answers to the last ones in their order."""
    if not brief:
        backwards = run(rows[::-1])[::-1]
        if differ(together, backwards).any():  # By the order, or because the model keeps state or draws random numbers.
            yield "sent again", run(rows)
        yield "in another order", backwards
    yield "alone", np.concatenate([run(rows[index : index + 1]) for index in range(len(rows))[-1 if brief else -_ALONE :]])


def _differ(outputs: Sequence[Output], together: Matrix, other: Matrix) -> NDArray[np.bool_]:
    """Which answers differ, shape (rows, outputs). A choice may differ if its row lies on the border between two."""
    shares = np.array([_ROUNDING_OF_ROOTS if output.kind in _ROOTS else _ROUNDING for output in outputs])
    within = shares * np.maximum(1.0, np.abs(np.nan_to_num(together)).max(0))
    differ: NDArray[np.bool_] = ~(np.abs(together - other) <= within) & ~(np.isnan(together) & np.isnan(other))
    for index, output in enumerate(outputs):
        if output.kind in _CHOICES:
            strengths = [i for i, each in enumerate(outputs) if each.kind in _STRENGTHS and each.target == output.target]
            differ[:, index] &= ~_on_border(together[:, strengths], within[strengths].max(initial=0.0))
    return differ


def _on_border(strengths: Matrix, within: float) -> Any:
    """The rows whose two largest or two smallest numbers are equal, or whose only number is 0, but for rounding."""
    if strengths.shape[1] < 2:
        return np.any(np.abs(strengths) <= within, axis=1)
    ordered = np.sort(strengths, axis=1)
    return np.minimum(ordered[:, 1] - ordered[:, 0], ordered[:, -1] - ordered[:, -2]) <= within


def _shown(output: Output, manifest: Manifest, value: float) -> str:
    return repr(manifest.all_targets[output.target].classes[int(value)]) if output.kind == "label" else f"{value:.6g}"


def _cause(runtime: Runtime, manifest: Manifest, rows: Rows) -> str:
    """The first step of a pipeline that makes something else of a row, as the end of a sentence; empty for another model."""
    estimator = estimator_of(runtime)
    if estimator is None:
        return ""
    from grpc_server.runtimes.sklearn.estimator import EstimatorRuntime  # scikit-learn takes a second to import.
    from grpc_server.runtimes.sklearn.pipeline_steps import last_step, pipeline_steps

    named = of_columns(runtime, manifest.columns)
    convert = named.conversion(manifest.column_dtypes, rows) if isinstance(named, EstimatorRuntime) else None
    for title, run in pipeline_steps(estimator, convert):
        if _first_difference(run, rows, _parts_differ):
            return f", because of its step {title}"
    return f", because of {last_step(estimator)}"


def _parts_differ(together: NDArray[Any], other: NDArray[Any]) -> Any:
    """Which parts of two arrays differ, shape (rows, columns)."""
    together, other = (part.reshape(len(part), -1) for part in (together, other))
    if together.dtype.kind in "fiub":
        return ~np.isclose(together, other, _ROUNDING, _ROUNDING, equal_nan=True)
    return np.not_equal(together, other, dtype=object).astype(bool)
