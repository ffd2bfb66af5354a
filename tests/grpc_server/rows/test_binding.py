"""The short way from bytes to rows and back gives what the long way over messages gives, or leaves it to that."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretell_contract.contract import Contract
from foretell_contract.rules.rules import VALID
from grpc_server.rows.binding import Binding
from tests.support.iris import CLASSES, COLUMNS

SHUFFLED = ("petal_width", "sepal_length", "petal_length", "sepal_width")
values = st.one_of(st.floats(0, 1), st.sampled_from([0.0, -0.0, 1.0, math.nextafter(1, 2), -1e-300, math.nan, math.inf]), st.none())
rows = st.fixed_dictionaries(dict.fromkeys(COLUMNS, values))
clean_rows = st.fixed_dictionaries(dict.fromkeys(COLUMNS, st.floats(0, 1)))


def bound(contract: Contract, method: str, columns: tuple[str, ...] = SHUFFLED) -> Binding:
    found = next(m for m in contract.services[0].methods if m.name == method)
    return Binding(contract, found, columns, CLASSES[::-1])


def held_against_messages(contract: Contract, binding: Binding, request: Any) -> None:
    clear = binding.clear_rows(request.SerializeToString())
    valid = contract.rules.validate(request, binding.method.rows, 1) is VALID
    assert (clear is not None) == valid
    if clear is not None:
        assert np.array_equal(np.asarray(clear), binding.matrix(binding.rows(request)))


@pytest.mark.parametrize("columns", [COLUMNS, SHUFFLED])
@given(row=st.one_of(rows, clean_rows))
def test_a_row_is_clear_where_it_is_valid_and_has_the_values_of_its_message(
    contract: Contract, columns: tuple[str, ...], row: dict[str, float | None]
) -> None:
    binding = bound(contract, "Predict", columns)
    held_against_messages(contract, binding, binding.method.request(**row))


@settings(deadline=None)
@given(batch=st.one_of(st.lists(clean_rows, max_size=20), st.lists(rows, max_size=5)))
def test_a_batch_is_clear_where_it_is_valid_and_has_the_values_of_its_message(contract: Contract, batch: list[Any]) -> None:
    binding = bound(contract, "PredictBatch")
    held_against_messages(contract, binding, binding.method.request(rows=batch))


@given(st.binary(max_size=60))
def test_bytes_that_are_no_canonical_message_are_left_to_protobuf(contract: Contract, data: bytes) -> None:
    binding = bound(contract, "Predict")
    clear = binding.clear_rows(data)
    assert clear is None or binding.method.request.FromString(data).SerializeToString() == data


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=5))
def test_answers_have_the_values_of_their_messages(contract: Contract, outputs: list[tuple[float, ...]]) -> None:
    for method, matrix in (("Predict", np.array(outputs[:1])), ("PredictBatch", np.array(outputs))):
        binding = bound(contract, method)
        assert binding.method.response.FromString(binding.encode(matrix)) == binding.response(matrix)
