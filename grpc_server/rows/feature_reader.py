"""Reads `Features` messages into rows of a model: each field fills the columns of its name."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from foretell_contract.contract import Contract
from foretell_contract.errors import DeclarationError
from foretell_contract.fields import Kind, enum_of, is_map, is_wrapper, map_entry
from foretell_contract.labels import default_labels, match_labels, short_name
from foretell_contract.problem import Problem, error
from foretell_contract.rows.columns import Leaf, Spread, leaves
from foretell_contract.source.proto_text import quoted
from foretell_contract.source.spelling import closest, did_you_mean
from grpc_server.errors import ModelMismatch
from grpc_server.rows.mixed_rows import PER_SECOND, Dtype, Rows, Table, integer_dtype, rows_from_columns

Convert = Callable[[Any], Any]
"""From a protobuf value to a value of its column; None if the column has none for it."""
Read = Callable[[Any], Sequence[Any]]
"""From a message to the values of one leaf, one for each of its columns."""

NUMBER_FIX = "declare it as a number"
"""The fix for a field of another kind over a column of numbers."""

_FLOAT32_MAX = float(np.finfo(np.float32).max)

_NANOSECONDS_FROM, _NANOSECONDS_TO = -9_223_372_036, 9_223_372_036
"""Range of 64-bit nanoseconds, in seconds since the epoch: 1677 to 2262."""


class FeatureReader:
    """Reads messages of one type into rows. Immutable; safe to use from any thread."""

    def __init__(self, contract: Contract, message: Descriptor, columns: Sequence[str], dtypes: Sequence[Dtype]) -> None:
        """Raises ModelMismatch with every column on which the contract and the model disagree."""
        try:
            self._leaves = leaves(message, contract.rules, contract.options)
        except DeclarationError as refusal:
            raise ModelMismatch.of(refusal.problems) from None
        owners = {column: leaf for leaf in self._leaves for column in leaf.columns}
        self._columns, self._dtypes = tuple(columns), tuple(dtypes)
        self._plain = all(dtype.is_plain for dtype in dtypes)
        by_column = dict(zip(columns, dtypes, strict=True))
        problems = [*_unmatched(message.full_name, self._leaves, by_column)]
        matched = [leaf for leaf in self._leaves if by_column.keys() >= set(leaf.columns)]
        self._read = [_reader(leaf, [by_column[column] for column in leaf.columns], contract, problems) for leaf in matched]
        if problems:
            raise ModelMismatch.of(problems)
        read = {column: index for index, column in enumerate(chain.from_iterable(leaf.columns for leaf in self._leaves))}
        self._order = [read[column] for column in columns]
        in_order = [owners[column] for column in columns]
        self.number_fields = self._number_fields(in_order)
        """The fields in training order if each is a single number in a float64 column; else empty."""
        never_missing = bool(self.number_fields) and not any(leaf.nullable for leaf in in_order)
        self._get = attrgetter(*self.number_fields) if never_missing else None

    def rows(self, messages: Iterable[Message]) -> Rows:
        """One row for each message, columns in training order; a Matrix if every column is float64."""
        if self._get is not None:
            values: Any = map(self._get, messages)
            if len(self._order) > 1:
                values = chain.from_iterable(values)
            return np.fromiter(values, np.float64).reshape(-1, len(self._order))
        rows = [list(chain.from_iterable([read(message) for read in self._read])) for message in messages]
        if self._plain:
            return np.array(rows, np.float64).reshape(-1, len(self._order))[:, self._order]
        columns = list(zip(*rows, strict=True)) or [()] * len(self._order)
        return rows_from_columns([columns[index] for index in self._order], self._dtypes)

    def out_of_range(self, rows: Rows) -> Iterator[tuple[int, str, float]]:
        """Row index, field path and value of each NaN where nothing may be missing, and of each number beyond float32.

        scikit-learn's trees and most of ONNX compute in float32.
        """
        columns = rows.columns if isinstance(rows, Table) else np.asarray(rows, np.float64).T
        paths = {column: path for leaf in self._leaves for column, path in zip(leaf.columns, _column_paths(leaf), strict=True)}
        nullable = {column for leaf in self._leaves if leaf.nullable for column in leaf.columns}
        for name, values in zip(self._columns, columns, strict=True):
            if values.dtype == np.float64:
                bad = np.abs(values) > _FLOAT32_MAX
                bad |= np.isnan(values) & (name not in nullable)
                yield from ((int(row), paths[name], float(values[row])) for row in np.flatnonzero(bad))

    def _number_fields(self, owners: Sequence[Leaf]) -> tuple[str, ...]:
        single = all(leaf.spread is Spread.ONE and not leaf.parents and leaf.value is leaf.field for leaf in owners)
        simple = single and self._plain and all(leaf.kind in _NUMBERS for leaf in owners)
        return tuple(leaf.field.name for leaf in owners) if simple else ()


def _column_paths(leaf: Leaf) -> list[str]:
    """For each column, the path of its value as violations write it, such as `shares["a"]`."""
    if leaf.spread in (Spread.ONE, Spread.OCTETS):
        return [leaf.path] * len(leaf.columns)
    return [f"{leaf.path}[{quoted(key) if isinstance(key, str) else key}]" for key in leaf.keys]


_NUMBERS = (Kind.NUMBER, Kind.INTEGER, Kind.BOOL, Kind.ENUM)


def _unmatched(message: str, leaves: Sequence[Leaf], columns: Collection[str]) -> Iterator[Problem]:
    """A problem for each field without a column and each column without a field; a misspelt pair is one problem."""
    filled = {column for leaf in leaves for column in leaf.columns}
    missing = [column for column in columns if column not in filled]
    for leaf in leaves:
        extra = [column for column in leaf.columns if column not in columns]
        meant = closest(extra[0], missing) if len(extra) == 1 else ""
        if extra:
            yield _no_column(leaf, extra, meant)
        if meant:
            missing.remove(meant)
    for column in missing:
        fix = f"add a field with that name, or set (foretell.v1.column) = {quoted(column)} on one"
        yield error(message, f"the model's column {column!r} has no field in {message}", fix)


def _no_column(leaf: Leaf, extra: Sequence[str], meant: str) -> Problem:
    name = leaf.field.full_name
    reason = f"{name} fills the column {extra[0]!r}, which the model does not have"
    if len(extra) > 1:
        reason = f"{name} fills {extra[0]!r} and {len(extra) - 1} more columns, which the model does not have"
    elif extra[0] == name.rpartition(".")[2]:
        reason = f"{name} matches no column of the model"
    hint = f'; did you mean "{meant}"?' if meant else ""
    fix = f"rename it, or set (foretell.v1.column) = {quoted(meant)}" if meant else "remove it, or train the model with it"
    return error(name, f"{reason}{hint}", fix)


def _reader(leaf: Leaf, dtypes: Sequence[Dtype], contract: Contract, problems: list[Problem]) -> Read:
    """Reads the values of a leaf; appends to `problems` what its columns cannot hold."""
    converts = [_conversion(leaf, column, dtype, contract, problems) for column, dtype in zip(leaf.columns, dtypes, strict=True)]
    missing = [math.nan if dtype.is_plain else None for dtype in dtypes]
    raw = _field_value(leaf)
    if leaf.spread is Spread.ONE:
        (convert,), (nothing,) = converts, missing

        def one(message: Any) -> Sequence[Any]:
            value = raw(message)
            value = nothing if value is None else convert(value)
            return (nothing if value is None else value,)

        return one
    octets, keyed = leaf.spread is Spread.OCTETS, leaf.spread is Spread.KEYS
    wrapped = is_wrapper(map_entry(leaf.field)[1] if is_map(leaf.field) else leaf.field)

    def many(message: Any) -> Sequence[Any]:
        values = raw(message)
        if not values:
            return missing
        if octets:
            return list(values)
        items = [values.get(key) for key in leaf.keys] if keyed else values
        if wrapped:
            items = [None if item is None else item.value for item in items]
        converted = [None if item is None else convert(item) for convert, item in zip(converts, items, strict=True)]
        return [nothing if value is None else value for nothing, value in zip(missing, converted, strict=True)]

    return many


def _field_value(leaf: Leaf) -> Callable[[Any], Any]:
    """From a message to the protobuf value of the leaf's field; None if it is missing."""
    above = [field.name for field in leaf.parents]
    name, optional = leaf.field.name, leaf.field.has_presence
    wrapped = leaf.value is not leaf.field and leaf.spread in (Spread.ONE, Spread.OCTETS)

    def raw(message: Any) -> Any:
        for each in above:
            if not message.HasField(each):
                return None
            message = getattr(message, each)
        if optional and not message.HasField(name):
            return None
        value = getattr(message, name)
        return value.value if wrapped else value

    return raw


