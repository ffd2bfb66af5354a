"""All problems of a contract are listed at once, each with line, reason and fix."""

from pathlib import Path

import pytest

from foretell_contract.contract import load
from foretell_contract.errors import ContractError
from foretell_contract.lint.contract_check import check_contracts
from tests.conftest import PROTOS
from tests.support.contract_files import write_contract

HEAD = """
// Answers.
service TestService {{
  // Predict answers.
  rpc Predict(Features) returns (Response){http};
}}
// Response is an answer.
message Response {{
  // Probability of yes.
  double yes_probability = 1;
}}
"""
FINE = "optional double x = 1 [(buf.validate.field) = {required: true, double: {gte: 0, lte: 9, example: 1}}];"


def lines(root: Path) -> list[str]:
    return [str(found) for found in check_contracts(root)[1]]


def contract(root: Path, *fields: str, http: str = "", more: str = "") -> Path:
    """A contract whose service is on lines 9 to 12, and whose fields start on line 20 with two lines each."""
    commented = "".join(f"  // A field.\n  {field}\n" for field in fields)
    features = f"// Features is a row.\nmessage Features {{\n{commented}}}\n"
    return write_contract(root, HEAD.format(http=http), features, more)


def test_iris_contract_has_no_problems() -> None:
    assert lines(PROTOS) == []


@pytest.mark.parametrize(
    ("field", "says"),
    [
        pytest.param(
            "int64 x = 1 [(buf.validate.field) = {required: true, int64: {example: 1}}];",
            "error: test.v1.Features.x is required but not optional: a real 0 is refused as missing. Fix: declare it `optional`.",
            id="required-on-implicit-presence",
        ),
        pytest.param(
            "int64 x = 1 [(buf.validate.field).int64.example = 1];",
            "warning: test.v1.Features.x reads a missing value as 0. Fix: declare it `optional` and set `required`.",
            id="implicit-presence",
        ),
        pytest.param(
            "optional double x = 1 [(buf.validate.field) = {required: true, double: {example: 1}}];",
            "warning: test.v1.Features.x accepts NaN and infinity. Fix: set bounds or `finite`.",
            id="unbounded",
        ),
        pytest.param(
            "optional int64 x = 1 [(buf.validate.field).required = true];",
            "warning: test.v1.Features.x has no example. Fix: add one; the docs then show a call that works.",
            id="no-example",
        ),
        pytest.param(
            "optional int64 x = 1 [(buf.validate.field) = {int64: {gte: 2, example: 1, example: 3}}];",
            "error: the example 1 of test.v1.Features.x breaks the contract's own rule int64.gte: "
            "must be greater than or equal to 2. Fix: change the example or the rule.",
            id="example",
        ),
        pytest.param(
            'optional int64 x = 1 [(buf.validate.field) = {int64: {example: 3}, cel: {message: "a" expression: "this > 1"}}];',
            "error: a CEL rule of test.v1.Features.x has no id: `this > 1`. Fix: add one; callers see the id.",
            id="cel-without-id",
        ),
        pytest.param(
            'optional int64 x = 1 [(buf.validate.field) = {int64: {example: 3}, cel: {id: "odd" expression: "this % 2 == 1"}}];',
            "error: a CEL rule of test.v1.Features.x has no message: `this % 2 == 1`. Fix: add one; callers see the message.",
            id="cel-without-message",
        ),
        pytest.param(
            'optional int64 x = 1 [(buf.validate.field) = {int64: {example: 3}, cel_expression: "this % 2 == 1"}];',
            "error: a CEL rule of test.v1.Features.x has no id and no message: `this % 2 == 1`. "
            "Fix: write it as `cel` with an `id` and a `message`.",
            id="cel-expression",
        ),
    ],
)
def test_field_problem_has_reason_and_fix(tmp_path: Path, field: str, says: str) -> None:
    assert lines(contract(tmp_path, field)) == [f"test/v1/test.proto:21: {says}"]


