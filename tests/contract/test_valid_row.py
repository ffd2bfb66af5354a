"""A row that keeps the rules is found where the examples do not give one, and it is one that JSON can say."""

import math
from pathlib import Path
from typing import Any

import pytest

from contract.contract import load
from contract.valid_row import valid_row
from tests.contracts import RESPONSE, SERVICE, features, write_contract


@pytest.mark.parametrize(
    "field",
    [
        "double x",
        "double x [(buf.validate.field).required = true]",
        "float x [(buf.validate.field) = {required: true, float: {not_in: [1]}}]",
        "double x [(buf.validate.field).double.lt = -3]",
        "double x [(buf.validate.field).double.gt = 1e7]",
    ],
)
def test_a_number_that_may_be_any_is_finite(tmp_path: Path, field: str) -> None:
    contract = load(write_contract(tmp_path, SERVICE, features(field), RESPONSE))
    row: Any = valid_row(contract.services[0].methods[0].input, contract.rules)
    assert not contract.rules.violations(row)
    assert math.isfinite(row.x)
