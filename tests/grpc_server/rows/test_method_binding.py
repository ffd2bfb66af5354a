"""Decoding bytes straight into rows, and encoding outputs straight into bytes, agree with the way over protobuf messages."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretell_contract.contract import Contract, load
from foretell_contract.rules.rules import VALID
from grpc_server.rows.method_binding import MethodBinding
from grpc_server.rows.outputs import Output
from tests.support.contract_files import write_contract
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


LABELS = """
    service TestService {
      rpc Predict(Features) returns (Response);
      rpc PredictBatch(Many) returns (Answers);
    }
    message Features { double x = 1; }
    message Many { repeated Features rows = 1; }
    message Answers { repeated Response rows = 1; }
    enum Form { FORM_UNSPECIFIED = 0; FORM_WIDE = 7; FORM_LONG = 2; }
    message Response {
      double long_probability = 4;
      optional double wide_probability = 1;
"""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("Form form = 2;", "long", "wide"), id="enum"),
        pytest.param(('bool label = 2 [(foretell.v1.output) = {label_is: "wide"}];', "long", "wide"), id="bool"),
        pytest.param(("optional int32 label = 2;", "0", "127"), id="integers_of_one_byte"),
        pytest.param(("optional int64 label = 2;", "-1", "128"), id="larger_integers"),
        pytest.param(("string label = 2;", "long", "wide"), id="text"),
    ],
)
def labelled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[MethodBinding]:
    """The methods of a contract whose response has such a field beside the probability of each class."""
    field, *classes = request.param
    long, wide = (f'[(foretell.v1.output).probability_of = "{name}"]' for name in classes)
    message = LABELS.replace("long_probability = 4", f"long_probability = 4 {long}")
    message = message.replace("wide_probability = 1", f"wide_probability = 1 {wide}")
    contract = load(write_contract(tmp_path_factory.mktemp("labels"), message, field, "}"))
    outputs = (Output("label"), Output("probability", 0), Output("probability", 1))
    return [MethodBinding(contract, method, ("x",), classes, outputs=outputs) for method in contract.services[0].methods]


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5))
def test_encoded_labels_equal_the_response_message(labelled: list[MethodBinding], outputs: list[tuple[float, ...]]) -> None:
    for binding in labelled:
        matrix = np.array(outputs if binding.method.answers else outputs[:1])
        assert binding.method.response.FromString(binding.encode(matrix)) == binding.response(matrix)
        assert binding.method.response.FromString(binding.encode(matrix.tolist())) == binding.response(matrix)
