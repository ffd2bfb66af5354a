"""The outputs of a model as labels and numbers, so that those of two versions can be compared."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from grpc_server.rows.mixed_rows import Rows, Table
from grpc_server.rows.outputs import Output
from grpc_server.rows.targets import Target, output_name

Value: TypeAlias = str | float
Get: TypeAlias = Callable[[Sequence[float]], Value]
"""From a row of the model's outputs."""

LABELS = ("label", "cluster")
"""Kinds of outputs that are text, not numbers: they are equal or not."""


class ReadableOutputs:
    """The outputs of a model in the answers of one method, by name, such as `label` or `probability.setosa`.

    If the model gives no label of a target, its most probable class is the label. Immutable, so thread-safe.
    """

    def __init__(self, given: Sequence[Output], targets: Sequence[Target]) -> None:
        """`given` are the columns of the model's outputs, in their order."""
        self._columns = dict(_columns(given, tuple(targets)))
        self.names = sorted(self._columns, key=lambda name: kind_of(name) not in LABELS)
        """Labels first."""

    def rows(self, outputs: Any, names: Sequence[str]) -> list[list[Value]]:
        """The outputs `names` of each row, from the model's outputs of shape (rows, columns)."""
        get = [self._columns[name] for name in names]
        rows = outputs.tolist() if isinstance(outputs, np.ndarray) else outputs
        return [[each(row) for each in get] for row in rows]


def kind_of(name: str) -> str:
    """The kind of the output of this name."""
    return name.partition(".")[0]


def _columns(given: Sequence[Output], targets: tuple[Target, ...]) -> Iterator[tuple[str, Get]]:
    for column, output in enumerate(given):
        yield output_name(output, targets), _get(column, output, targets)
    labelled = {output.target for output in given if output.kind == "label"}
    for number, target in enumerate(targets):
        items = {
            output.item: column for column, output in enumerate(given) if output.kind == "probability" and output.target == number
        }
        if items and number not in labelled:
            yield output_name(Output("label", 0, number), targets), _most_probable(items, target.classes)


def _get(column: int, output: Output, targets: Sequence[Target]) -> Get:
    if output.kind == "label":
        classes = targets[output.target].classes
        return lambda row: classes[int(row[column])]
    if output.kind == "cluster":
        return lambda row: str(int(row[column]))
    return lambda row: row[column]


def _most_probable(items: dict[int, int], classes: Sequence[str]) -> Get:
    """The class of the largest probability; of two classes, one probability is enough."""
    if len(items) == 1 and len(classes) == 2:
        ((item, column),) = items.items()
        return lambda row: classes[item if row[column] >= 0.5 else 1 - item]
    return lambda row: classes[max(items, key=lambda item: row[items[item]])]


def values(rows: Rows | tuple[Sequence[float]]) -> list[list[Any]]:
    """The features of each row as values of JSON; times in ISO 8601, bytes still to be encoded in base64 by msgspec."""
    if isinstance(rows, Table):
        return [list(row) for row in zip(*(_column(column) for column in rows.columns), strict=True)]
    return rows.tolist() if isinstance(rows, np.ndarray) else [list(row) for row in rows]


def _column(column: NDArray[Any]) -> list[Any]:
    if column.dtype.kind == "M":
        return [None if np.isnat(time) else str(time) for time in column]
    if column.dtype.kind == "m":
        return [None if np.isnat(span) else float(span / np.timedelta64(1, "s")) for span in column]
    return list(column.tolist())