def _conversion(leaf: Leaf, column: str, dtype: Dtype, contract: Contract, problems: list[Problem]) -> Convert:
    """From a protobuf value to one for the column; appends to `problems` what the column cannot hold."""
    held, declare = _described(dtype)
    holds = f"but the model's column {column!r} holds {held}"
    misfit = f"{leaf.path} is {leaf.kind.value}, {holds}"
    if leaf.spread is Spread.OCTETS:
        if not dtype.is_number:
            reason = f"{leaf.path} is bytes of a fixed length, each a number, {holds}"
            problems.append(error(leaf.field.full_name, reason, "remove the rule on its length, or declare another type"))
        return _same
    if leaf.kind in (Kind.TIME, Kind.DURATION):
        same_kind = not dtype.unit or dtype.is_duration == (leaf.kind is Kind.DURATION)
        if dtype.is_text or not same_kind or dtype.name in ("bool", "category"):
            problems.append(error(leaf.field.full_name, misfit, declare))
        return _time(leaf, column, dtype, problems)
    if leaf.kind is Kind.ENUM and dtype.is_text:
        return _label(leaf, column, dtype, contract, problems)
    fits = dtype.is_text if leaf.kind in (Kind.TEXT, Kind.BYTES) else dtype.is_number
    if not fits:
        problems.append(error(leaf.field.full_name, misfit, declare))
    wide = dtype if dtype.wide else integer_dtype(each for each in dtype.categories if isinstance(each, int))
    if wide and leaf.kind is Kind.NUMBER:
        reason = f"{leaf.path} is a double or a float, which rounds integers such as those of the model's column {column!r}"
        problems.append(error(leaf.field.full_name, reason, f"declare it as {wide.name.lower()}"))
    return _same


