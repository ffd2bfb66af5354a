"""The sources of an ONNX graph: which of its outputs are probabilities, labels or values."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Matrix
from grpc_server.rows.outputs import Source, clip_to_unit, outputs_per_target, probability_outputs
from grpc_server.rows.targets import ClassType, Target, class_type, integer_classes
from grpc_server.runtimes.runtime import Classes

Run = Callable[[list[str], Matrix], list[Any]]
"""From names of outputs and rows to the values of these outputs."""

NUMBER_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64}

_MAP_TYPES = {"seq(map(string,tensor(float)))", "seq(map(int64,tensor(float)))"}
_LIST_TYPES = {"seq(tensor(float))", "seq(tensor(double))"}
_LABEL_TYPES = {"tensor(int64)", "tensor(string)"}

_MAX_ROUNDING = 1e-3
"""Largest difference between 1 and the sum of a row's probabilities: float32 rounds."""

_ClassIndices = Callable[[NDArray[Any]], Matrix]
"""From the labels of rows to the indices of their classes, shape (rows,)."""


class GraphOutputs:
    """The output of a graph that holds numbers, and the one that holds labels; either may be missing.

    The numbers are probabilities if the classes of each target are stated or there are labels, or else if those of each row add up
    to 1. Otherwise they are the values of a regressor, one a target; beside labels they are unknown, and unused. Probabilities of
    several targets are a tensor of [targets, rows, classes], a sequence of tensors, or, for labels that are present or absent, a
    tensor of [rows, targets].
    """

    def __init__(self, outputs: list[Any], run: Run, width: int, stated: Classes | None) -> None:
        """`stated` are the class names of each target, an empty tuple for a regressor, None if the file states nothing.

        Raises ModelUnloadable for a graph that is no classifier or regressor.
        """
        self._run = run
        self._numbers = _only_output(outputs, _holds_numbers, "numbers")
        self._labels = _only_output(outputs, lambda output: output.type in _LABEL_TYPES, "labels")
        if self._numbers is None and self._labels is None:
            listed = _list(outputs)
            raise ModelUnloadable(f"no onnx output is numbers or labels, among {listed}", "export one, of [rows, numbers]")
        probe = np.array([[0.0], [1.0], [-1.0]]).repeat(width, 1)
        self.keys = self._zipmap_keys(probe[:1])
        """The classes of a ZipMap; None for numbers of another type."""
        texts = any(output.name == self._labels and output.type == "tensor(string)" for output in outputs)
        self.class_type: ClassType = "text" if texts or class_type(self.keys or ()) == "text" else ""
        """Whether the classes are text; integers may be classes or their indices."""
        self._targets = run([self._labels], probe)[0].reshape(3, -1).shape[1] if self._labels else 0
        self._stated_counts = [len(names) for names in stated or () if names]
        by_target = self._by_target(run([self._numbers], probe)[0]) if self._numbers else []
        self._class_counts = [numbers.shape[1] for numbers in by_target]
        wrong_sums = _sums_other_than_one(by_target)
        self._gives_probabilities = self._has_all_targets() and not wrong_sums and stated != [()]
        self._check_stated_classes(wrong_sums)
        self.is_regressor = not self._labels and not self._gives_probabilities

    def sources(self, classes: Classes) -> tuple[Source, ...]:
        """The graph's sources; `classes` are the class names of each target, or one list for all targets."""
        if self.is_regressor:
            return (Source(outputs_per_target("value", sum(self._class_counts)), lambda rows: np.hstack(self._run_numbers(rows))),)
        probabilities, found = probability_outputs(self._class_counts), []
        if self._gives_probabilities:
            found.append(Source(probabilities, lambda rows: _joined(self._run_numbers(rows))))
        if self._labels:
            labels = outputs_per_target("label", self._targets)
            class_indices = [_class_indices(classes[target % len(classes)]) for target in range(self._targets)]
            found.append(Source(labels, lambda rows: _label_indices(class_indices, self._run([self._labels or ""], rows)[0])))
            if self._gives_probabilities:
                found.append(Source(labels + probabilities, lambda rows: self._labels_and_probabilities(class_indices, rows)))
        return tuple(found)

    def _zipmap_keys(self, row: Matrix) -> list[Any] | None:
        first = self._run([self._numbers], row)[0] if self._numbers else []
        return list(first[0]) if isinstance(first, list) and isinstance(first[0], dict) else None

    def _has_all_targets(self) -> bool:
        """Whether each target has the numbers of at least two classes."""
        targets = max(self._targets, 1) if self._labels else len(self._class_counts)
        return bool(self._class_counts) and min(self._class_counts) > 1 and len(self._class_counts) == targets

    def _check_stated_classes(self, wrong_sums: list[float]) -> None:
        if not self._stated_counts:
            return
        if self._gives_probabilities:
            if self._stated_counts != self._class_counts:
                given, stated = self._class_counts[0], self._stated_counts[0]
                reason = f"the onnx output {self._numbers} has {given} classes, foretell.classes names {stated}"
                raise ModelUnloadable(reason, "name each class there")
        elif not self._labels:
            cause = f"adds up to {wrong_sums[0]:g}, not to 1" if wrong_sums else f"has {min(self._class_counts)} numbers a row"
            raise ModelUnloadable(f"the onnx output {self._numbers} {cause}: these are no probabilities", "export those")

    def _run_numbers(self, rows: Matrix) -> list[Matrix]:
        """For each target, shape (rows, classes)."""
        return self._by_target(self._run([self._numbers or ""], rows)[0])

    def _labels_and_probabilities(self, class_indices: list[_ClassIndices], rows: Matrix) -> Matrix:
        labels, numbers = self._run([self._labels or "", self._numbers or ""], rows)
        return np.hstack((_label_indices(class_indices, labels), _joined(self._by_target(numbers))))

    def _by_target(self, numbers: Any) -> list[Matrix]:
        """For each target, shape (rows, classes)."""
        if self.keys is not None:
            return [np.array([[row[key] for key in self.keys] for row in numbers], np.float64)]
        if isinstance(numbers, list) or numbers.ndim == 3:
            counts = self._stated_counts or [part.shape[1] for part in numbers]  # A tensor is as wide as the largest target.
            return [np.asarray(part[:, :count], np.float64) for count, part in zip(counts, numbers, strict=True)]
        matrix: Matrix = (numbers if numbers.ndim == 2 else numbers.reshape(len(numbers), -1)).astype(np.float64)
        if self._targets > 1 and matrix.shape[1] == self._targets:
            return [np.column_stack((1 - present, present)) for present in matrix.T]
        return [matrix]


