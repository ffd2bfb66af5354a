"""Flattening a message: column names, which may be missing, and fields that cannot become columns."""

from pathlib import Path
from typing import Any

import pytest

from foretell_contract.contract import Contract, load
from foretell_contract.errors import ContractError
from foretell_contract.rows.columns import leaves
from tests.support.contract_files import RESPONSE, SERVICE, WELL_KNOWN, features, write_contract

MUST = "[(buf.validate.field).required = true]"
INNER = "message Inner { optional double x = 1 [(buf.validate.field).required = true]; optional double y = 2; }"
TWO = "repeated = {min_items: 2, max_items: 2}"
ENTRIES = "map = {keys: {string: {in: ['n', 's']}}"


def loaded(root: Path, *parts: str) -> Contract:
    return load(write_contract(root, WELL_KNOWN, SERVICE, RESPONSE, *parts))


def flat(root: Path, *fields: str) -> list[tuple[str, str, tuple[str, ...], bool]]:
    contract = loaded(root, 'import "google/protobuf/any.proto";', INNER, features("optional double other", *fields))
    found = leaves(contract.services[0].methods[0].features, contract.rules, contract.options)
    return [(leaf.path, leaf.kind.name, leaf.columns, leaf.nullable) for leaf in found[1:]]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("double a", ("a", "NUMBER", ("a",), False)),
        ("optional sint64 a", ("a", "INTEGER", ("a",), True)),
        (f"optional bool a {MUST}", ("a", "BOOL", ("a",), False)),
        ("optional double a [(buf.validate.field) = {required: true, ignore: IGNORE_ALWAYS}]", ("a", "NUMBER", ("a",), True)),
        ('string a [(foretell.v1.column) = "A (cm)"]', ("a", "TEXT", ("A (cm)",), False)),
        ("google.protobuf.Timestamp a", ("a", "TIME", ("a",), True)),
        (f"google.protobuf.Duration a {MUST}", ("a", "DURATION", ("a",), False)),
        ("google.protobuf.StringValue a", ("a", "TEXT", ("a",), True)),
        ("bytes a", ("a", "BYTES", ("a",), False)),
        ("bytes a [(buf.validate.field).bytes.len = 2]", ("a", "BYTES", ("a[0]", "a[1]"), False)),
        (
            "bytes a [(buf.validate.field) = {bytes: {len: 2}, ignore: IGNORE_IF_ZERO_VALUE}]",
            ("a", "BYTES", ("a[0]", "a[1]"), True),
        ),
        (f"repeated float a [(buf.validate.field).{TWO}]", ("a", "NUMBER", ("a[0]", "a[1]"), False)),
        (
            f'repeated float a [(foretell.v1.column) = "px{{}}", (buf.validate.field).{TWO}]',
            ("a", "NUMBER", ("px0", "px1"), False),
        ),
        (f'repeated float a [(foretell.v1.column) = "px", (buf.validate.field).{TWO}]', ("a", "NUMBER", ("px[0]", "px[1]"), False)),
        (
            "repeated float a [(buf.validate.field) = {repeated: {min_items: 1, max_items: 1}, ignore: IGNORE_IF_ZERO_VALUE}]",
            ("a", "NUMBER", ("a[0]",), True),
        ),
        (f"map<string, double> a [(buf.validate.field).{ENTRIES}}}]", ("a", "NUMBER", ("a[n]", "a[s]"), True)),
        (f"map<string, int32> a [(buf.validate.field).{ENTRIES}, min_pairs: 2}}]", ("a", "INTEGER", ("a[n]", "a[s]"), False)),
        (
            'map<int32, double> a [(foretell.v1.column) = "{}", (buf.validate.field).map.keys.int32 = {in: [7, -1]}]',
            ("a", "NUMBER", ("7", "-1"), True),
        ),
        ("map<bool, double> a", ("a", "NUMBER", ("a[false]", "a[true]"), True)),
    ],
)
def test_field_becomes_columns(tmp_path: Path, field: str, expected: Any) -> None:
    assert flat(tmp_path, field.replace("'", '"')) == [expected]


@pytest.mark.parametrize(
    ("field", "columns", "nullable"),
    [
        (f"Inner a {MUST}", ("a.x", "a.y"), (False, True)),
        ("Inner a", ("a.x", "a.y"), (True, True)),
        ('Inner a [(foretell.v1.column) = "{}", (buf.validate.field).required = true]', ("x", "y"), (False, True)),
        ('Inner a [(foretell.v1.column) = "A", (buf.validate.field).required = true]', ("A.x", "A.y"), (False, True)),
        ("Inner a [(buf.validate.field) = {required: true, ignore: IGNORE_ALWAYS}]", ("a.x", "a.y"), (True, True)),
    ],
)
def test_nested_message_is_flattened(tmp_path: Path, field: str, columns: tuple[str, ...], nullable: tuple[bool, ...]) -> None:
    found = flat(tmp_path, field)
    assert [(path, names, missing) for path, _, names, missing in found] == [
        ("a.x", columns[:1], nullable[0]),
        ("a.y", columns[1:], nullable[1]),
    ]


def test_oneof_members_are_nullable(tmp_path: Path) -> None:
    contract = loaded(
        tmp_path, "message Features { oneof o { option (buf.validate.oneof).required = true; double a = 1; string b = 2; } }"
    )
    found = leaves(contract.services[0].methods[0].features, contract.rules, contract.options)
    assert [(leaf.path, leaf.nullable) for leaf in found] == [("a", True), ("b", True)]


@pytest.mark.parametrize(
    ("field", "says"),
    [
        (
            "repeated double a",
            "test.v1.Features.a is a list without a fixed length, but each item is a column; "
            "set `repeated.min_items` and `repeated.max_items` to one number",
        ),
        (
            "repeated double a [(buf.validate.field).repeated = {min_items: 1, max_items: 2}]",
            "test.v1.Features.a is a list without a fixed length, but each item is a column; "
            "set `repeated.min_items` and `repeated.max_items` to one number",
        ),
        ("google.protobuf.Any a", "test.v1.Features.a is a google.protobuf.Any, which no model takes; declare it as another type"),
        (
            "map<string, double> a",
            "test.v1.Features.a is a map with arbitrary keys, but each key is a column; list the keys in `map.keys.string.in`",
        ),
        (
            "map<sint32, double> a",
            "test.v1.Features.a is a map with arbitrary keys, but each key is a column; list the keys in `map.keys.sint32.in`",
        ),
        (
            "map<string, Inner> a",
            "test.v1.Features.a is a map of messages, which cannot become columns; declare a map of single values",
        ),
        (
            "repeated Inner a",
            "test.v1.Features.a repeats a message, which cannot become columns; declare single fields or a list of numbers",
        ),
        (
            "map<string, google.protobuf.Duration> a [(buf.validate.field).map.keys.string.in = 'x']",
            "test.v1.Features.a is a map of times, which no model takes; give each time a field of its own",
        ),
        (
            "repeated double a; google.protobuf.Any b",
            "test.v1.Features.a is a list without a fixed length, but each item is a column; set `repeated.min_items` "
            "and `repeated.max_items` to one number; test.v1.Features.b is a google.protobuf.Any, "
            "which no model takes; declare it as another type",
        ),
        (
            'double a [(foretell.v1.column) = "other"]',
            "test.v1.Features.a and other are both bound to 'other'; give each a column of its own",
        ),
    ],
)
def test_unflattenable_field_is_refused(tmp_path: Path, field: str, says: str) -> None:
    with pytest.raises(ContractError) as refused:
        flat(tmp_path, *field.split("; "))
    assert str(refused.value) == says
