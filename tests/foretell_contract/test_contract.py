"""Loading a contract: its services, docs and sources, and contracts that are refused."""

from pathlib import Path

import pytest

from foretell_contract.contract import Contract, load
from foretell_contract.errors import ContractError
from foretell_contract.service import Shape
from tests.support.contract_files import RESPONSE, SERVICE, features, write_contract

X = "optional double x [(buf.validate.field).required = true, (buf.validate.field).double.gte = 0]"


def test_iris_contract_has_three_methods(contract: Contract) -> None:
    (service,) = contract.services
    assert service.full_name == "iris.v1.IrisService"
    assert service.model == "iris"
    assert [(m.path, m.shape, m.paths) for m in service.methods] == [
        ("/iris.v1.IrisService/Predict", Shape.ROW, ("/predict",)),
        ("/iris.v1.IrisService/PredictBatch", Shape.BATCH, ("/predict/batch",)),
        ("/iris.v1.IrisService/PredictStream", Shape.STREAM, ()),
    ]
    assert {m.features.full_name for m in service.methods} == {"iris.v1.Features"}
    assert {m.answer.full_name for m in service.methods} == {"iris.v1.Response"}


def test_docs_come_from_options_and_comments(contract: Contract) -> None:
    assert contract.api.title == "IRIS Classification"
    assert contract.api.version == "0.1"
    assert set(contract.api.contact) == {"name", "url", "email"}
    assert contract.api.description.startswith("Predicts the species")
    assert "\n- sepal length: 0 is 4.3 cm, 1 is 7.9 cm\n" in contract.api.description
    assert "![An iris](/contract/iris/v1/iris.svg)" in contract.api.description
    assert contract.comment("iris.v1.Features.petal_width").startswith("Width of the petal, min-max scaled: 0 is 0.1 cm")
    assert contract.comment("iris.v1.IrisService.Predict") == "Predict classifies one flower."
    assert contract.comment("iris.v1.Nothing") == ""


def test_sources_and_images_of_the_folder(contract: Contract) -> None:
    assert list(contract.sources) == ["iris/v1/iris.proto"]
    assert "message Features" in contract.sources["iris/v1/iris.proto"]
    assert list(contract.images) == ["iris/v1/iris.svg"]


def test_field_comments_state_the_training_range(contract: Contract) -> None:
    from sklearn.datasets import load_iris

    data = load_iris().data
    for field, low, high in zip(contract.services[0].methods[0].input.fields, data.min(0), data.max(0), strict=True):
        assert f"0 is {low:.1f} cm and 1 is {high:.1f} cm" in contract.comment(field.full_name)


def test_lint_directives_and_internal_notes_are_removed(tmp_path: Path) -> None:
    described = """
        // buf:lint:ignore SERVICE_SUFFIX
        // Says yes or no. (-- ask the platform team --)
        service TestService {
          rpc Predict(Features) returns (Response);
        }
    """
    loaded = load(write_contract(tmp_path, described, features(X), RESPONSE))
    assert loaded.comment("test.v1.TestService") == "Says yes or no."


def test_contract_without_imports_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "bare.proto").write_text(
        'syntax = "proto3"; package bare.v1; message Features { double x = 1; } '
        "message Response { double no_probability = 1; double yes_probability = 2; } "
        "service BareService { rpc Predict(Features) returns (Response); }"
    )
    loaded = load(tmp_path)
    assert loaded.services[0].model == "bare"
    assert loaded.api.title == "bare.v1"
    assert not loaded.rules.of(loaded.services[0].methods[0].input.fields_by_name["x"]).required


def test_default_path_is_the_grpc_path(tmp_path: Path) -> None:
    (service,) = load(write_contract(tmp_path, SERVICE, features(X), RESPONSE)).services
    assert service.methods[0].paths == ("/test.v1.TestService/Predict",)
    assert service.model == "test"


def test_additional_paths_lose_trailing_slashes(tmp_path: Path) -> None:
    method = """
        service TestService {
          rpc Predict(Features) returns (Response) {
            option (google.api.http) = {
              post: "/a/"
              body: "*"
              additional_bindings: {post: "/b" body: "*"}
            };
          }
        }
    """
    (service,) = load(write_contract(tmp_path, method, features(X), RESPONSE)).services
    assert service.methods[0].paths == ("/a", "/b")


def test_package_versions_share_one_model(tmp_path: Path) -> None:
    write_contract(tmp_path, SERVICE, features(X), RESPONSE, package="acme.churn.v1")
    write_contract(tmp_path, SERVICE, features(X), RESPONSE, package="acme.churn.v2", name="two.proto")
    assert {service.model for service in load(tmp_path).services} == {"acme.churn"}


