"""The Codec with values of every kind: reading, writing, and problems with their places."""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from foretell_contract.contract import Contract, load
from foretell_contract.rules.rules import Violation
from rest_bridge.json.codec import Codec, document_of, request_example
from rest_bridge.json.grpc_to_http import locate
from rest_bridge.json.request_problems import RequestProblems
from rest_bridge.json.scalars import Form
from rest_bridge.json.strict_reader import read_document
from rest_bridge.openapi.message_schema import Schemas
from tests.support.contract_files import RESPONSE, SERVICE, WELL_KNOWN, write_contract

NO_TIME = "must be a time by RFC 3339 such as 2026-01-31T12:00:00Z or 2026-01-31T12:00:00+02:00, with an offset of at most 23:59"
FEATURES = """
enum Color { COLOR_UNSPECIFIED = 0; COLOR_RED = 1; COLOR_BLUE = 2; }
message In { optional double x = 1; }
message Features {
  int64 long = 1 [(buf.validate.field).int64.example = 3];
  uint32 short = 2;
  bool flag = 3;
  string text = 4;
  bytes data = 5 [(buf.validate.field).bytes.example = "abc"];
  Color color = 6 [(buf.validate.field).enum.example = 2];
  google.protobuf.Timestamp at = 7 [(buf.validate.field).timestamp = {gte: {seconds: 0}, example: {seconds: 9}}];
  google.protobuf.Duration took = 8 [(buf.validate.field).duration.lt = {seconds: 5}];
  google.protobuf.Int64Value wrapped = 9;
  repeated double items = 10;
  map<string, Color> shares = 11 [(buf.validate.field).map.values.enum.in = 1];
  map<int32, bool> numbered = 12;
  In inside = 13;
  oneof side { double left = 14; string right = 15; }
  repeated In parts = 16;
  map<string, In> named = 17;
  repeated google.protobuf.StringValue words = 18;
}
"""


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    return load(write_contract(tmp_path_factory.mktemp("codec"), WELL_KNOWN, SERVICE, RESPONSE, FEATURES))


@pytest.fixture(scope="module")
def codec(contract: Contract) -> Codec:
    return Codec(contract.services[0].methods[0].input, contract.rules)


@pytest.mark.parametrize(
    ("document", "written"),
    [
        ({"long": 5}, "5"),
        ({"long": "-9223372036854775808"}, "-9223372036854775808"),
        ({"long": 5.0}, "5"),
        ({"short": 4294967295}, 4294967295),
        ({"flag": True}, True),
        ({"text": "grün \u2603"}, "grün \u2603"),
        ({"data": "+/8="}, "+/8="),
        ({"color": "COLOR_RED"}, "COLOR_RED"),
        ({"color": 1}, "COLOR_RED"),
        ({"color": 7}, 7),
        ({"at": "2026-01-31T12:00:00.5+01:00"}, "2026-01-31T11:00:00.500Z"),
        ({"took": "-1.25s"}, "-1.250s"),
        ({"wrapped": "7"}, "7"),
        ({"items": [1, 2.5]}, [1.0, 2.5]),
        ({"shares": {"b": 2, "a": "COLOR_RED"}}, {"a": "COLOR_RED", "b": "COLOR_BLUE"}),
        ({"numbered": {"-3": True}}, {"-3": True}),
        ({"inside": {"x": 1}}, {"x": 1.0}),
        ({"left": 0}, 0.0),
        ({"parts": [{}, {"x": 2}]}, [{}, {"x": 2.0}]),
        ({"named": {"a": {"x": 1}}}, {"a": {"x": 1.0}}),
        ({"words": ["", "b"]}, ["", "b"]),
    ],
)
def test_values_are_read_as_by_protojson(codec: Codec, contract: Contract, document: Any, written: Any) -> None:
    problems = RequestProblems()
    message = codec.read(document, problems)
    assert problems.found == []
    assert message == json_format.ParseDict(document, contract.services[0].methods[0].request())
    (name,) = document
    assert document_of(message, Form.RESPONSE)[name] == written
    assert codec.read(document_of(message, Form.RESPONSE), problems) == message


