"""The columns of a row: nested, repeated and mapped fields are flattened, once, in the order of the contract."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from foretell_contract.custom_options import CustomOptions
from foretell_contract.errors import DeclarationError
from foretell_contract.fields import Kind, is_map, is_nested, kind_of, map_entry, message_of, value_field
from foretell_contract.problem import Problem, error
from foretell_contract.rules.rules import NO_RULES, FieldRules, Rules


class Spread(Enum):
    """How the values of a field fill columns."""

    ONE = "one"
    """A single value in a single column."""
    ITEMS = "items"
    """A list of a fixed length, a column an item."""
    KEYS = "keys"
    """A map with known keys, a column a key."""
    OCTETS = "octets"
    """Bytes of a fixed length, a column a byte: a number from 0 to 255."""


_KEY_RULES = {
    getattr(FieldDescriptor, f"TYPE_{name.upper()}"): name
    for name in ("int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64", "string")
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """One field of a row, however deep, and the columns that its values fill."""

    path: str
    """Such as `address.zip`."""
    parents: tuple[FieldDescriptor, ...]
    """The messages around it, from the outside in."""
    field: FieldDescriptor
    kind: Kind
    spread: Spread
    keys: tuple[Any, ...]
    """What each column takes of the field: places, keys, or nothing in particular."""
    columns: tuple[str, ...]
    nullable: bool
    """Whether a row that keeps the rules may have no value here."""
    rules: FieldRules
    """On each value."""

    @property
    def value(self) -> FieldDescriptor:
        """The field that holds the values themselves: of a wrapper or a map the inner one."""
        return value_field(self.field)


def leaves(message: Descriptor, rules: Rules, options: CustomOptions) -> list[Leaf]:
    """Every field that holds values, in the order of the contract.

    Raises DeclarationError, with every one that has no fixed number of columns, or makes the column of another.
    """
    problems: list[Problem] = []
    found = list(_Flattened(rules, options, problems).of(message, (), "{}", absent=False, ruled=True))
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
class _Flattened:
    rules: Rules
    options: CustomOptions
    problems: list[Problem]

    def of(
        self, message: Descriptor, above: tuple[FieldDescriptor, ...], name: str, *, absent: bool, ruled: bool
    ) -> Iterator[Leaf]:
        """`name` is the pattern of the columns' names, `absent` whether the message may be, `ruled` whether its rules apply."""
        for field in message.fields:
            told = self.rules.of(field) if ruled else NO_RULES
            told = NO_RULES if told.ignored else told
            may_miss = absent or (field.has_presence and not told.required)
            stated = self.options.get(field, "foretell.v1.column")
            if is_nested(field):
                problem = _no_part_of_a_row(field)
                if problem is not None:
                    self.problems.append(problem)
                    continue
                inside = stated or name.replace("{}", field.name)
                inside = inside if "{}" in inside else inside + ".{}"
                still = ruled and not self.rules.of(field).ignored
                yield from self.of(message_of(field), (*above, field), inside, absent=may_miss, ruled=still)
            else:
                try:
                    yield self._leaf(field, above, told, stated or name.replace("{}", field.name), may_miss)
                except DeclarationError as refusal:
                    self.problems.extend(refusal.problems)

    def _leaf(self, field: FieldDescriptor, above: tuple[FieldDescriptor, ...], told: FieldRules, name: str, absent: bool) -> Leaf:
        kind = kind_of(field)
        if kind is None:
            reason = f"{field.full_name} is a map of messages, which cannot become columns"
            raise DeclarationError(error(field.full_name, reason, "declare a map of single values"))
        path = ".".join([each.name for each in above] + [field.name])
        spread, rules, empty = Spread.ONE, told, False
        keys: tuple[Any, ...] = (None,)
        if is_map(field):
            spread, rules = Spread.KEYS, told.values.get("values", NO_RULES)
            keys = _keys(field, told)
            empty = not told.required and (told.zero_ignored or told.values.get("min_pairs", 0) < len(keys))
            if kind in (Kind.TIME, Kind.DURATION):
                raise DeclarationError(
                    error(field.full_name, f"{field.full_name} is a map of times", "give each a field of its own")
                )
        elif field.is_repeated:
            spread, rules = Spread.ITEMS, told.values.get("items", NO_RULES)
            keys = tuple(range(_length(field, told)))
            empty = told.zero_ignored and not told.required
        elif kind is Kind.BYTES and told.values.get("len"):
            spread, keys = Spread.OCTETS, tuple(range(told.values["len"]))
            empty = told.zero_ignored and not told.required
        many = name if "{}" in name else name + "[{}]"
        columns = (name,) if spread is Spread.ONE else tuple(many.replace("{}", _text(key)) for key in keys)
        # A map that must not be empty may still lack a key, unless all of them must be there.
        lacking = spread is Spread.KEYS and told.values.get("min_pairs", 0) < len(keys)
        return Leaf(path, above, field, kind, spread, keys, columns, absent or empty or lacking, rules)


def _no_part_of_a_row(field: FieldDescriptor) -> Problem | None:
    """What is wrong with a message in a row that no columns can be made of; None where nothing is."""
    kind = message_of(field).full_name
    if kind.startswith("google.protobuf."):
        return error(field.full_name, f"{field.full_name} is a {kind}, which no model takes", "declare it as another type")
    if field.is_repeated:
        reason = f"{field.full_name} repeats a message, which cannot become columns"
        return error(field.full_name, reason, "declare single fields or a list of numbers")
    return None


def _text(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _length(field: FieldDescriptor, told: FieldRules) -> int:
    fewest, most = told.values.get("min_items"), told.values.get("max_items")
    if not fewest or fewest != most:
        reason = f"{field.full_name} is a list without a fixed length, but each item is a column"
        raise DeclarationError(error(field.full_name, reason, "set `repeated.min_items` and `repeated.max_items` to one number"))
    return int(fewest)


def _keys(field: FieldDescriptor, told: FieldRules) -> tuple[Any, ...]:
    of_keys = told.values.get("keys", NO_RULES)
    keys = () if of_keys.ignored else of_keys.values.get("in", ())
    if map_entry(field)[0].cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        keys = (False, True)
    if not keys:
        word = _KEY_RULES[map_entry(field)[0].type]
        reason = f"{field.full_name} is a map with arbitrary keys, but each key is a column"
        raise DeclarationError(error(field.full_name, reason, f"list the keys in `map.keys.{word}.in`"))
    return tuple(keys)
