"""From the messages of a request to the rows that a model takes: which field is which column, by name."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from foretell_contract.source.suggestion import closest, did_you_mean
from grpc_server.errors import ModelMismatch
from grpc_server.rows.mixed_rows import PER_SECOND, Dtype, Rows, Table, rows_of

Convert = Callable[[Any], Any]
Read = Callable[[Any], Sequence[Any]]
"""From a message to the values of a leaf, one for each of its columns."""

_REACH = float(np.finfo(np.float32).max)

_NANOSECONDS_FROM, _NANOSECONDS_TO = -9_223_372_036, 9_223_372_036
"""Seconds around the epoch that 64 bits of nanoseconds reach: 1677 to 2262."""

_HELD = {Kind.BOOL: "number", Kind.INTEGER: "number", Kind.NUMBER: "number", Kind.TEXT: "text", Kind.BYTES: "text"}


class Features:
    """How the messages of one type become rows. Immutable; safe to use from any thread."""

    def __init__(self, contract: Contract, message: Descriptor, columns: Sequence[str], dtypes: Sequence[Dtype]) -> None:
        """Raises ModelMismatch, naming every column on which the contract and the model disagree."""
        try:
            self.leaves = leaves(message, contract.rules, contract.options)
        except DeclarationError as refusal:
            raise ModelMismatch.of(refusal.problems) from None
        owners = {column: leaf for leaf in self.leaves for column in leaf.columns}
        self._columns, self._dtypes = tuple(columns), tuple(dtypes)
        self._plain = all(dtype.is_plain for dtype in dtypes)
        by_column = dict(zip(columns, dtypes, strict=True))
        problems = [*disagreements(message.full_name, self.leaves, columns)]
        bound = [leaf for leaf in self.leaves if by_column.keys() >= set(leaf.columns)]
        self._read = [_reader(leaf, [by_column[column] for column in leaf.columns], contract, problems) for leaf in bound]
        if problems:
            raise ModelMismatch.of(problems)
        made = [column for leaf in self.leaves for column in leaf.columns]
        self._order = [made.index(column) for column in columns]
        in_order = [owners[column] for column in columns]
        self.number_fields = self._fields(in_order)
        """The fields in training order, where each is a single number in a plain column; else nothing."""
        always = bool(self.number_fields) and not any(leaf.nullable for leaf in in_order)
        self._get = attrgetter(*self.number_fields) if always else None

    def rows(self, messages: Iterable[Message]) -> Rows:
        """The rows of these messages, in training order."""
        if self._get is not None:
            values: Any = map(self._get, messages)
            if len(self._order) > 1:
                values = chain.from_iterable(values)
            return np.fromiter(values, np.float64).reshape(-1, len(self._order))
        found = [list(chain.from_iterable([read(message) for read in self._read])) for message in messages]
        if self._plain:
            return np.array(found, np.float64).reshape(-1, len(self._order))[:, self._order]
        columns = list(zip(*found, strict=True)) or [()] * len(self._order)
        return rows_of([columns[place] for place in self._order], self._dtypes)

    def out_of_reach(self, rows: Rows) -> Iterator[tuple[int, str]]:
        """The row and the path of each number that is beyond what scikit-learn's trees and most of ONNX calculate with."""
        columns = rows.columns if isinstance(rows, Table) else np.asarray(rows, np.float64).T
        paths = {column: path for leaf in self.leaves for column, path in zip(leaf.columns, _paths(leaf), strict=True)}
        for name, values in zip(self._columns, columns, strict=True):
            if values.dtype == np.float64:
                yield from ((int(row), paths[name]) for row in np.flatnonzero(np.abs(values) > _REACH))

    def _fields(self, owners: Sequence[Leaf]) -> tuple[str, ...]:
        single = all(leaf.spread is Spread.ONE and not leaf.parents and leaf.value is leaf.field for leaf in owners)
        simple = single and self._plain and all(leaf.kind in _NUMBERS for leaf in owners)
        return tuple(leaf.field.name for leaf in owners) if simple else ()


def _paths(leaf: Leaf) -> list[str]:
    """The path of what each column takes of the field, as violations have it."""
    if leaf.spread in (Spread.ONE, Spread.OCTETS):
        return [leaf.path] * len(leaf.columns)
    return [f"{leaf.path}[{quoted(key) if isinstance(key, str) else key}]" for key in leaf.keys]


_NUMBERS = (Kind.NUMBER, Kind.INTEGER, Kind.BOOL, Kind.ENUM)


def disagreements(message: str, leaves: Sequence[Leaf], columns: Sequence[str]) -> Iterator[Problem]:
    """Every column of the model has a field, and the other way round; a misspelt one is said once, where it stands."""
    made = {column for leaf in leaves for column in leaf.columns}
    missing = [column for column in columns if column not in made]
    for leaf in leaves:
        extra = [column for column in leaf.columns if column not in columns]
        meant = closest(extra[0], missing) if len(extra) == 1 else ""
        if extra:
            yield _no_column(leaf, extra, meant)
        if meant:
            missing.remove(meant)
    for column in missing:
        fix = f"add a field that is named so, or says (foretell.v1.column) = {quoted(column)}"
        yield error(message, f"the model's column {column!r} has no field in {message}", fix)


def _no_column(leaf: Leaf, extra: Sequence[str], meant: str) -> Problem:
    name = leaf.field.full_name
    more = f" and {len(extra) - 1} more" if len(extra) > 1 else ""
    makes = f"{name} is" if extra[0] == name.rpartition(".")[2] else f"{name} makes {extra[0]!r}, which is"
    nothing = f"{name} makes {extra[0]!r}{more}, which are no columns" if more else f"{makes} no column"
    hint = f'; did you mean "{meant}"?' if meant else ""
    fix = f"name it so, or say (foretell.v1.column) = {quoted(meant)}" if meant else "take it out, or train the model with it"
    return error(name, f"{nothing} of the model{hint}", fix)


