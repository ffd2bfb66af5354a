"""Fast bounds never accept a row that protovalidate refuses, whatever the rules."""

import math
import sys
from typing import Any

import numpy as np
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foretell_contract.contract import Contract, load
from foretell_contract.custom_options import CustomOptions
from foretell_contract.rows.fast_bounds import FastBounds, row_counts
from foretell_contract.rows.row_layout import RowLayout
from foretell_contract.rules.rules import Rules
from tests.support.contract_files import RESPONSE, SERVICE, write_contract
from tests.support.messages import DOUBLE, FLOAT, NumberField, pool_of, row_and_batch

FLOAT_LARGEST = float(np.finfo(np.float32).max)
EDGES = [0.0, -0.0, 1.0, -1.0, 5e-324, float(np.float32(0.1)), 0.1, FLOAT_LARGEST, -FLOAT_LARGEST, 1e-45]
FARTHEST = [math.nan, math.inf, -math.inf, sys.float_info.max]


def around(value: float) -> list[float]:
    with np.errstate(over="ignore"):
        small = np.float32(value)
        beside = [float(np.nextafter(small, np.float32(side))) for side in (-1e38, 1e38)]
    return [value, math.nextafter(value, -math.inf), math.nextafter(value, math.inf), *beside]


def limits(kind: Any) -> st.SearchStrategy[float]:
    sampled = st.sampled_from([*EDGES, *([math.nan, math.inf, -math.inf] if kind == FLOAT else FARTHEST)])
    return st.one_of(st.sampled_from(EDGES), sampled, st.floats(-2, 2, width=32))


@st.composite
def plain_fields(draw: Any, number: int) -> NumberField:
    """At most one bound on each side, the lower below the upper."""
    kind = draw(st.sampled_from([DOUBLE, FLOAT]))
    low, high = sorted(draw(st.lists(st.floats(-4, 4, width=32), min_size=2, max_size=2, unique=True)))
    bounds = {draw(st.sampled_from(["gt", "gte"])): low, draw(st.sampled_from(["lt", "lte"])): high}
    bounds = {name: value for name, value in bounds.items() if draw(st.integers(0, 3))}
    rules = bounds | ({"finite": True} if draw(st.booleans()) else {})
    group = {"double" if kind == DOUBLE else "float": rules} if rules else {}
    return NumberField(number, kind, draw(st.booleans()), group)


@st.composite
def fields(draw: Any, number: int) -> NumberField:
    """Any mix of rules, even contradictory ones."""
    kind = draw(st.sampled_from([DOUBLE, FLOAT]))
    names = draw(st.sets(st.sampled_from(["gt", "gte", "lt", "lte", "const", "in", "not_in", "finite", "example"]), max_size=3))
    bounds: dict[str, Any] = {name: draw(limits(kind)) for name in names}
    bounds |= {name: [bounds[name]] for name in ("in", "not_in", "example") if name in bounds}
    bounds |= {"finite": draw(st.booleans())} if "finite" in bounds else {}
    rules: dict[str, Any] = {"double" if kind == DOUBLE else "float": bounds} if bounds else {}
    rules |= {"required": True} if draw(st.booleans()) else {}
    rules |= {"ignore": draw(st.integers(0, 3).filter(lambda n: n != 2))} if not draw(st.integers(0, 4)) else {}
    rules |= {"cel_expression": ["this < 0.5"]} if not draw(st.integers(0, 9)) else {}
    return NumberField(number, kind, draw(st.booleans()), rules)


def numbered(one: Any) -> Any:
    return st.integers(1, 3).flatmap(lambda count: st.tuples(*(one(number) for number in range(1, count + 1))))


def values_for(made: tuple[NumberField, ...]) -> list[float]:
    """Values at and next to each number in the rules."""
    numbers = [0.0, 1.0]
    for field in made:
        for group in field.rules.values():
            for value in group.values() if isinstance(group, dict) else ():
                numbers += value if isinstance(value, list) else [value]
    return [*FARTHEST, -0.0, *(near for number in numbers if math.isfinite(number) for near in around(float(number)))]


class Comparison:
    """Checks rows with protovalidate and with fast bounds."""

    def __init__(self, pool: DescriptorPool, made: tuple[NumberField, ...]) -> None:
        self.message, _ = row_and_batch(made, pool=pool)
        self.rules = Rules(CustomOptions(pool))
        self.bounds = FastBounds.of(self.message, self.rules)
        layout = RowLayout.of(self.message)
        assert layout is not None
        self.layout = layout

    def check(self, row: list[float]) -> tuple[bool, tuple[float, ...]]:
        """Whether protovalidate accepts the row, and the row with the precision of the message."""
        data = self.layout.encode(row)
        held = self.layout.row(data)
        assert held is not None
        return not self.rules.violations(GetMessageClass(self.message).FromString(data)), held


@pytest.fixture(scope="module")
def pool(contract: Contract) -> DescriptorPool:
    return pool_of(contract.descriptor_set)


def rows(made: tuple[NumberField, ...]) -> Any:
    values = st.one_of(st.sampled_from(values_for(made)), st.floats())
    return st.lists(st.lists(values, min_size=len(made), max_size=len(made)), min_size=1, max_size=12)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(numbered(fields), st.data())
