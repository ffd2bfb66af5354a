"""Compares the rules of a contract with the training data of its model: values they exclude, and bounds far beyond it."""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor

from foretell.check.training_range import Range
from foretell_contract.contract import Contract
from foretell_contract.errors import DeclarationError
from foretell_contract.fields import FLOAT_TYPES, Kind, enum_of
from foretell_contract.labels import match_labels
from foretell_contract.problem import Problem, warning
from foretell_contract.rows.columns import Leaf, Spread, leaves
from foretell_contract.rules.accepted_values import Accepted, accepted, plain_values
from foretell_contract.rules.intervals import LINES
from foretell_contract.service import Service
from foretell_contract.source.proto_text import quoted
from grpc_server.rows.targets import OUTLIER_CLASSES
from grpc_server.store.repository import Bundle
from grpc_server.store.training_values import ColumnValues, TrainingValues, observe

_FAR = 10
"""A bound is far if it is more than this many times the range of the training data away from it."""

_WIDEN = "widen them, or train without such rows"


def training_problems(contract: Contract, service: Service, bundle: Bundle) -> Iterator[Problem]:
    """A warning for each rule that excludes training data or goes far beyond it.

    Without a summary of the training data, golden rows serve as a sample: it shows excluded values, but not far bounds.
    """
    training, whole = bundle.manifest.training, True
    if training is None and bundle.golden:
        columns = {name: [row.features.get(name) for row in bundle.golden] for name in bundle.manifest.columns}
        training, whole = observe(columns, bundle.manifest.dtypes), False
    if training is None:
        return
    outliers = bundle.manifest.classes == OUTLIER_CLASSES or any("score" in row.expected for row in bundle.golden)
    source = "the training data" if whole else "the golden rows"
    comparison = _TrainingComparison(contract, training, source, whole and not outliers)
    for message in {method.features.full_name: method.features for method in service.methods}.values():
        with suppress(DeclarationError):  # Reported as an error already.
            for leaf in leaves(message, contract.rules, contract.options):
                yield from comparison.problems(leaf)


@dataclass(frozen=True, slots=True)
class _TrainingComparison:
    contract: Contract
    training: TrainingValues
    source: str
    bounded: bool
    """Whether values far from `training` are strange to the model: it covers all training data, and outliers are not sought."""

    def problems(self, leaf: Leaf) -> Iterator[Problem]:
        columns = [self.training.columns[column] for column in leaf.columns if column in self.training.columns]
        texts = sorted({text for each in columns for text in each.texts})
        if leaf.kind is Kind.ENUM:
            yield from self._missing_enum_values(leaf, texts)
        elif leaf.kind is Kind.TEXT and leaf.rules.kind == "string":
            yield from self._excluded_texts(leaf, texts)
        elif leaf.rules.kind in LINES and leaf.spread is not Spread.OCTETS:
            found = _range(leaf, columns)
            if found is not None:
                yield from self._range_problems(leaf, found)

    def _missing_enum_values(self, leaf: Leaf, texts: list[str]) -> Iterator[Problem]:
        enum = enum_of(leaf.value)
        for text in match_labels(enum, texts, self.contract.options).without_value:
            fix = f"add one, or set (foretell.v1.label) = {quoted(text)} on one"
            yield warning(enum.full_name, f"{enum.full_name} has no value for {text!r}, which is in {self.source}", fix)

    def _excluded_texts(self, leaf: Leaf, texts: list[str]) -> Iterator[Problem]:
        rules = accepted("string", leaf.rules.values, leaf.value)
        excluded = [text for text in texts if rules.takes(text) is False]
        if excluded:
            name = leaf.field.full_name
            yield warning(name, f"the rules of {name} exclude texts of {self.source}, such as {excluded[0]!r}", _WIDEN)

    def _range_problems(self, leaf: Leaf, found: Range) -> Iterator[Problem]:
        name, rules = leaf.field.full_name, accepted(leaf.rules.kind, plain_values(leaf.rules.values), leaf.value)
        if any(rules.takes(_in_rule_units(value, leaf)) is False for value in (found.low, found.high)):
            yield warning(name, f"the bounds of {name} exclude some of {self.source} ({found.span})", _WIDEN)
        limited = self.bounded and found.kind != "timestamp" and leaf.kind is not Kind.BOOL
        far = self._far(rules, found) if limited else ""
        if far:
            reason = f"the bounds of {name} allow {far}, far beyond {self.source} ({found.span})"
            yield warning(name, reason, "narrow them: the model was not trained on such values")

    def _far(self, rules: Accepted, found: Range) -> str:
        """The far bounds in words; 0 is not far from data on one side of it, nor is the end of a column's evident scale."""
        if rules.numbers is None or not rules.numbers.parts:
            return ""
        room = _FAR * ((found.high - found.low) or max(abs(found.high), 1.0))
        is_duration = found.kind == "duration"
        low, high = (bound / (10**9 if is_duration else 1) for bound in (rules.numbers.parts[0][0], rules.numbers.parts[-1][1]))
        first, last = found.scale or (found.low, found.high)
        below = found.low - low > room and low < first and not (low == 0 <= found.low)
        above = high - found.high > room and high > last and not (high == 0 >= found.high)
        words = [f"{word} {found.text(bound)}" for word, bound, far in (("down to", low, below), ("up to", high, above)) if far]
        if below and above and low < -1e300 and high > 1e300:
            return "any duration" if is_duration else "any number"
        return f"values {' and '.join(words)}" if words else ""


def _range(leaf: Leaf, columns: list[ColumnValues]) -> Range | None:
    known = [(each.low, each.high) for each in columns if each.low is not None and each.high is not None]
    kind = {Kind.TIME: "timestamp", Kind.DURATION: "duration", Kind.INTEGER: "int64"}.get(leaf.kind, "double")
    return Range(kind, min(low for low, _ in known), max(high for _, high in known), leaf.columns[0]) if known else None


def _in_rule_units(value: float, leaf: Leaf) -> Any:
    """The value in the units of the rules: times in nanoseconds, and float32 for a float field."""
    if leaf.kind in (Kind.TIME, Kind.DURATION):
        return math.floor(value * 10**6) * 1000
    if leaf.value.cpp_type == FieldDescriptor.CPPTYPE_FLOAT:
        return float(np.float32(value))
    return value if leaf.value.cpp_type in FLOAT_TYPES or value % 1 else int(value)