def _described(dtype: Dtype) -> tuple[str, str]:
    if dtype.unit:
        held, name = ("durations", "Duration") if dtype.is_duration else ("timestamps", "Timestamp")
        return held, f"declare it as google.protobuf.{name}"
    return ("text", "declare it as a string or an enum") if dtype.is_text else ("numbers", NUMBER_FIX)


def _same(value: Any) -> Any:
    return value


def _time(leaf: Leaf, column: str, dtype: Dtype, problems: list[Problem]) -> Convert:
    if not dtype.unit:
        return lambda time: time.seconds + time.nanos / 1e9
    if dtype.unit == "ns" and not _within_nanoseconds(leaf):
        reason = f"{leaf.path} may be a time beyond the range of the model's nanosecond column {column!r}"
        group = "timestamp" if leaf.kind is Kind.TIME else "duration"
        problems.append(error(leaf.field.full_name, reason, f"limit it to 1678 to 2262 with `{group}.gte` and `lte`"))
    per_second = PER_SECOND[dtype.unit]
    return lambda time: time.seconds * per_second + time.nanos * per_second // 10**9


def _within_nanoseconds(leaf: Leaf) -> bool:
    """Whether the rules keep every time within 64-bit nanoseconds."""
    values = leaf.rules.values
    if "const" in values or "within" in values:
        return True
    low = [values[name].seconds for name in ("gt", "gte") if name in values]
    high = [values[name].seconds for name in ("lt", "lte") if name in values]
    is_past = "lt_now" in values or max(high, default=_NANOSECONDS_TO) < _NANOSECONDS_TO
    return is_past and min(low, default=_NANOSECONDS_FROM) > _NANOSECONDS_FROM


def _label(leaf: Leaf, column: str, dtype: Dtype, contract: Contract, problems: list[Problem]) -> Convert:
    enum = enum_of(leaf.value)
    values = leaf.rules.values
    if not values.get("defined_only") and "in" not in values and not enum.is_closed:
        reason = f"{leaf.path} may hold an enum number without a name, but the model takes names"
        problems.append(error(leaf.field.full_name, reason, "add the rule `enum.defined_only`"))
    if not dtype.categories:
        return default_labels(enum, contract.options).get
    found = match_labels(enum, [str(label) for label in dtype.categories], contract.options)
    for value in found.without_label:
        if value.number not in values.get("not_in", ()) and value.number in values.get("in", (value.number,)):
            hint = did_you_mean(short_name(value).lower(), found.without_value)
            reason = f"{value.name} of {leaf.path} matches no category of the model's column {column!r}{hint}"
            fix = "remove it, forbid it with `enum.not_in`, or set (foretell.v1.label) to the model's name for it"
            problems.append(error(f"{enum.full_name}.{value.name}", reason, fix))
    return found.by_number.get