def test_refused_rows_are_never_accepted(pool: DescriptorPool, made: Any, data: st.DataObject) -> None:
    compared = Comparison(pool, made)
    if compared.bounds is None:
        return
    checked = [compared.check(row) for row in data.draw(rows(made))]
    accepted = [compared.bounds.accepts_row(held) for _, held in checked]
    assert all(valid for (valid, _), passed in zip(checked, accepted, strict=True) if passed)
    assert [compared.bounds.accepts(np.array([held])) for _, held in checked] == accepted
    assert compared.bounds.accepts(np.array([held for _, held in checked])) == all(accepted)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(numbered(plain_fields), st.data())
def test_plain_bounds_accept_every_valid_row(pool: DescriptorPool, made: Any, data: st.DataObject) -> None:
    compared = Comparison(pool, made)
    assert compared.bounds is not None
    for row in data.draw(rows(made)):
        valid, held = compared.check(row)
        if not any(map(math.isnan, held)):
            assert compared.bounds.accepts_row(held) == valid
            assert compared.bounds.accepts(np.array([held])) == valid


UNKNOWN = """
message Features { optional double x = 1; }
message Other {
  message Cel { optional double x = 1 [(buf.validate.field).cel = {id: "a", message: "b", expression: "this < 1.0"}]; }
  message Expression { optional double x = 1 [(buf.validate.field).cel_expression = "this < 1.0"]; }
  message Whole { optional double x = 1; option (buf.validate.message).cel_expression = "this.x < 1.0"; }
  message Either {
    double x = 1; double y = 2;
    option (buf.validate.message).oneof = { fields: ["x", "y"] };
  }
  message Must { oneof must { option (buf.validate.oneof).required = true; double x = 1; } }
  message Ignored { double x = 1 [(buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE, (buf.validate.field).double.gt = 1]; }
  message Constant { optional double x = 1 [(buf.validate.field).double.const = 1]; }
  message Listed { optional double x = 1 [(buf.validate.field).double = {in: [1, 2]}]; }
  message Crossed { optional double x = 1 [(buf.validate.field).double = {gt: 2, lt: 1}]; }
  message Zero { double x = 1 [(buf.validate.field).required = true]; }
  message Infinite { optional double x = 1 [(buf.validate.field).double.gt = inf]; }
  message Unbounded { optional double x = 1 [(buf.validate.field).double = {gte: -inf, finite: true}]; }
  message Own { optional double x = 1 [(buf.validate.field).double.(test.v1.finite) = true]; }
  message List { repeated double x = 1; }
}
message Batches {
  message Free { repeated Features rows = 1; }
  message Few { repeated Features rows = 1 [(buf.validate.field).repeated = {min_items: 2, max_items: 3}]; }
  message Cel { repeated Features rows = 1 [(buf.validate.field).cel_expression = "size(this) != 2"]; }
  message Whole { repeated Features rows = 1; option (buf.validate.message).cel_expression = "size(this.rows) != 2"; }
  message Items { repeated Features rows = 1 [(buf.validate.field).repeated.items.ignore = IGNORE_ALWAYS]; }
  message Required { repeated Features rows = 1 [(buf.validate.field).required = true]; }
}
"""
OWN_RULE = """
extend buf.validate.DoubleRules {
  optional bool finite = 12345 [(buf.validate.predefined).cel = {id: "tens", message: "tens", expression: "this == 10.0"}];
}
"""


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    root = write_contract(tmp_path_factory.mktemp("other"), SERVICE, UNKNOWN, RESPONSE)
    file = root / "test/v1/test.proto"
    file.write_text(file.read_text().replace('import "buf', 'import "test/v1/own.proto";\nimport "buf', 1))
    own = f'syntax = "proto2"; package test.v1; import "buf/validate/validate.proto"; {OWN_RULE}'
    (root / "test/v1/own.proto").write_text(own)
    return load(root)


def described(contract: Contract, name: str) -> Any:
    return contract.message(f"test.v1.{name}").DESCRIPTOR


@pytest.mark.parametrize(
    "name",
    [
        "Cel",
        "Expression",
        "Whole",
        "Either",
        "Must",
        "Ignored",
        "Constant",
        "Listed",
        "Crossed",
        "Zero",
        "Infinite",
        "Unbounded",
        "Own",
        "List",
    ],
)
def test_messages_with_other_rules_have_no_bounds(other: Contract, name: str) -> None:
    assert FastBounds.of(described(other, f"Other.{name}"), other.rules) is None


def test_row_counts_follow_min_and_max_items(other: Contract, contract: Contract) -> None:
    few = row_counts(described(other, "Batches.Few"), other.rules)
    assert few is not None
    assert [n for n in range(6) if n in few] == [2, 3]
    free = row_counts(described(other, "Batches.Free"), other.rules)
    assert free is not None
    assert 0 in free
    assert 10**9 in free
    required = row_counts(described(other, "Batches.Required"), other.rules)
    assert required is not None
    assert 0 not in required
    assert 1 in required
    assert row_counts(contract.services[0].methods[1].input, contract.rules) == range(1, 10_001)


@pytest.mark.parametrize("name", ["Cel", "Whole", "Items"])
def test_batches_with_other_rules_have_no_counts(other: Contract, name: str) -> None:
    assert row_counts(described(other, f"Batches.{name}"), other.rules) is None


def test_nan_is_not_accepted_without_bounds(other: Contract) -> None:
    bounds = FastBounds.of(described(other, "Features"), other.rules)
    assert bounds is not None
    assert [bounds.accepts_row([value]) for value in (math.inf, math.nan, -1e300)] == [True, False, True]
    assert not bounds.accepts(np.array([[0.0], [math.nan]]))
