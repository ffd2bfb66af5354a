"""`diff` against protovalidate, with generated rules and values: no breaking change is called safe, no plain loosening breaking.

A message that the old contract accepts is encoded, and decoded and validated with the new contract.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from foretell_contract.contract import Contract, load_set
from foretell_contract.diff.diff import diff
from foretell_contract.rules.accepted_values import accepted
from tests.support.effort import tries
from tests.support.messages import pool_of, set_rules

FLOATS = (-1.5, -0.0, 0.0, 0.25, 1.0, 2.0, 5e-45, math.inf, -math.inf)
SIGNED, UNSIGNED = tuple(range(-3, 4)), tuple(range(5))
WORDS = ("", "a", "ab", "abc", "b", "ba", "é", "éa", "a@b.co")
SIZES = tuple(range(4))


def some(values: Any) -> Any:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique_by=repr)


def numeric(values: tuple[Any, ...], **more: Any) -> Any:
    one = st.sampled_from(values)
    below = st.sampled_from(["lt", "lte", ""]).flatmap(lambda name: st.fixed_dictionaries({name: one} if name else {}))
    above = st.sampled_from(["gt", "gte", ""]).flatmap(lambda name: st.fixed_dictionaries({name: one} if name else {}))
    others = st.fixed_dictionaries({}, optional={"const": one, "in": some(values), "not_in": some(values), **more})
    few = others.map(lambda rules: dict(list(rules.items())[:1]))
    return st.tuples(below, above, few).map(lambda parts: parts[0] | parts[1] | parts[2])


def textual(words: tuple[Any, ...], *more: tuple[str, Any]) -> Any:
    one, size = st.sampled_from(words), st.sampled_from(SIZES)
    sizes = dict.fromkeys(("len", "min_len", "max_len"), size)
    parts = dict.fromkeys(("const", "prefix", "suffix", "contains"), one)
    rules = st.fixed_dictionaries({}, optional=sizes | parts | {"in": some(words), "not_in": some(words), **dict(more)})
    return st.tuples(rules, st.permutations(range(12))).map(lambda drawn: _few(*drawn))


def _few(rules: dict[str, Any], order: list[int]) -> dict[str, Any]:
    names = list(rules)
    return {names[index]: rules[names[index]] for index in [index for index in order if index < len(names)][:2]}


BYTES_TOO = (
    ("not_contains", st.sampled_from(WORDS[1:])),
    *((name, st.sampled_from(SIZES)) for name in ("len_bytes", "min_bytes", "max_bytes")),
)
PATTERN = ("pattern", st.sampled_from(["^a", "b$", "^(a|b)*$"]))
COUNTS = st.fixed_dictionaries(
    {}, optional={"min_items": st.sampled_from(SIZES), "max_items": st.sampled_from(SIZES), "unique": st.just(True)}
)
LISTS = st.tuples(COUNTS, numeric(FLOATS, finite=st.just(True))).map(
    lambda parts: parts[0] | ({"items": {"double": parts[1]}} if parts[1] else {})
)
SEVERAL = ([], [0.0], [1.0], [1.0, 1.0], [0.25, -1.5], [math.nan], [0.0, 1.0, 2.0], [math.inf])
ENUM = st.fixed_dictionaries(
    {}, optional={"defined_only": st.just(True), "in": some(UNSIGNED), "not_in": some(UNSIGNED), "const": st.sampled_from(UNSIGNED)}
)

KINDS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "double": (numeric(FLOATS, finite=st.just(True)), (*FLOATS, math.nan, 1e-323, math.nextafter(1, 2), 0.5, 1e300)),
    "float": (numeric(FLOATS, finite=st.just(True)), (*FLOATS, math.nan, 0.5, 1.5, 3e38)),
    "int32": (numeric(SIGNED), (*SIGNED, 2**31 - 1, -(2**31))),
    "uint64": (numeric(UNSIGNED), (*UNSIGNED, 9, 2**64 - 1)),
    "sfixed64": (numeric(SIGNED), (*SIGNED, 9, -9)),
    "bool": (st.fixed_dictionaries({}, optional={"const": st.booleans()}), (False, True)),
    "enum": (ENUM, tuple(range(6))),
    "string": (textual(WORDS, PATTERN, ("email", st.just(True)), *BYTES_TOO), (*WORDS, "abcd", "bab", "éé")),
    "bytes": (textual(tuple(word.encode() for word in WORDS)), tuple(word.encode() for word in (*WORDS, "abcd", "bab"))),
    "repeated": (LISTS, SEVERAL),
}
"""By kind of rules: a strategy of rules, and values at their bounds."""

TIMES = tuple({"seconds": seconds, "nanos": nanos} for seconds in (0, 1, 2) for nanos in (0, 1, 999_999_999))
TIMED = {
    "duration": (numeric(TIMES), (*TIMES, {"seconds": 3})),
    # A timestamp has no lists.
    "timestamp": (numeric(TIMES).filter(lambda rules: not rules.keys() & {"in", "not_in"}), (*TIMES, {"seconds": 3})),
}
"""The same for Duration and Timestamp, whose rules are messages too."""


@dataclass(frozen=True)
class RuledField:
    """A field with rules."""

    kind: str
    rules: dict[str, Any]
    optional: bool = True
    required: bool = False
    ignore: int = 0
    values: tuple[Any, ...] = field(default=(), compare=False)

    def options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"required": self.required, "ignore": self.ignore}
        return options | ({self.kind: self.rules} if self.rules else {})


@st.composite
def ruled(draw: st.DrawFn, kind: str) -> RuledField:
    rules, values = (KINDS | TIMED)[kind]
    optional = kind in KINDS and kind != "repeated" and draw(st.booleans())
    return RuledField(kind, draw(rules), optional, draw(st.integers(0, 3)) == 0, draw(st.sampled_from([0, 0, 0, 0, 1, 3])), values)


PAIRS = st.sampled_from(sorted(KINDS | TIMED)).flatmap(lambda kind: st.tuples(ruled(kind), ruled(kind)))
ALIKE = st.sampled_from(sorted(KINDS)).flatmap(
    lambda kind: st.tuples(ruled(kind), KINDS[kind][0]).map(lambda drawn: (drawn[0], replace(drawn[0], rules=drawn[1])))
)


class Library:
    """The files that every contract imports, without comments."""

    def __init__(self, descriptor_set: bytes) -> None:
        whole = FileDescriptorSet.FromString(descriptor_set)
        self.files = [file for file in whole.file if not file.name.startswith("iris/")]
        for file in self.files:
            file.ClearField("source_code_info")
        self.pool = pool_of(FileDescriptorSet(file=self.files).SerializeToString())


@pytest.fixture(scope="module")
def library(contract: Contract) -> Library:
    return Library(contract.descriptor_set)


def made(library: Library, *fields: RuledField) -> Contract:
    """A contract whose request and response have the fields x1, x2, ..."""
    imported = ["buf/validate/validate.proto", "google/protobuf/duration.proto", "google/protobuf/timestamp.proto"]
    file = FileDescriptorProto(name="test.proto", package="test.v1", syntax="proto3", dependency=imported)
    enum = file.enum_type.add(name="Kind")
    for number in range(4):
        enum.value.add(name=f"KIND_{number}", number=number)
    for name in ("Features", "Response"):
        message = file.message_type.add(name=name)
        for number, of in enumerate(fields, 1):
            one = message.field.add(name=f"x{number}", number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
            _declare(one, of)
            if of.optional:
                one.proto3_optional, one.oneof_index = True, len(message.oneof_decl)
                message.oneof_decl.add(name=f"_x{number}")
            set_rules(one, of.options(), library.pool)
    file.service.add(name="TestService").method.add(name="Predict", input_type=".test.v1.Features", output_type=".test.v1.Response")
    return load_set(FileDescriptorSet(file=[*library.files, file]))


def _declare(field: FieldDescriptorProto, of: RuledField) -> None:
    if of.kind == "repeated":
        field.label, field.type = FieldDescriptorProto.LABEL_REPEATED, FieldDescriptorProto.TYPE_DOUBLE
    elif of.kind in TIMED:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".google.protobuf.{of.kind.capitalize()}"
    else:
        field.type = getattr(FieldDescriptorProto, f"TYPE_{of.kind.upper()}")
    if of.kind == "enum":
        field.type_name = ".test.v1.Kind"


def refused(old: Contract, new: Contract, message: str, values: tuple[Any, ...]) -> list[Any]:
    """Fields of messages that the old contract accepts and the new one refuses."""
    found = []
    for fields in ({}, *({"x1": value} for value in values)):
        sent: Any = old.message(message)(**fields)
        read: Any = new.message(message).FromString(sent.SerializeToString())
        if not old.rules.violations(sent) and new.rules.violations(read):
            found.append(fields)
    return found


def breaks(old: Contract, new: Contract) -> set[str]:
    return {found.name for found in diff(old, new) if found.breaks}


@pytest.mark.slow
@settings(
    max_examples=tries(20, 1000), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(pair=PAIRS | ALIKE)
def test_refusing_an_accepted_value_is_breaking(library: Library, pair: tuple[RuledField, RuledField]) -> None:
    old, new = (made(library, side) for side in pair)
    values = pair[0].values
    if refused(old, new, "test.v1.Features", values):
        assert "test.v1.Features.x1" in breaks(old, new)
    if refused(new, old, "test.v1.Response", values):
        assert "test.v1.Response.x1" in breaks(old, new)


@st.composite
def loosened(draw: st.DrawFn) -> tuple[RuledField, RuledField]:
    """A field, and the same field with looser rules."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    tight = draw(ruled(kind))
    assume(tight.rules and tight.ignore != 3)
    rules = dict(tight.rules)
    low, high = rules.get("gt", rules.get("gte", -math.inf)), rules.get("lt", rules.get("lte", math.inf))
    assume(low <= high)
    name = draw(st.sampled_from(sorted(rules)))
    value = rules.pop(name)
    looser = {
        "lt": lambda: {"lte": value},
        "gt": lambda: {"gte": value},
        "in": lambda: {"in": [*value, *[one for one in KINDS[kind][1][:2] if one not in value]]},
        "not_in": lambda: {"not_in": value[1:]} if value[1:] else {},
        "const": lambda: {"in": [value]} if "in" not in rules and kind != "bool" else {},
        "min_len": lambda: {"min_len": max(0, value - 1)},
        "max_len": lambda: {"max_len": value + 1},
        "max_items": lambda: {"max_items": value + 1},
        "prefix": lambda: {"prefix": value[:1]},
        "contains": lambda: {"contains": value[1:]},
    }
    if name in looser and draw(st.booleans()):
        rules |= looser[name]()
    return tight, replace(tight, rules=rules)