@pytest.mark.parametrize("name", ["long", "flag", "text", "data", "color", "at", "wrapped", "items", "shares", "inside", "left"])
def test_null_is_absent(codec: Codec, contract: Contract, name: str) -> None:
    assert codec.read({name: None}, RequestProblems()) == contract.services[0].methods[0].request()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"long": "05"}', [("int_type", ("long",), "must be a whole number, as a number or a string")]),
        ('{"long": "9223372036854775808"}', [("int_range", ("long",), "must be from -9223372036854775808 to 9223372036854775807")]),
        (
            '{"long": 1.5, "short": "1"}',
            [
                ("int_type", ("long",), "must be a whole number, as a number or a string"),
                ("int_type", ("short",), "must be a whole number"),
            ],
        ),
        ('{"flag": 1}', [("bool_type", ("flag",), "must be true or false")]),
        ('{"text": 1}', [("string_type", ("text",), "must be a string")]),
        ('{"text": "\\ud800"}', [("string_unicode", ("text",), "contains an unpaired surrogate")]),
        ('{"data": "AA"}', [("bytes_base64", ("data",), "must be base64 with its padding, as in RFC 4648")]),
        ('{"data": "-_8="}', [("bytes_base64", ("data",), "must be base64 with its padding, as in RFC 4648")]),
        (
            '{"color": "COLOR_RDE"}',
            [
                (
                    "enum_value",
                    ("color",),
                    "must be the name, label or number of one of COLOR_UNSPECIFIED, COLOR_RED (red), COLOR_BLUE (blue); "
                    'did you mean "COLOR_RED"?',
                )
            ],
        ),
        (
            '{"color": true}',
            [
                (
                    "enum_value",
                    ("color",),
                    "must be the name, label or number of one of COLOR_UNSPECIFIED, COLOR_RED (red), COLOR_BLUE (blue)",
                )
            ],
        ),
        (
            '{"at": "2026-02-30T00:00:00Z"}',
            [("timestamp_format", ("at",), NO_TIME)],
        ),
        ('{"at": 5}', [("timestamp_format", ("at",), NO_TIME)]),
        ('{"took": "1.5"}', [("duration_format", ("took",), "must be a number of seconds such as 1.5s")]),
        ('{"took": "999999999999s"}', [("duration_format", ("took",), "must be a number of seconds such as 1.5s")]),
        ('{"items": 1}', [("list_type", ("items",), "must be a list")]),
        (
            '{"items": [1, null, "x"]}',
            [("null_item", ("items", 1), "must not be null"), ("float_type", ("items", 2), "must be a number")],
        ),
        ('{"shares": []}', [("object_type", ("shares",), "must be an object of names and values")]),
        ('{"shares": {"a": null}}', [("null_item", ("shares", "a"), "must not be null")]),
        ('{"shares": {"a": 1, "a": 1}}', [("repeated_field", ("shares", "a"), "occurs more than once")]),
        ('{"numbered": {"1.0": true}}', [("map_key", ("numbered", "1.0"), "the key must be a whole number")]),
        ('{"numbered": {"2147483648": true}}', [("map_key", ("numbered", "2147483648"), "the key must be a whole number")]),
        ('{"left": 1, "right": "x"}', [("oneof_fields", ("right",), "must not be given together with left")]),
        ('{"inside": {"y": 1}}', [("unknown_field", ("inside", "y"), "is not a field")]),
        ('{"parts": [{"x": "1"}]}', [("float_type", ("parts", 0, "x"), "must be a number")]),
        ('{"named": {"a": []}}', [("object_type", ("named", "a"), "must be an object, such as In")]),
        ('{"words": [1]}', [("string_type", ("words", 0), "must be a string")]),
    ],
)
def test_every_problem_has_a_place(codec: Codec, body: str, expected: list[Any]) -> None:
    problems = RequestProblems()
    codec.read(read_document(body.encode()), problems)
    assert [(problem.type, problem.loc[1:], problem.msg) for problem in problems.found] == expected


@pytest.mark.parametrize(
    ("path", "rule", "loc", "value", "ctx"),
    [
        ('shares["a.b"]', "enum.in", ("body", "shares", "a.b"), 2, {"in": [1]}),
        ("numbered[-3]", "bool.const", ("body", "numbered", "-3"), True, {}),
        ("parts[0].x", "double.gt", ("body", "parts", 0, "x"), 4, {}),
        ("at", "timestamp.gte", ("body", "at"), "1969-01-01T00:00:00Z", {"gte": "1970-01-01T00:00:00Z"}),
        ("took", "duration.lt", ("body", "took"), "9s", {"lt": "5s"}),
    ],
)
def test_violation_is_located_in_the_document(contract: Contract, path: str, rule: str, loc: Any, value: Any, ctx: Any) -> None:
    document = {
        "shares": {"a.b": 2}, "numbered": {"-3": True}, "parts": [{"x": 4}], "at": "1969-01-01T00:00:00Z", "took": "9s",
    }  # fmt: skip
    (problem,) = locate([Violation(path, rule, "no")], contract, contract.services[0].methods[0].input, document)
    assert (problem.loc, problem.input, problem.ctx) == (loc, value, ctx)