def _reader(leaf: Leaf, dtypes: Sequence[Dtype], contract: Contract, problems: list[Problem]) -> Read:
    converts = [_conversion(leaf, column, dtype, contract, problems) for column, dtype in zip(leaf.columns, dtypes, strict=True)]
    missing = [math.nan if dtype.is_plain else None for dtype in dtypes]
    raw = _raw(leaf)
    if leaf.spread is Spread.ONE:
        (convert,), (nothing,) = converts, missing

        def one(message: Any) -> Sequence[Any]:
            value = raw(message)
            value = nothing if value is None else convert(value)
            return (nothing if value is None else value,)

        return one
    octets, keyed, wrapped = leaf.spread is Spread.OCTETS, leaf.spread is Spread.KEYS, _wraps_items(leaf)

    def many(message: Any) -> Sequence[Any]:
        values = raw(message)
        if not values:
            return missing
        if octets:
            return list(values)
        there = [values.get(key) for key in leaf.keys] if keyed else values
        if wrapped:
            there = [None if item is None else item.value for item in there]
        found = [None if item is None else convert(item) for convert, item in zip(converts, there, strict=True)]
        return [nothing if value is None else value for nothing, value in zip(missing, found, strict=True)]

    return many


def _wraps_items(leaf: Leaf) -> bool:
    return is_wrapper(map_entry(leaf.field)[1] if is_map(leaf.field) else leaf.field)


def _raw(leaf: Leaf) -> Callable[[Any], Any]:
    """The value of the field as protobuf has it; None where there is none."""
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
    """From a value as protobuf has it to one for the column; what does not fit is noted in `problems`."""
    place = f"{leaf.path} is {leaf.kind.value}, but the model's column {column!r} holds"
    holds = "text" if dtype.is_text else ("lengths of time" if dtype.is_duration else "points in time") if dtype.unit else "numbers"
    if leaf.spread is Spread.OCTETS:
        if not dtype.is_number:
            reason = f"{leaf.path} is bytes of a fixed length, each a number, but the model's column {column!r} holds {holds}"
            problems.append(error(leaf.field.full_name, reason, "take the length away, or declare another type"))
        return _same
    if leaf.kind in (Kind.TIME, Kind.DURATION):
        return _time(leaf, column, dtype, problems, f"{place} {holds}")
    if leaf.kind is Kind.ENUM and dtype.is_text:
        return _label(leaf, column, dtype, contract, problems)
    fits = dtype.is_text if leaf.kind in (Kind.TEXT, Kind.BYTES) else dtype.is_number
    if not fits:
        problems.append(error(leaf.field.full_name, f"{place} {holds}", f"declare it as {_declared(dtype)}"))
    return _same


def _declared(dtype: Dtype) -> str:
    if dtype.unit:
        return "google.protobuf.Duration" if dtype.is_duration else "google.protobuf.Timestamp"
    return "a string or an enum" if dtype.is_text else "a number"


def _same(value: Any) -> Any:
    return value


def _time(leaf: Leaf, column: str, dtype: Dtype, problems: list[Problem], misfit: str) -> Convert:
    if dtype.is_text or (dtype.unit and dtype.is_duration != (leaf.kind is Kind.DURATION)) or dtype.name in ("bool", "category"):
        problems.append(error(leaf.field.full_name, misfit, f"declare it as {_declared(dtype)}"))
    if not dtype.unit:
        return lambda time: time.seconds + time.nanos / 1e9
    if dtype.unit == "ns" and not _reachable(leaf):
        reason = f"{leaf.path} may be a time that the nanoseconds of the model's column {column!r} cannot reach"
        group = "timestamp" if leaf.kind is Kind.TIME else "duration"
        problems.append(error(leaf.field.full_name, reason, f"bound it within 1678 and 2262 with `{group}.gte` and `lte`"))
    per_second = PER_SECOND[dtype.unit]
    return lambda time: time.seconds * per_second + time.nanos * per_second // 10**9


def _reachable(leaf: Leaf) -> bool:
    values = leaf.rules.values
    if "const" in values:
        return True
    low = [values[name].seconds for name in ("gt", "gte") if name in values]
    high = [values[name].seconds for name in ("lt", "lte") if name in values]
    near = "within" in values or "lt_now" in values
    enough = bool(low) and min(low) > _NANOSECONDS_FROM and (near or (bool(high) and max(high) < _NANOSECONDS_TO))
    return enough or "within" in values


def _label(leaf: Leaf, column: str, dtype: Dtype, contract: Contract, problems: list[Problem]) -> Convert:
    enum = enum_of(leaf.value)
    values = leaf.rules.values
    if not values.get("defined_only") and "in" not in values and not enum.is_closed:
        reason = f"{leaf.path} may be a number without a name, and the model takes names"
        problems.append(error(leaf.field.full_name, reason, "give it `enum.defined_only`"))
    if not dtype.categories:
        return default_labels(enum, contract.options).get
    found = match_labels(enum, [str(label) for label in dtype.categories], contract.options)
    for value in found.without_label:
        if value.number not in values.get("not_in", ()) and value.number in values.get("in", (value.number,)):
            hint = did_you_mean(short_name(value).lower(), found.without_value)
            reason = f"{value.name} of {leaf.path} is no category of the model's column {column!r}{hint}"
            fix = "take it out, forbid it with `enum.not_in`, or give it the model's own word with (foretell.v1.label)"
            problems.append(error(f"{enum.full_name}.{value.name}", reason, fix))
    return found.by_number.get