@pytest.mark.slow
@settings(
    max_examples=tries(20, 1000), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(pair=loosened())
def test_plain_loosening_is_safe_for_requests(library: Library, pair: tuple[RuledField, RuledField]) -> None:
    tight, loose = (made(library, side) for side in pair)
    assert not refused(tight, loose, "test.v1.Features", pair[0].values)
    assert "test.v1.Features.x1" not in breaks(tight, loose)
    assert "test.v1.Response.x1" not in breaks(loose, tight)


def single_rules(kind: str) -> list[dict[str, Any]]:
    """Every single rule with every value it may have here; for numbers every range too."""
    texts = WORDS if kind == "string" else tuple(word.encode() for word in WORDS)
    values = {"double": FLOATS, "float": FLOATS, "string": texts, "bytes": texts, "bool": (False, True)}.get(kind, UNSIGNED)
    found: list[dict[str, Any]] = [{}, *({"const": value} for value in values)]
    if kind == "bool":
        return found
    found += [{name: [value, values[0]]} for name in ("in", "not_in") for value in values[1:]]
    if kind in ("string", "bytes"):
        found += [{name: value} for name in ("prefix", "suffix", "contains") for value in texts]
        found += [{name: size} for name in ("len", "min_len", "max_len") for size in SIZES]
    if kind == "string":
        found += [{"not_contains": word} for word in WORDS]
        found += [{name: size} for name in ("len_bytes", "min_bytes", "max_bytes") for size in SIZES]
        return [*found, {"pattern": "^a"}, {"pattern": "a$"}, {"email": True}]
    if kind == "enum":
        return [*found, {"defined_only": True}]
    if kind != "bytes":
        bounds = [("gte", "lte"), ("gt", "lt"), ("gte", "lt"), ("gt", "lte")]
        found += [{name: value} for name in ("gt", "gte", "lt", "lte") for value in values]
        found += [{low: a, high: b} for low, high in bounds for a in values[::2] for b in values[::2]]
    return [*found, {"finite": True}] if kind in ("double", "float") else found


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"repeated", "sfixed64", "int32"}))
def test_accepted_values_agree_with_protovalidate(library: Library, kind: str) -> None:
    """All pairs of single rules. Without opaque rules, `<=` also finds every pair that protovalidate finds."""
    ruled = [RuledField(kind, rules) for rules in single_rules(kind)]
    contract = made(library, *ruled)
    message: Any = contract.message("test.v1.Features")
    sets = []
    for held_by, of in zip(message.DESCRIPTOR.fields, ruled, strict=True):
        taken = {n for n, value in enumerate(KINDS[kind][1]) if not contract.rules.violations(message(**{held_by.name: value}))}
        sets.append((of.rules, accepted(kind, of.rules, held_by), taken))
    for rules, one, taken in sets:
        for others, other, held in sets:
            assert taken <= held or not one <= other, (rules, others)
            if rules.keys() == others.keys() and not one.opaque and kind not in ("double", "float"):
                assert one <= other or not taken <= held, (rules, others)
