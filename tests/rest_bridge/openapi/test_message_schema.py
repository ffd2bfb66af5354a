"""The published schema accepts exactly the values that the validator accepts; contracts and values are generated."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from foretell_contract.contract import Contract, load
from rest_bridge.json.codec import Codec
from rest_bridge.json.request_problems import RequestProblems
from rest_bridge.json.scalars import Form
from rest_bridge.openapi.message_schema import Schemas
from tests.support.contract_files import RESPONSE, SERVICE, write_contract
from tests.support.effort import tries
from tests.support.iris import EXAMPLE

INTEGERS = ("int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64")
FLOATS = ("double", "float")
MOST_SECONDS = 315_576_000_000

# Halves are exact in float and double alike, so that no verdict hangs on rounding.
halves = st.integers(-8, 8).map(lambda n: n / 2)
whole = st.integers(-4, 4)


@st.composite
def fields(draw: Any) -> str:
    """One field with any presence and any mix of the rules that JSON Schema can express."""
    kind = draw(st.sampled_from([*FLOATS * 3, *INTEGERS]))
    numbers = halves if kind in FLOATS else whole.map(abs) if kind.startswith(("u", "fixed")) else whole
    names = [draw(st.sampled_from(["gt", "gte"])), draw(st.sampled_from(["lt", "lte"]))]
    rules = [f"{name}: {draw(numbers)}" for name in names if draw(st.booleans())]
    rules += [f"const: {draw(numbers)}"] if draw(st.integers(0, 5)) == 0 else []
    lists = [name for name in ("in", "not_in") if draw(st.integers(0, 3)) == 0]
    rules += [f"{name}: {draw(st.lists(numbers, min_size=1, max_size=3))}" for name in lists]
    rules += ["finite: true"] if kind in FLOATS and draw(st.booleans()) else []
    options = [f"{kind}: {{{', '.join(rules)}}}"] if rules else []
    if draw(st.booleans()):
        options.append("required: true")
    if draw(st.integers(0, 3)) == 0:
        options.append(f"ignore: {draw(st.sampled_from(['IGNORE_IF_ZERO_VALUE', 'IGNORE_ALWAYS']))}")
    presence = draw(st.sampled_from(["", "optional "]))
    return f"{presence}{kind} x = 1" + (f" [(buf.validate.field) = {{{', '.join(options)}}}]" if options else "")


values = st.one_of(
    halves,
    whole,
    st.sampled_from([None, True, False, "1", [], {}, 0.25, 1e300, -1e300, 2**31, 2**32, 2**63, 2**64, -(2**31) - 1, 1e40]),
)
documents = st.one_of(st.just({}), values.map(lambda value: {"x": value}), st.just({"y": 1}), values)


def accepted(contract: Contract, message: Any, document: Any) -> bool:
    """Whether the document fits the message and keeps its rules."""
    found = RequestProblems()
    read = Codec(message, contract.rules).read(document, found)
    return not found.count and not contract.rules.violations(read)


@pytest.mark.slow
@settings(deadline=None, max_examples=tries(6, 200), phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(fields(), min_size=20, max_size=20), st.lists(documents, min_size=30, max_size=30))
def test_schema_agrees_with_the_validator(declared: list[str], tried: list[Any]) -> None:
    messages = [f"message M{i} {{ {field}; }}" for i, field in enumerate(declared)]
    features = "message Features { optional double x = 1; }"
    with tempfile.TemporaryDirectory() as folder:
        contract = load(write_contract(Path(folder), SERVICE, features, RESPONSE, *messages))
    for number, field in enumerate(declared):
        message = contract.message(f"test.v1.M{number}").DESCRIPTOR
        schema = Schemas(contract).of(message, Form.REQUEST)  # type: ignore[arg-type]  # the stub widens DESCRIPTOR
        Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator(schema)
        for document in tried:
            shown, taken = validator.is_valid(document), accepted(contract, message, document)
            text_of_a_long = document == {"x": "1"} and "64" in field  # Taken as well, but not always shown.
            assert shown == taken or (text_of_a_long and taken), (field, document, schema)


def test_batch_schema_bounds_its_rows(contract: Contract) -> None:
    batch, row = contract.services[0].methods[1].input, contract.services[0].methods[0].input
    schema = Schemas(contract).of(batch, Form.REQUEST)
    rows = schema["properties"]["rows"]
    assert (rows["minItems"], rows["maxItems"]) == (1, 10_000)
    assert rows["items"] == {"$ref": f"#/components/schemas/{row.full_name}"}
    assert schema["examples"] == [{"rows": [EXAMPLE]}]


def test_field_has_comment_bounds_and_examples(contract: Contract) -> None:
    schema = Schemas(contract).of(contract.services[0].methods[0].input, Form.REQUEST)
    shown = schema["properties"]["petal_width"]
    assert shown["description"].startswith("Width of the petal, min-max scaled")
    assert {name: shown[name] for name in ("type", "minimum", "maximum", "examples")} == {
        "type": "number",
        "minimum": 0.0,
        "maximum": 1.0,
        "examples": [1.0],
    }
    assert schema["required"] == list(EXAMPLE)
    assert schema["examples"] == [EXAMPLE]


def test_response_requires_all_fields(contract: Contract) -> None:
    schema = Schemas(contract).of(contract.services[0].methods[0].output, Form.RESPONSE)
    assert schema["required"] == ["setosa_probability", "versicolor_probability", "virginica_probability"]
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("google.protobuf.FieldMask x = 1", "Features.x is a google.protobuf.FieldMask, which the REST bridge cannot carry"),
        (
            "optional double y = 2; repeated google.protobuf.Any x = 1",
            "Features.x is a google.protobuf.Any, which the REST bridge cannot carry",
        ),
    ],
)
def test_field_without_json_is_refused(tmp_path: Path, field: str, says: str) -> None:
    from foretell_contract.errors import ContractError

    imports = 'import "google/protobuf/any.proto"; import "google/protobuf/field_mask.proto";'
    contract = load(write_contract(tmp_path, imports, SERVICE, f"message Features {{ {field}; }}", RESPONSE))
    with pytest.raises(ContractError, match=says):
        Codec(contract.services[0].methods[0].input, contract.rules)


def test_cel_rules_are_described(tmp_path: Path) -> None:
    message = """
        // One row.
        message Features {
          // A number.
          optional double x = 1 [(buf.validate.field).cel = {id: "a", message: "x must be odd", expression: "this > 1.0"}];
          option (buf.validate.message).cel = {id: "b" message: "x must be prime" expression: "this.x < 9.0"};
        }
    """
    contract = load(write_contract(tmp_path, SERVICE, message, RESPONSE))
    schema = Schemas(contract).of(contract.services[0].methods[0].input, Form.REQUEST)
    assert schema["description"] == "One row.\n\nx must be prime"
    assert schema["properties"]["x"]["description"] == "A number.\n\nx must be odd"


@pytest.fixture(scope="module")
def lengths(tmp_path_factory: pytest.TempPathFactory) -> tuple[Codec, Draft202012Validator]:
    features = 'import "google/protobuf/duration.proto"; message Features { google.protobuf.Duration x = 1; }'
    contract = load(write_contract(tmp_path_factory.mktemp("lengths"), features, SERVICE, RESPONSE))
    method = contract.services[0].methods[0]
    return Codec(method.input, contract.rules), Draft202012Validator(Schemas(contract).of(method.input, Form.REQUEST))


@given(
    st.one_of(st.integers(0, 10**12), st.integers(2, 11).flatmap(lambda n: st.integers(-(10**n), 10**n).map(MOST_SECONDS.__add__)))
)
@example(MOST_SECONDS)
@example(MOST_SECONDS + 1)
def test_durations_are_accepted_up_to_10000_years(lengths: tuple[Codec, Draft202012Validator], seconds: int) -> None:
    codec, schema = lengths
    for text in (f"{seconds}s", f"-{seconds}.5s", f"{seconds:012d}s"):
        problems = RequestProblems()
        codec.read({"x": text}, problems)
        assert schema.is_valid({"x": text}) is not bool(problems.count), text


def test_ignored_false_is_allowed(tmp_path: Path) -> None:
    field = "message Features { bool a = 1 [(buf.validate.field) = {bool: {const: true}, ignore: IGNORE_IF_ZERO_VALUE}]; }"
    contract = load(write_contract(tmp_path, SERVICE, field, RESPONSE))
    validator = Draft202012Validator(Schemas(contract).of(contract.services[0].methods[0].input, Form.REQUEST))
    assert validator.is_valid({"a": False})
    assert validator.is_valid({"a": True})
    assert not validator.is_valid({"a": 0})