def _sums_other_than_one(by_target: list[Matrix]) -> list[float]:
    """The sums that no probabilities have. NaN is not among them: a graph may give it for made-up rows."""
    sums = [total for numbers in by_target for total in numbers.sum(1).tolist()]
    return [total for total in sums if abs(total - 1) > _MAX_ROUNDING]


def _joined(by_target: list[Matrix]) -> Matrix:
    """Probabilities side by side. A graph adds in float32, so that 1.0000001 may come out, which no contract takes."""
    return clip_to_unit(np.hstack(by_target) if len(by_target) > 1 else by_target[0])


def _label_indices(class_indices: list[_ClassIndices], labels: NDArray[Any]) -> Matrix:
    columns = labels.reshape(len(labels), -1).T
    return np.column_stack([index_of(column) for index_of, column in zip(class_indices, columns, strict=True)])


def _class_indices(classes: Sequence[str]) -> _ClassIndices:
    """A text label is a class name. An integer label is one too if all names are plain integers, or else the index itself."""
    numbers = integer_classes(Target("", tuple(classes)))
    by_name = {name: index for index, name in enumerate(classes)}
    by_number = {number: index for index, number in enumerate(numbers or range(len(classes)))}

    def class_indices(labels: NDArray[Any]) -> Matrix:
        known: dict[Any, int] = by_name if labels.dtype == object else by_number
        return np.array([known[label] for label in labels.tolist()], np.float64)

    return class_indices


def _holds_numbers(output: Any) -> bool:
    return output.type in _MAP_TYPES | _LIST_TYPES or (output.type in NUMBER_TYPES and len(output.shape) in (1, 2, 3))


def _only_output(outputs: list[Any], fits: Callable[[Any], bool], kind: str) -> str | None:
    """The name of the only output that fits; None if none does. Raises ModelUnloadable if several do."""
    found = [output for output in outputs if fits(output)]
    if len(found) > 1:
        raise ModelUnloadable(f"{len(found)} onnx outputs are {kind}, among {_list(outputs)}", "export one")
    return str(found[0].name) if found else None


def _list(outputs: list[Any]) -> str:
    return ", ".join(f"{each.name}: {each.type}" for each in outputs[:5])
