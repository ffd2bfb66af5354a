"""Decoding bytes straight into rows, and encoding outputs straight into bytes, agree with the way over protobuf messages."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretell_contract.contract import Contract
from foretell_contract.rules.rules import VALID
from grpc_server.rows.method_binding import MethodBinding
from tests.support.iris import CLASSES, COLUMNS

SHUFFLED = ("petal_width", "sepal_length", "petal_length", "sepal_width")
values = st.one_of(st.floats(0, 1), st.sampled_from([0.0, -0.0, 1.0, math.nextafter(1, 2), -1e-300, math.nan, math.inf]), st.none())
rows = st.fixed_dictionaries(dict.fromkeys(COLUMNS, values))
clean_rows = st.fixed_dictionaries(dict.fromkeys(COLUMNS, st.floats(0, 1)))


def bound(contract: Contract, method: str, columns: tuple[str, ...] = SHUFFLED) -> MethodBinding:
    found = next(m for m in contract.services[0].methods if m.name == method)
    return MethodBinding(contract, found, columns, CLASSES[::-1])


def assert_agrees_with_messages(contract: Contract, binding: MethodBinding, request: Any) -> None:
    fast = binding.fast_rows(request.SerializeToString())
    valid = contract.rules.validate(request, binding.method.rows, 1) is VALID
    assert (fast is not None) == valid
    if fast is not None:
        assert np.array_equal(np.asarray(fast), binding.model_rows(binding.row_messages(request)))


@pytest.mark.parametrize("columns", [COLUMNS, SHUFFLED])
@given(row=st.one_of(rows, clean_rows))
def test_fast_row_equals_parsed_row(contract: Contract, columns: tuple[str, ...], row: dict[str, float | None]) -> None:
    binding = bound(contract, "Predict", columns)
    assert_agrees_with_messages(contract, binding, binding.method.request(**row))


@settings(deadline=None)
@given(batch=st.one_of(st.lists(clean_rows, max_size=20), st.lists(rows, max_size=5)))
def test_fast_batch_equals_parsed_batch(contract: Contract, batch: list[Any]) -> None:
    binding = bound(contract, "PredictBatch")
    assert_agrees_with_messages(contract, binding, binding.method.request(rows=batch))


@given(st.binary(max_size=60))
def test_non_canonical_bytes_have_no_fast_rows(contract: Contract, data: bytes) -> None:
    binding = bound(contract, "Predict")
    fast = binding.fast_rows(data)
    assert fast is None or binding.method.request.FromString(data).SerializeToString() == data


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=5))
def test_encoded_outputs_equal_the_response_message(contract: Contract, outputs: list[tuple[float, ...]]) -> None:
    for method, matrix in (("Predict", np.array(outputs[:1])), ("PredictBatch", np.array(outputs))):
        binding = bound(contract, method)
        assert binding.method.response.FromString(binding.encode(matrix)) == binding.response(matrix)
