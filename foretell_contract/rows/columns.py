"""Flattens a message of features into columns: nested, repeated and mapped fields, in the order of the contract."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from foretell_contract.custom_options import CustomOptions
from foretell_contract.errors import DeclarationError
from foretell_contract.fields import TYPE_NAMES, Kind, is_map, is_nested, key_text, kind_of, map_entry, message_of, value_field
from foretell_contract.problem import Problem, error
from foretell_contract.rules.rules import NO_RULES, FieldRules, Rules


class Spread(Enum):
    """How a field fills columns: one for its value, or one per item of a list, per known key of a map or per byte (0 to 255)."""

    ONE = "one"
    ITEMS = "items"
    KEYS = "keys"
    OCTETS = "octets"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A field that holds values, however deep in the row, and the columns that it fills."""

    path: str
    """Such as `address.zip`."""
    parents: tuple[FieldDescriptor, ...]
    """The message fields around it, outermost first."""
    field: FieldDescriptor
    kind: Kind
    spread: Spread
    keys: tuple[Any, ...]
    """One per column: the index of its item or byte, the key of its map entry, or None for a single value."""
    columns: tuple[str, ...]
    nullable: bool
    """Whether a valid row may lack the value of a column."""
    rules: FieldRules
    """Rules on each value."""

    @property
    def value(self) -> FieldDescriptor:
        """The field that holds the value: inside a wrapper or map entry, else the field itself."""
        return value_field(self.field)


def leaves(message: Descriptor, rules: Rules, options: CustomOptions) -> list[Leaf]:
    """All leaves of a row, in the order of the contract.

    Raises DeclarationError with every field that cannot become columns, or whose column another field has.
    """
    problems: list[Problem] = []
    found = list(_Flattener(rules, options, problems).leaves(message, (), "{}", absent=False, ruled=True))
    owners: dict[str, str] = {}
    for leaf in found:
        for column in leaf.columns:
            if column in owners:
                reason = f"{message.full_name}.{leaf.path} and {owners[column]} are both bound to {column!r}"
                problems.append(error(leaf.field.full_name, reason, "give each a column of its own"))
            owners[column] = leaf.path
    if problems:
        raise DeclarationError(*problems)
    return found


@dataclass(frozen=True, slots=True)
class _Flattener:
    rules: Rules
    options: CustomOptions
    problems: list[Problem]

    def leaves(
        self, message: Descriptor, parents: tuple[FieldDescriptor, ...], pattern: str, *, absent: bool, ruled: bool
    ) -> Iterator[Leaf]:
        """`pattern` makes column names from field names; `absent`: the message may be missing; `ruled`: its rules apply."""
        for field in message.fields:
            rules = self.rules.of(field) if ruled else NO_RULES
            rules = NO_RULES if rules.ignored else rules
            may_miss = absent or (field.has_presence and not rules.required)
            column = self.options.get(field, "foretell.v1.column") or pattern.replace("{}", field.name)
            if not is_nested(field):
                try:
                    yield self._leaf(field, parents, rules, column, may_miss)
                except DeclarationError as invalid:
                    self.problems.extend(invalid.problems)
            elif problem := _unflattenable(field):
                self.problems.append(problem)
            else:
                inner = column if "{}" in column else column + ".{}"
                inner_ruled = ruled and not self.rules.of(field).ignored
                yield from self.leaves(message_of(field), (*parents, field), inner, absent=may_miss, ruled=inner_ruled)

    def _leaf(
        self, field: FieldDescriptor, parents: tuple[FieldDescriptor, ...], rules: FieldRules, column: str, absent: bool
    ) -> Leaf:
        kind = kind_of(field)
        if kind is None:
            reason = f"{field.full_name} is a map of messages, which cannot become columns"
            raise DeclarationError(error(field.full_name, reason, "declare a map of single values"))
        path = ".".join([each.name for each in parents] + [field.name])
        spread, of_values, empty = Spread.ONE, rules, False
        keys: tuple[Any, ...] = (None,)
        if is_map(field):
            spread, of_values = Spread.KEYS, rules.values.get("values", NO_RULES)
            keys = _keys(field, rules)
            empty = not rules.required and (rules.zero_ignored or rules.values.get("min_pairs", 0) < len(keys))
            if kind in (Kind.TIME, Kind.DURATION):
                reason = f"{field.full_name} is a map of times, which no model takes"
                raise DeclarationError(error(field.full_name, reason, "give each time a field of its own"))
        elif field.is_repeated:
            spread, of_values = Spread.ITEMS, rules.values.get("items", NO_RULES)
            keys = tuple(range(_length(field, rules)))
            empty = rules.zero_ignored and not rules.required
        elif kind is Kind.BYTES and rules.values.get("len"):
            spread, keys = Spread.OCTETS, tuple(range(rules.values["len"]))
            empty = rules.zero_ignored and not rules.required
        pattern = column if "{}" in column else column + "[{}]"
        columns = (column,) if spread is Spread.ONE else tuple(pattern.replace("{}", key_text(key)) for key in keys)
        # A required map may still lack a key, unless `min_pairs` demands all of them.
        lacking = spread is Spread.KEYS and rules.values.get("min_pairs", 0) < len(keys)
        return Leaf(path, parents, field, kind, spread, keys, columns, absent or empty or lacking, of_values)


def _unflattenable(field: FieldDescriptor) -> Problem | None:
    type_name = message_of(field).full_name
    if type_name.startswith("google.protobuf."):
        return error(field.full_name, f"{field.full_name} is a {type_name}, which no model takes", "declare it as another type")
    if field.is_repeated:
        reason = f"{field.full_name} repeats a message, which cannot become columns"
        return error(field.full_name, reason, "declare single fields or a list of numbers")
    return None


def _length(field: FieldDescriptor, rules: FieldRules) -> int:
    fewest, most = rules.values.get("min_items"), rules.values.get("max_items")
    if not fewest or fewest != most:
        reason = f"{field.full_name} is a list without a fixed length, but each item is a column"
        fix = "set `repeated.min_items` and `repeated.max_items` to one number"
        raise DeclarationError(error(field.full_name, reason, fix))
    return int(fewest)


def _keys(field: FieldDescriptor, rules: FieldRules) -> tuple[Any, ...]:
    of_keys = rules.values.get("keys", NO_RULES)
    keys = () if of_keys.ignored else of_keys.values.get("in", ())
    if map_entry(field)[0].cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        keys = (False, True)
    if not keys:
        rule = TYPE_NAMES[map_entry(field)[0].type]
        reason = f"{field.full_name} is a map with arbitrary keys, but each key is a column"
        raise DeclarationError(error(field.full_name, reason, f"list the keys in `map.keys.{rule}.in`"))
    return tuple(keys)
