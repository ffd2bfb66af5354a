"""What the outputs of an ONNX graph say of a row: probabilities, labels or values."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.class_names import Target, integers
from grpc_server.rows.mixed_rows import Matrix
from grpc_server.rows.number_rows import clipped
from grpc_server.rows.outputs import Source, per_target, several_probabilities
from grpc_server.runtimes.runtime import Classes

Run = Callable[[list[str], Matrix], list[Any]]
"""From the names of outputs and rows to the outputs."""

NUMBERS = {"tensor(float)": np.float32, "tensor(double)": np.float64}

_MAPS = {"seq(map(string,tensor(float)))", "seq(map(int64,tensor(float)))"}
_LISTS = {"seq(tensor(float))", "seq(tensor(double))"}
_LABELS = {"tensor(int64)", "tensor(string)"}


class Outputs:
    """The one output that holds numbers, and the one that holds labels, where there are such.

    Numbers are probabilities where there are labels beside them or `told` are the classes of each target, or else where those of
    each row add up to 1; where they do not, they are the value of each target. Beside labels they may be something else, which
    nobody knows. Several targets have their probabilities in a tensor of [targets, rows, classes], in a sequence of tensors, or, of
    labels that are there or not, in a tensor of [rows, targets].
    """

    def __init__(self, outputs: list[Any], run: Run, width: int, told: Classes | None) -> None:
        """`told` holds an empty tuple for a regressor, and is None where nothing is known. Raises ModelUnloadable."""
        self._run = run
        self._numbers = _name(outputs, _is_numbers, "numbers")
        self._labels = _name(outputs, lambda output: output.type in _LABELS, "labels")
        if self._numbers is None and self._labels is None:
            raise ModelUnloadable(
                f"no onnx output is numbers or labels, among {_listed(outputs)}", "export one, of [rows, numbers]"
            )
        tried = np.array([[0.0], [1.0], [-1.0]]).repeat(width, 1)
        first = run([self._numbers], tried[:1])[0] if self._numbers else []
        self.keys = list(first[0]) if isinstance(first, list) and isinstance(first[0], dict) else None
        """The classes of a ZipMap."""
        self._targets = run([self._labels], tried)[0].reshape(3, -1).shape[1] if self._labels else 0
        self._told = [len(each) for each in told or () if each]
        parts = self._parts(run([self._numbers], tried)[0]) if self._numbers else []
        self._counts = [part.shape[1] for part in parts]
        strange = [total for part in parts for total in part.sum(1).tolist() if abs(total - 1) > 1e-3]  # One may well be NaN.
        several = bool(parts) and min(self._counts) > 1 and len(parts) == max(self._targets, 1 if self._labels else len(parts))
        self.gives_probabilities = several and not strange and told != [()]
        if self.gives_probabilities and self._told not in ([], self._counts):
            raise ModelUnloadable(
                f"the onnx output {self._numbers} has {self._counts[0]} classes, foretell.classes names {self._told[0]}",
                "name each class there",
            )
        if self._told and not self.gives_probabilities and not self._labels:
            total = f" adds up to {strange[0]:g}, not to 1" if strange else f" has {min(self._counts)} numbers a row"
            raise ModelUnloadable(f"the onnx output {self._numbers}{total}: these are no probabilities", "export those")
        self.is_regressor = not self._labels and not self.gives_probabilities

    def sources(self, classes: Classes) -> tuple[Source, ...]:
        """What the graph can say; `classes` are those of each target, or those of all."""
        if self.is_regressor:
            return (Source(per_target("value", sum(self._counts)), self._values),)
        of_all, found = several_probabilities(self._counts), []
        if self.gives_probabilities:
            found.append(Source(of_all, self._probabilities))
        if self._labels:
            labels = per_target("label", self._targets)
            places = [_places(classes[target % len(classes)]) for target in range(self._targets)]
            found.append(Source(labels, lambda rows: self._label(places, rows)))
            if self.gives_probabilities:
                found.append(Source(labels + of_all, lambda rows: self._both(places, rows)))
        return tuple(found)

    def _values(self, rows: Matrix) -> Matrix:
        return np.hstack(self._parts(self._run([self._numbers or ""], rows)[0]))

    def _probabilities(self, rows: Matrix) -> Matrix:
        return _joined(self._parts(self._run([self._numbers or ""], rows)[0]))

    def _label(self, places: list[Callable[[NDArray[Any]], Matrix]], rows: Matrix) -> Matrix:
        return _placed(places, self._run([self._labels or ""], rows)[0])

    def _both(self, places: list[Callable[[NDArray[Any]], Matrix]], rows: Matrix) -> Matrix:
        labels, numbers = self._run([self._labels or "", self._numbers or ""], rows)
        return np.hstack((_placed(places, labels), _joined(self._parts(numbers))))

    def _parts(self, answer: Any) -> list[Matrix]:
        """What is said of each target, shape (n, numbers)."""
        if self.keys is not None:
            return [np.array([[row[key] for key in self.keys] for row in answer], np.float64)]
        if isinstance(answer, list) or answer.ndim == 3:
            counts = self._told or [part.shape[1] for part in answer]  # A tensor is as wide as the target of most classes.
            return [np.asarray(part[:, :count], np.float64) for count, part in zip(counts, answer, strict=True)]
        matrix: Matrix = (answer if answer.ndim == 2 else answer.reshape(len(answer), -1)).astype(np.float64)
        if self._targets > 1 and matrix.shape[1] == self._targets:
            return [np.column_stack((1 - there, there)) for there in matrix.T]
        return [matrix]


def _joined(parts: list[Matrix]) -> Matrix:
    joined = np.hstack(parts) if len(parts) > 1 else parts[0]
    # A graph adds in float32, so that a certain class may come out as 1.0000001, which is no probability.
    return clipped(joined)


def _placed(places: list[Callable[[NDArray[Any]], Matrix]], labels: NDArray[Any]) -> Matrix:
    return np.column_stack([place(column) for place, column in zip(places, labels.reshape(len(labels), -1).T, strict=True)])


def _places(classes: Sequence[str]) -> Callable[[NDArray[Any]], Matrix]:
    """From labels to the places of their classes: by name, or, of a number where the names are none, the number is the place."""
    numbers = integers(Target("", tuple(classes)))
    by_name = {name: place for place, name in enumerate(classes)}
    by_number = {number: place for place, number in enumerate(numbers or range(len(classes)))}

    def place(labels: NDArray[Any]) -> Matrix:
        known: dict[Any, int] = by_name if labels.dtype == object else by_number
        return np.array([known[label] for label in labels.tolist()], np.float64)

    return place


def _is_numbers(output: Any) -> bool:
    return output.type in _MAPS | _LISTS or (output.type in NUMBERS and len(output.shape) in (1, 2, 3))


def _name(outputs: list[Any], fits: Callable[[Any], bool], what: str) -> str | None:
    found = [output for output in outputs if fits(output)]
    if len(found) > 1:
        raise ModelUnloadable(f"{len(found)} onnx outputs are {what}, among {_listed(outputs)}", "export one")
    return str(found[0].name) if found else None


def _listed(outputs: list[Any]) -> str:
    return ", ".join(f"{each.name}: {each.type}" for each in outputs[:5])