@pytest.mark.parametrize(
    ("rule", "more"),
    [
        pytest.param("this.x >", [(19, "")], id="of-the-message-too"),
        pytest.param("1 / 0 > 1", [], id="behind-one-that-fails"),
    ],
)
def test_every_uncompilable_rule_is_listed(tmp_path: Path, rule: str, more: list[object]) -> None:
    root = contract(
        tmp_path,
        "optional int64 x = 1 [(buf.validate.field).string.min_len = 1];",
        FINE.replace("x = 1", "fine = 2"),
        "oneof one { int64 y = 3 [(buf.validate.field).bool.const = true]; }",
        "map<string, Inner> z = 4;",
        'message Inner { double deep = 1 [(buf.validate.field).cel = {id: "a", expression: "1 +"}]; }',
        f'option (buf.validate.message).cel = {{id: "b", expression: "{rule}"}};',
    )
    told = [each for each in check_contracts(root)[1] if "cannot be compiled" in each.sentence]
    assert [(each.location.line, each.problem.name.removeprefix("test.v1.Features")) for each in told] == [
        *more,
        (21, ".x"),
        (25, ".y"),
        (29, ".Inner.deep"),
    ]
    assert str(told[-3]) == (
        "test/v1/test.proto:21: error: a rule of test.v1.Features.x cannot be compiled: "
        'expected rule "buf.validate.FieldRules.int64", got "buf.validate.FieldRules.string" on field "test.v1.Features.x". '
        "Fix: use rules of the field's type, and CEL expressions that compile."
    )


def test_examples_that_conflict_are_an_error(tmp_path: Path) -> None:
    rule = 'option (buf.validate.message).cel = {id: "small" message: "x must be small" expression: "this.x < 1.0"};'
    assert lines(contract(tmp_path, FINE, rule)) == [
        "test/v1/test.proto:19: error: the example of test.v1.Features breaks the contract's own rule small: x must be small. "
        "Fix: change the example or the rule."
    ]


def test_failing_cel_rule_is_an_error(tmp_path: Path) -> None:
    rule = 'cel: {id: "a", message: "b", expression: "1 / 0 > this"}'
    field = f"optional int64 x = 1 [(buf.validate.field) = {{int64: {{example: 1}}, {rule}}}];"
    assert lines(contract(tmp_path, field)) == [
        "test/v1/test.proto:19: error: a rule of test.v1.Features fails on its example: "
        "error evaluating a: divide by zero. Fix: change the example or the rule."
    ]


def test_missing_comments_are_listed(tmp_path: Path) -> None:
    bare = """
        service TestService { rpc Predict(Features) returns (Response); }
        message Features { optional Kind x = 1; }
        message Response { double yes_probability = 1; }
        enum Kind { KIND_UNSPECIFIED = 0; }
    """
    root = write_contract(
        tmp_path, bare.replace("optional Kind x = 1", "optional Kind x = 1 [(buf.validate.field).enum.example = 0]")
    )
    fix = "has no comment. Fix: add one above it: what it is, and in which unit."
    assert lines(root) == [
        f"test/v1/test.proto:8: warning: test.v1.TestService {fix}",
        f"test/v1/test.proto:8: warning: test.v1.TestService.Predict {fix}",
        f"test/v1/test.proto:9: warning: test.v1.Features {fix}",
        f"test/v1/test.proto:9: warning: test.v1.Features.x {fix}",
        f"test/v1/test.proto:10: warning: test.v1.Response {fix}",
        f"test/v1/test.proto:10: warning: test.v1.Response.yes_probability {fix}",
        f"test/v1/test.proto:11: warning: test.v1.Kind {fix}",
        f"test/v1/test.proto:11: warning: test.v1.Kind.KIND_UNSPECIFIED {fix}",
    ]