def two_methods(rule: str) -> str:
    """A service whose two methods have the same `google.api.http`."""
    rpc = "(Features) returns (Response) { option (google.api.http) = {" + rule + "}; }"
    return f"service S {{ rpc A{rpc} rpc B{rpc} }}"


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        pytest.param(["message Features {"], "/test/v1/test.proto:7:19: Reached end of input", id="syntax"),
        pytest.param([features("Missing x")], '"Missing" is not defined', id="unknown-type"),
        pytest.param([features(X)], "no service is defined in test/v1/test.proto", id="no-service"),
        pytest.param(
            [SERVICE, RESPONSE, features("optional double x [(buf.validate.field).string.min_len = 1]")],
            "a rule of test.v1.Features.x cannot be compiled",
            id="rule-of-another-type",
        ),
        pytest.param(
            [SERVICE, RESPONSE, features('optional double x [(buf.validate.field).cel = {id: "a", expression: "this >"}]')],
            "a rule of test.v1.Features.x cannot be compiled",
            id="cel-syntax",
        ),
        pytest.param(
            [SERVICE, RESPONSE, features("optional double x [(buf.validate.field).double = {gte: 0, example: 1, example: -5}]")],
            "the example -5.0 of test.v1.Features.x breaks the contract's own rule double.gte: must be greater than or equal to 0",
            id="example-breaks-rule",
        ),
        pytest.param(
            [
                SERVICE,
                RESPONSE,
                """
                message Features {
                  optional double x = 1 [(buf.validate.field).double.example = 2];
                  option (buf.validate.message).cel = {id: "small" message: "x must be small" expression: "this.x < 1.0"};
                }
                """,
            ],
            "the example of test.v1.Features breaks the contract's own rule small: x must be small",
            id="example-breaks-message-rule",
        ),
        pytest.param(
            [SERVICE, RESPONSE, "message Features { optional double x = 1; optional Features inner = 2; }"],
            "test.v1.Features contains itself, which no model can take; remove the field that leads back to it",
            id="recursive",
        ),
        pytest.param(
            [
                SERVICE,
                RESPONSE,
                features('int64 x [(buf.validate.field) = {int64: {example: 1}, cel: {id: "a", expression: "1 / 0 > this"}}]'),
            ],
            "a rule of test.v1.Features fails on its example",
            id="cel-fails",
        ),
        pytest.param(
            ["service S { rpc P(stream Features) returns (Response); }", features(X), RESPONSE],
            "test.v1.S.P streams in one direction only",
            id="one-way-stream",
        ),
        pytest.param(
            ["service S { rpc P(Batch) returns (Response); } message Batch { repeated Features rows = 1; }", features(X), RESPONSE],
            "test.v1.S.P takes a batch, but its response test.v1.Response is not one; "
            "give the response one field that repeats a message",
            id="batch-without-batch",
        ),
        pytest.param(
            [two_methods('post: "/p" body: "*"'), features(X), RESPONSE],
            "the REST path /p belongs to both test.v1.S.A and test.v1.S.B",
            id="path-collision",
        ),
        pytest.param(
            [two_methods('get: "/p"'), features(X), RESPONSE],
            "has a REST path that cannot be served:",
            id="get",
        ),
        pytest.param(
            [two_methods('post: "/p/{x}" body: "*"'), features(X), RESPONSE],
            "has a REST path that cannot be served:",
            id="path-variable",
        ),
    ],
)
def test_unservable_contract_is_refused(tmp_path: Path, parts: list[str], says: str) -> None:
    with pytest.raises(ContractError) as refused:
        load(write_contract(tmp_path, *parts))
    assert says in str(refused.value)


def test_contract_not_in_utf8_is_refused(tmp_path: Path) -> None:
    root = write_contract(tmp_path, SERVICE, features(X), RESPONSE)
    (root / "test/v1/test.proto").write_bytes((root / "test/v1/test.proto").read_bytes() + b"// \xff\n")
    with pytest.raises(ContractError, match=r"test.proto is not UTF-8 at byte \d+"):
        load(root)


def test_missing_or_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="no folder of contracts at"):
        load(tmp_path / "nowhere")
    (tmp_path / "google").mkdir()
    (tmp_path / "google/own.proto").write_text('syntax = "proto3";')
    with pytest.raises(ContractError, match="no contract"):
        load(tmp_path)


def test_required_field_without_example_leaves_none(tmp_path: Path) -> None:
    assert load(write_contract(tmp_path, SERVICE, features(X), RESPONSE)).services