def test_examples_differ_by_direction(contract: Contract) -> None:
    message = contract.services[0].methods[0].input
    request, response = (Schemas(contract).of(message, form) for form in (Form.REQUEST, Form.RESPONSE))
    assert (request["properties"]["long"]["examples"], response["properties"]["long"]["examples"]) == ([3], ["3"])
    assert request["examples"][0] | response["examples"][0] | {"long": 0} == response["examples"][0] | {"long": 0}
    assert (request["examples"][0]["long"], response["examples"][0]["long"]) == (3, "3")
    assert request["properties"]["color"]["examples"] == ["COLOR_BLUE"]
    assert request["properties"]["data"]["examples"] == ["YWJj"]
    assert request["properties"]["at"]["description"] == "Must be at or after 1970-01-01T00:00:00Z."
    message_class: Any = contract.services[0].methods[0].request
    assert request_example(message_class(long=2**60))["long"] == 2**60


def test_message_in_both_directions_has_two_schemas(tmp_path: Path) -> None:
    parts = "message Both { int64 n = 1; } message Features { Both both = 1; } message Response { Both both = 1; }"
    contract = load(write_contract(tmp_path, SERVICE, parts))
    schemas = Schemas(contract)
    method = contract.services[0].methods[0]
    assert schemas.of(method.input, Form.REQUEST)["properties"]["both"] == {
        "anyOf": [{"$ref": "#/components/schemas/test.v1.Both"}, {"type": "null"}]
    }
    assert schemas.of(method.output, Form.RESPONSE)["properties"]["both"] == {"$ref": "#/components/schemas/test.v1.Both.Answer"}


def test_ignored_rules_are_not_in_the_schema(tmp_path: Path) -> None:
    parts = """
        message In { optional double x = 1 [(buf.validate.field) = {required: true, double: {gt: 3}}]; }
        message Features { In inside = 1 [(buf.validate.field).ignore = IGNORE_ALWAYS]; In ruled = 2; }
    """
    contract = load(write_contract(tmp_path, SERVICE, RESPONSE, parts))
    shown = Schemas(contract).of(contract.services[0].methods[0].input, Form.REQUEST)["properties"]
    (free, _null) = shown["inside"]["anyOf"]
    assert "required" not in free
    assert "exclusiveMinimum" not in str(free)
    assert shown["ruled"]["anyOf"][0] == {"$ref": "#/components/schemas/test.v1.In"}


def test_rule_may_fail_on_an_empty_message(tmp_path: Path) -> None:
    field = 'int64 x = 1 [(buf.validate.field) = {required: true, cel: {id: "a", message: "no", expression: "1 / this > 0"}}];'
    contract = load(write_contract(tmp_path, SERVICE, RESPONSE, f"message Features {{ {field} optional double y = 2; }}"))
    assert Schemas(contract).of(contract.services[0].methods[0].input, Form.REQUEST)["required"] == ["x"]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("timestamp: {gt: {seconds: 0}, lt_now: true}", "Must be after 1970-01-01T00:00:00Z and in the past."),
        ("timestamp: {within: {seconds: 60}}", "Must be within 60s of now."),
        ("duration: {gte: {seconds: 1}, lt: {seconds: 5}}", "Must be shorter than 5s and at least 1s."),
        ("duration: {in: [{seconds: 1}, {seconds: 2}]}", "Must be one of 1s, 2s."),
    ],
)
def test_rules_on_times_are_described(tmp_path: Path, rules: str, words: str) -> None:
    kind = rules.partition(":")[0].capitalize()
    field = f"google.protobuf.{kind} x = 1 [(buf.validate.field) = {{{rules}}}]; double y = 2;"
    contract = load(write_contract(tmp_path, WELL_KNOWN, SERVICE, RESPONSE, f"message Features {{ {field} }}"))
    schema = Schemas(contract).of(contract.services[0].methods[0].input, Form.REQUEST)
    assert schema["properties"]["x"]["description"] == words