@pytest.mark.parametrize(
    ("rpc", "says"),
    [
        pytest.param(
            "rpc P(stream Features) returns (Response)",
            "test.v1.S.P streams in one direction only. Fix: make the request and the response a stream, or neither",
            id="one-way",
        ),
        pytest.param(
            "rpc P(Batch) returns (Response)",
            "test.v1.S.P takes a batch, but its response test.v1.Response is not one. "
            "Fix: give the response one field that repeats a message",
            id="half-a-batch",
        ),
        pytest.param(
            "rpc P(Loop) returns (Response)",
            "test.v1.Loop contains itself, which no model can take. Fix: remove the field that leads back to it",
            id="recursion",
        ),
        pytest.param(
            'rpc P(Features) returns (Response) { option (google.api.http) = {get: "/p"}; }',
            'test.v1.S.P has a REST path that cannot be served: get: "/p". '
            'Fix: set google.api.http to `post: "/path"` without variables, and `body: "*"`',
            id="get",
        ),
    ],
)
def test_unanswerable_method_is_an_error(tmp_path: Path, rpc: str, says: str) -> None:
    more = f"service S {{ {rpc}; }} message Batch {{ repeated Features rows = 1; }} message Loop {{ optional Loop loop = 1; }}"
    found = lines(contract(tmp_path, FINE, more=more))
    assert found[0] == f"test/v1/test.proto:23: error: {says}."


def test_colliding_paths_are_an_error(tmp_path: Path) -> None:
    http = ' { option (google.api.http) = {post: "/p" body: "*"}; }'
    more = "// Too.\nservice S {\n  // Too.\n  rpc P(Features) returns (Response)" + http + "\n}"
    assert lines(contract(tmp_path, FINE, http=http, more=more)) == [
        "test/v1/test.proto:26: error: the REST path /p belongs to both test.v1.TestService.Predict and test.v1.S.P. "
        "Fix: give one of them another path in google.api.http."
    ]


def test_all_problems_are_listed(tmp_path: Path) -> None:
    root = contract(
        tmp_path,
        "int64 a = 1 [(buf.validate.field) = {required: true, int64: {gte: 1, example: 0}}];",
        "optional float b = 2 [(buf.validate.field).float.example = 1];",
        "optional int64 c = 3 [(buf.validate.field).int64 = {gte: 1, example: 0, example: -1}];",
    )
    assert [line.split(": ", 1)[0] for line in lines(root)] == [f"test/v1/test.proto:{line}" for line in (21, 21, 23, 25, 25)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(
            "message A { Missing x = 1; Absent y = 2; }",
            ['"Missing" is not defined', '"Absent" is not defined'],
            id="unknown-types",
        ),
        pytest.param("message A {", ["Reached end of input in message definition (missing '}')"], id="syntax"),
    ],
)
def test_protoc_errors_are_listed(tmp_path: Path, text: str, says: list[str]) -> None:
    fix = "Fix: correct this; everything else is checked once it compiles."
    assert lines(write_contract(tmp_path, text)) == [f"test/v1/test.proto:7: error: {reason}. {fix}" for reason in says]


def test_folder_without_contracts_is_an_error(tmp_path: Path) -> None:
    fix = "Fix: write one with `foretell init MODEL`, or pass --protos."
    assert lines(tmp_path) == [f"{tmp_path}: error: no contract (a .proto file) under {tmp_path}. {fix}"]
    none = tmp_path / "no"
    assert lines(none) == [f"{none}: error: no folder of contracts at {none}. Fix: create it or pass --protos."]
    root = write_contract(tmp_path, "message A {}")
    fix = "Fix: define one with an rpc that a model answers."
    assert lines(root) == [f"{root}: error: no service is defined in test/v1/test.proto. {fix}"]


def test_file_not_in_utf8_is_an_error(tmp_path: Path) -> None:
    root = write_contract(tmp_path, HEAD.format(http=""))
    file = root / "test/v1/test.proto"
    file.write_text(file.read_text() + "// ")
    size = file.stat().st_size
    file.write_bytes(file.read_bytes() + b"\xff")
    assert lines(root) == [f"{root}: error: {file} is not UTF-8 at byte {size}. Fix: save it as UTF-8."]


def test_start_is_refused_with_first_problem(tmp_path: Path) -> None:
    root = contract(tmp_path, "optional int64 x = 1 [(buf.validate.field) = {int64: {gte: 2, example: 1}}];")
    (problem,) = load(root, strict=False).defects
    with pytest.raises(ContractError) as refused:
        load(root)
    assert str(refused.value) == str(problem)
