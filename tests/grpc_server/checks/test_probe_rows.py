"""Probe rows: their ranges from the contract and golden rows, their corners, and the thresholds of the model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretell_contract.contract import Contract, load
from grpc_server.checks.probe_rows import ColumnRanges, column_ranges, probe_rows
from grpc_server.errors import ModelError
from grpc_server.rows.mixed_rows import Matrix
from grpc_server.store.manifest import GoldenRow
from tests.support.contract_files import RESPONSE, SERVICE, features, write_contract
from tests.support.effort import tries
from tests.support.fakes import even
from tests.support.iris import COLUMNS

NEITHER = np.array([False, False])
UNIT = ColumnRanges(np.zeros(2), np.ones(2), NEITHER, NEITHER)


def bounded(*fields: str, root: Path) -> Contract:
    """A contract with the columns c0, c1, ...; each of `fields` is a type and its rules."""
    parts = [field.partition(" ") for field in fields]
    declared = [f"{kind} c{number} [(buf.validate.field) = {{{rules}}}]" for number, (kind, _, rules) in enumerate(parts)]
    return load(write_contract(root, SERVICE, features(*declared), RESPONSE))


def golden(*values: float) -> tuple[GoldenRow, ...]:
    return tuple(GoldenRow(features={"c0": value}, probabilities={}) for value in values)


def test_probe_rows_include_every_corner(contract: Contract) -> None:
    found = column_ranges(COLUMNS, contract, "iris", ())
    assert (found.low.tolist(), found.high.tolist(), found.whole.any()) == ([0.0] * 4, [1.0] * 4, False)
    rows = probe_rows(found, even)
    assert len(rows) > 4096
    assert rows.min() == 0.0
    assert rows.max() == 1.0
    assert len(np.unique(rows[((rows == 0) | (rows == 1)).all(axis=1)], axis=0)) == 16
    assert (probe_rows(found, even) == rows).all()


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [
        ("double double: {gte: -2, lte: 3.5}", -2.0, 3.5),
        ("double double: {gt: 0, lt: 1}", np.nextafter(0.0, 1.0), np.nextafter(1.0, 0.0)),
        ("int32 int32: {gt: 0, lt: 10}", 1.0, 9.0),
        ("uint64 uint64: {in: [3, 1, 7]}", 1.0, 7.0),
        ("double double: {const: 4}", 4.0, 4.0),
        ("bool bool: {}", 0.0, 1.0),
        ("double double: {gte: 1}", 1.0, 14.0),
        ("double double: {gte: 9, lte: 3}", 2.0, 14.0),
        ("double ignore: IGNORE_ALWAYS, double: {gte: 0, lte: 1}", 2.0, 14.0),
        ("double double: {}", 2.0, 14.0),
    ],
)
def test_golden_rows_bound_open_columns(tmp_path: Path, field: str, low: float, high: float) -> None:
    found = column_ranges(("c0",), bounded(field, root=tmp_path), "test", golden(5, 11))
    assert (found.low.tolist(), found.high.tolist()) == ([low], [high])


def test_golden_rows_bound_columns_without_a_contract() -> None:
    found = column_ranges(("c0",), None, "test", golden(4.0))
    assert (found.low.tolist(), found.high.tolist()) == ([2.0], [6.0])
    with pytest.raises(ModelError, match=r"the column 'c0' has no range: bound it in the contract \(--protos\), or pass"):
        column_ranges(("c0",), None, "test", ())


def test_contract_of_another_model_bounds_nothing(contract: Contract) -> None:
    with pytest.raises(ModelError, match="the column 'sepal_length' has no range"):
        column_ranges(COLUMNS, contract, "rose", ())


def test_versions_of_a_contract_widen_the_range(tmp_path: Path) -> None:
    for version, rules in (("v1", "gte: 0, lte: 5"), ("v2", "gte: 2, lte: 9")):
        field = features(f"double c0 [(buf.validate.field).double = {{{rules}}}]")
        write_contract(tmp_path, SERVICE, field, RESPONSE, package=f"test.{version}")
    found = column_ranges(("c0",), load(tmp_path), "test", ())
    assert (found.low.tolist(), found.high.tolist()) == ([0.0], [9.0])


def test_whole_numbers_stay_whole(tmp_path: Path) -> None:
    contract = bounded("int32 int32: {gte: -3, lte: 3}", "bool bool: {}", root=tmp_path)
    rows = probe_rows(column_ranges(("c0", "c1"), contract, "test", ()), step_at(0.5))
    assert (rows == np.rint(rows)).all()
    assert set(rows[:, 0]) == set(range(-3, 4))


def step_at(threshold: float) -> Callable[[Matrix], Matrix]:
    """A tree with one split."""
    return lambda rows: np.stack([rows[:, 0] <= threshold, rows[:, 0] > threshold], axis=1).astype(float)


@given(st.floats(0.01, 0.99))
@settings(max_examples=tries(8, 200))
def test_probe_rows_surround_each_threshold(threshold: float) -> None:
    first = probe_rows(UNIT, step_at(threshold))[:, 0]
    assert threshold in first
    assert np.nextafter(threshold, 1.0) in first


def test_border_across_columns_adds_no_rows() -> None:
    def border(rows: Matrix) -> Matrix:
        return np.stack([rows.sum(axis=1) < 1, rows.sum(axis=1) >= 1], axis=1).astype(float)

    assert len(probe_rows(UNIT, border)) == len(probe_rows(UNIT, even))
