"""Values of every kind between JSON and messages: what comes in, what goes out, and what is refused with its place."""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from foretell_contract.contract import Contract, load
from foretell_contract.rules.rules import Violation
from rest_bridge.json.codec import Codec, request_example
from rest_bridge.json.grpc_to_http import located
from rest_bridge.json.request_problems import RequestProblems
from rest_bridge.json.strict_json import read_document
from rest_bridge.openapi.message_schema import Schemas, message_schema
from rest_bridge.openapi.value_schema import Form
from tests.support.contract_files import RESPONSE, SERVICE, WELL_KNOWN, write_contract

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
def test_a_value_is_read_as_google_reads_it_and_written_in_one_way(
    codec: Codec, contract: Contract, document: Any, written: Any
) -> None:
    problems = RequestProblems()
    message = codec.read(document, problems)
    assert problems.found == []
    assert message == json_format.ParseDict(document, contract.services[0].methods[0].request())
    (name,) = document
    assert codec.document(message)[name] == written
    assert codec.read(codec.document(message), problems) == message


@pytest.mark.parametrize("name", ["long", "flag", "text", "data", "color", "at", "wrapped", "items", "shares", "inside", "left"])
def test_null_is_absent(codec: Codec, contract: Contract, name: str) -> None:
    assert codec.read({name: None}, RequestProblems()) == contract.services[0].methods[0].request()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"long": "05"}', [("int_type", ("long",), "must be a whole number, or the text of one")]),
        ('{"long": "9223372036854775808"}', [("int_range", ("long",), "must be from -9223372036854775808 to 9223372036854775807")]),
        (
            '{"long": 1.5, "short": "1"}',
            [
                ("int_type", ("long",), "must be a whole number, or the text of one"),
                ("int_type", ("short",), "must be a whole number"),
            ],
        ),
        ('{"flag": 1}', [("bool_type", ("flag",), "must be true or false")]),
        ('{"text": 1}', [("string_type", ("text",), "must be a text")]),
        ('{"text": "\\ud800"}', [("string_unicode", ("text",), "holds half of a surrogate pair, which is no character")]),
        ('{"data": "AA"}', [("bytes_base64", ("data",), "must be base64 with its padding, as in RFC 4648")]),
        ('{"data": "-_8="}', [("bytes_base64", ("data",), "must be base64 with its padding, as in RFC 4648")]),
        (
            '{"color": "COLOR_RDE"}',
            [
                (
                    "enum_value",
                    ("color",),
                    'must be the name or the number of one of COLOR_UNSPECIFIED, COLOR_RED, COLOR_BLUE; did you mean "COLOR_RED"?',
                )
            ],
        ),
        (
            '{"color": true}',
            [("enum_value", ("color",), "must be the name or the number of one of COLOR_UNSPECIFIED, COLOR_RED, COLOR_BLUE")],
        ),
        (
            '{"at": "2026-02-30T00:00:00Z"}',
            [("timestamp_format", ("at",), "must be a time by RFC 3339 such as 2026-01-31T12:00:00Z")],
        ),
        ('{"at": 5}', [("timestamp_format", ("at",), "must be a time by RFC 3339 such as 2026-01-31T12:00:00Z")]),
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
        ('{"numbered": {"1.0": true}}', [("map_key", ("numbered", "1.0"), "is no key: must be a whole number")]),
        ('{"numbered": {"2147483648": true}}', [("map_key", ("numbered", "2147483648"), "is no key: must be a whole number")]),
        ('{"left": 1, "right": "x"}', [("oneof_fields", ("right",), "must not be given together with left")]),
        ('{"inside": {"y": 1}}', [("unknown_field", ("inside", "y"), "is not a field")]),
        ('{"parts": [{"x": "1"}]}', [("float_type", ("parts", 0, "x"), "must be a number")]),
        ('{"named": {"a": []}}', [("object_type", ("named", "a"), "must be an object, such as In")]),
        ('{"words": [1]}', [("string_type", ("words", 0), "must be a text")]),
    ],
)
def test_every_problem_has_its_place(codec: Codec, body: str, expected: list[Any]) -> None:
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
def test_a_violation_is_found_in_the_document(contract: Contract, path: str, rule: str, loc: Any, value: Any, ctx: Any) -> None:
    document = {
        "shares": {"a.b": 2}, "numbered": {"-3": True}, "parts": [{"x": 4}], "at": "1969-01-01T00:00:00Z", "took": "9s",
    }  # fmt: skip
    (problem,) = located([Violation(path, rule, "no")], contract, contract.services[0].methods[0].input, document)
    assert (problem.loc, problem.input, problem.ctx) == (loc, value, ctx)


