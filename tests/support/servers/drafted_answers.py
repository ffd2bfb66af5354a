"""Requests and expected answers of a drafted contract, from the rows and the answers of an estimator.

Everything here follows what the docs say of a drafted contract; nothing asks the product how it reads a contract.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from sklearn.mixture import GaussianMixture

from foretell_contract.contract import Contract

_PROBABILITY = re.compile(r"_probability(_\d+)?$")
"""Names of the probability of a class; é and Ë have the same Latin letter, and the second gets a number."""

_NUMBER = re.compile(r"_\d+$")
"""What tells an output from a target of its name."""

_WHOLE = (
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
)


def requests(contract: Contract, message: Descriptor, frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Each row of the training table as a JSON document of the drafted `Features`. Missing values are left out."""
    fields = {contract.options.get(field, "foretell.v1.column") or field.name: field for field in message.fields}
    assert set(fields) == set(map(str, frame.columns))
    columns = [(fields[str(name)], _json_value(contract, fields[str(name)])) for name in frame.columns]
    cells = [frame.iloc[:, index].tolist() for index in range(frame.shape[1])]
    return [
        {field.name: convert(cell) for (field, convert), cell in zip(columns, row, strict=True) if not pd.isna(cell)}
        for row in zip(*cells, strict=True)
    ]


def _json_value(contract: Contract, field: FieldDescriptor) -> Callable[[Any], Any]:
    if field.enum_type is not None:
        names = _names(contract, field.enum_type)
        return lambda cell: names[str(cell)]
    if field.message_type is not None:
        return {"google.protobuf.Timestamp": _moment, "google.protobuf.Duration": lambda cell: f"{cell.total_seconds()}s"}[
            field.message_type.full_name
        ]
    if field.cpp_type in _WHOLE:
        return _whole
    return {FieldDescriptor.CPPTYPE_BOOL: bool, FieldDescriptor.CPPTYPE_STRING: str}.get(field.cpp_type, float)


def _whole(cell: Any) -> int:
    assert int(cell) == cell, f"a field of integers for {cell!r}"
    return int(cell)


def _moment(cell: Any) -> str:
    moment = pd.Timestamp(cell)
    moment = moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")
    return moment.isoformat().replace("+00:00", "Z")


def _names(contract: Contract, enum: EnumDescriptor) -> dict[str, str]:
    """Name of the enum's value by label."""
    prefix = str(enum.values[0].name).removesuffix("UNSPECIFIED")
    labels = {}
    for value in enum.values[1:]:
        declared = contract.options.get(value, "foretell.v1.label")
        label = str(value.name).removeprefix(prefix).lower() if declared is None else declared
        assert label not in labels, label
        labels[label] = str(value.name)
    return labels


class Expected:
    """Answers of an estimator for some rows, and their comparison with answers of the drafted `Response`."""

    def __init__(self, contract: Contract, message: Descriptor, model: Any, rows: pd.DataFrame) -> None:
        self._contract, self._fields = contract, list(message.fields)
        self._classes = list(getattr(model, "classes_", []))
        self._label = model.predict(rows) if hasattr(model, "predict") else None
        self._numbers = dict(_numbers(model, rows))

    def differences(self, row: int, answer: dict[str, Any]) -> list[str]:
        """What is different in the answer to this row; empty if nothing is."""
        found, classes = [], iter(range(len(self._classes)))
        for field in self._fields:
            value, expected = answer[field.name], self._expected(field, row, classes)
            if not _same(value, expected):
                found.append(f"{field.name}: {value!r} instead of {expected!r}")
        return found

    def _expected(self, field: FieldDescriptor, row: int, classes: Iterator[int]) -> Any:
        if _PROBABILITY.search(field.name):
            return self._numbers["probability"][row][next(classes)]
        if field.message_type is not None:
            return {str(name): p for name, p in zip(self._classes, self._numbers["probability"][row], strict=True)}
        if field.is_repeated:
            return list(self._numbers[_LISTS[_NUMBER.sub("", field.name)]][row])
        kind = _SINGLE.get(_NUMBER.sub("", field.name))
        if kind in self._numbers and field.number > 1:
            return self._numbers[kind][row][0]
        return self._labelled(field, row)

    def _labelled(self, field: FieldDescriptor, row: int) -> Any:
        assert self._label is not None
        label = self._label[row]
        if field.enum_type is not None:
            if not self._classes:  # An outlier detector.
                label = {1: "inlier", -1: "outlier"}[label]
            return _names(self._contract, field.enum_type)[str(label)]
        if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            return label == self._classes[1]
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            return str(label)
        if field.cpp_type in _WHOLE:
            assert not isinstance(label, str), f"an integer for the class {label!r}"
            return int(label)
        return float(np.asarray(label).reshape(-1)[0])


_LISTS = {"decisions": "decision", "distances": "distance", "components": "component", "probabilities": "probability"}
_SINGLE = {"decision": "decision", "score": "score"}


def _numbers(model: Any, rows: pd.DataFrame) -> Iterator[tuple[str, Any]]:
    if isinstance(model, GaussianMixture):  # It cuts the digits of its scores for integers.
        rows = rows.astype({name: float for name in rows.columns if rows[name].dtype.kind in "iu"})
    methods = {"probability": "predict_proba", "decision": "decision_function", "score": "score_samples"}
    methods |= {"distance" if hasattr(model, "predict") else "component": "transform"}
    for kind, name in methods.items():
        if hasattr(model, name):
            with suppress(np.linalg.LinAlgError):  # The scores of PCA, for a singular covariance: a draft has no score then.
                answers = np.asarray(getattr(model, name)(rows), dtype=float)
                yield kind, answers if answers.ndim == 2 else answers[:, None]


def _same(value: Any, expected: Any) -> bool:
    if isinstance(expected, list):
        return len(value) == len(expected) and all(map(_same, value, expected))
    if isinstance(expected, dict):
        return set(value) == set(expected) and all(_same(value[key], part) for key, part in expected.items())
    if isinstance(expected, float):
        return bool(np.isclose(float(value), expected, rtol=1e-5, atol=1e-6))
    return (
        bool(str(value) == str(expected)) if isinstance(value, str) and not isinstance(expected, str) else bool(value == expected)
    )