def test_examples_of_requests_have_plain_numbers_and_those_of_answers_what_is_written(contract: Contract) -> None:
    message = contract.services[0].methods[0].input
    asked, told = (message_schema(contract, message, form) for form in (Form.REQUEST, Form.RESPONSE))
    assert (asked["properties"]["long"]["examples"], told["properties"]["long"]["examples"]) == ([3], ["3"])
    assert asked["examples"][0] | told["examples"][0] | {"long": 0} == told["examples"][0] | {"long": 0}
    assert (asked["examples"][0]["long"], told["examples"][0]["long"]) == (3, "3")
    assert asked["properties"]["color"]["examples"] == ["COLOR_BLUE"]
    assert asked["properties"]["data"]["examples"] == ["YWJj"]
    assert asked["properties"]["at"]["description"] == "Must be at or after 1970-01-01T00:00:00Z."
    request: Any = contract.services[0].methods[0].request
    assert request_example(request(long=2**60))["long"] == 2**60


def test_a_message_that_goes_both_ways_has_two_schemas(tmp_path: Path) -> None:
    parts = "message Both { int64 n = 1; } message Features { Both both = 1; } message Response { Both both = 1; }"
    contract = load(write_contract(tmp_path, SERVICE, parts))
    schemas = Schemas(contract)
    method = contract.services[0].methods[0]
    assert schemas.of(method.input, Form.REQUEST)["properties"]["both"] == {
        "anyOf": [{"$ref": "#/components/schemas/test.v1.Both"}, {"type": "null"}]
    }
    assert schemas.of(method.output, Form.RESPONSE)["properties"]["both"] == {"$ref": "#/components/schemas/test.v1.Both.Answer"}


def test_where_rules_are_ignored_the_schema_has_none(tmp_path: Path) -> None:
    parts = """
        message In { optional double x = 1 [(buf.validate.field) = {required: true, double: {gt: 3}}]; }
        message Features { In inside = 1 [(buf.validate.field).ignore = IGNORE_ALWAYS]; In ruled = 2; }
    """
    contract = load(write_contract(tmp_path, SERVICE, RESPONSE, parts))
    shown = message_schema(contract, contract.services[0].methods[0].input, Form.REQUEST)["properties"]
    (free, _null) = shown["inside"]["anyOf"]
    assert "required" not in free
    assert "exclusiveMinimum" not in str(free)
    assert shown["ruled"]["anyOf"][0] == {"$ref": "#/components/schemas/test.v1.In"}


def test_a_rule_that_fails_on_an_empty_message_stops_no_schema(tmp_path: Path) -> None:
    field = 'int64 x = 1 [(buf.validate.field) = {required: true, cel: {id: "a", message: "no", expression: "1 / this > 0"}}];'
    contract = load(write_contract(tmp_path, SERVICE, RESPONSE, f"message Features {{ {field} optional double y = 2; }}"))
    assert message_schema(contract, contract.services[0].methods[0].input, Form.REQUEST)["required"] == ["x"]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("timestamp: {gt: {seconds: 0}, lt_now: true}", "Must be after 1970-01-01T00:00:00Z and in the past."),
        ("timestamp: {within: {seconds: 60}}", "Must be within 60s of now."),
        ("duration: {gte: {seconds: 1}, lt: {seconds: 5}}", "Must be shorter than 5s and at least 1s."),
        ("duration: {in: [{seconds: 1}, {seconds: 2}]}", "Must be one of 1s, 2s."),
    ],
)
def test_rules_on_times_are_told_in_words(tmp_path: Path, rules: str, words: str) -> None:
    kind = rules.partition(":")[0].capitalize()
    field = f"google.protobuf.{kind} x = 1 [(buf.validate.field) = {{{rules}}}]; double y = 2;"
    contract = load(write_contract(tmp_path, WELL_KNOWN, SERVICE, RESPONSE, f"message Features {{ {field} }}"))
    schema = message_schema(contract, contract.services[0].methods[0].input, Form.REQUEST)
    assert schema["properties"]["x"]["description"] == words
