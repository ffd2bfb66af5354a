"""Loading a verified bundle: binding by name, and the refusal of models that do not match the contract or manifest."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from foretell_contract.contract import Contract, load
from grpc_server.checks.add_model import add_model
from grpc_server.checks.gates import Gates
from grpc_server.errors import ModelMismatch
from grpc_server.loading.loader import load_model
from grpc_server.loading.version import Model
from grpc_server.rows.method_binding import MethodBinding
from grpc_server.rows.targets import Target
from grpc_server.settings import ServerSettings
from grpc_server.store.repository import Bundle, Repository
from tests.support.contract_files import SERVICE, features, write_contract

X = np.random.default_rng(0).random((60, 2))
Y = np.where(X[:, 0] > X[:, 1], "yes", "no")
A = "optional double a [(buf.validate.field) = {required: true, double: {gte: 0, lte: 1, example: 0.9}}]"
B = "optional double b [(buf.validate.field) = {required: true, double: {gte: 0, lte: 1, example: 0.1}}]"
RESPONSE = "message Response { double no_probability = 1; double yes_probability = 2; }"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    joblib.dump(LogisticRegression().fit(X, Y), tmp_path / "model.joblib")
    repository = Repository(tmp_path / "models")
    add_model(repository, tmp_path / "model.joblib", "test", ("a", "b"))
    return repository.read("test", "1")


def loaded(bundle: Bundle, contract: Contract) -> Model:
    model = load_model(bundle, contract, contract.services[0], ServerSettings(), Gates(bundle.title))
    model.batcher.close(10)
    return model


def served_contract(tmp_path: Path, *parts: str) -> Contract:
    return load(write_contract(tmp_path / "protos", SERVICE, *parts))


@pytest.mark.parametrize("order", [(A, B), (B, A)])
def test_columns_and_classes_bind_by_name(tmp_path: Path, bundle: Bundle, order: tuple[str, ...]) -> None:
    response = "message Response { double yes_probability = 1; double no_probability = 2; }"
    binding = loaded(bundle, served_contract(tmp_path, features(*order), response)).bindings["Predict"]
    request: Any = binding.method.request
    assert binding.model_rows([request(a=0.25, b=0.75)]).tolist() == [[0.25, 0.75]]
    answer: Any = binding.response(np.array([[0.1, 0.9]]))
    assert (answer.no_probability, answer.yes_probability) == (0.1, 0.9)


def test_options_bind_different_names(tmp_path: Path, bundle: Bundle) -> None:
    contract = served_contract(
        tmp_path,
        features(A.replace("double a [", 'double first [(foretell.v1.column) = "a", '), B),
        'message Response { double denial = 1 [(foretell.v1.output).probability_of = "no"]; double yes_probability = 2; }',
    )
    binding = loaded(bundle, contract).bindings["Predict"]
    request: Any = binding.method.request
    assert binding.model_rows([request(first=0.25, b=0.75)]).tolist() == [[0.25, 0.75]]
    answer: Any = binding.response(np.array([[0.1, 0.9]]))
    assert (answer.denial, answer.yes_probability) == (0.1, 0.9)


def test_integers_and_bools_become_numbers(tmp_path: Path) -> None:
    contract = served_contract(tmp_path, features("int64 a", "bool b"), RESPONSE)
    binding = MethodBinding(contract, contract.services[0].methods[0], ("a", "b"), ("no", "yes"))
    request: Any = binding.method.request
    assert binding.model_rows([request(a=-3, b=True), request()]).tolist() == [[-3.0, 1.0], [0.0, 0.0]]


def test_single_column_makes_a_matrix(tmp_path: Path) -> None:
    contract = served_contract(tmp_path, features(A), RESPONSE)
    binding = MethodBinding(contract, contract.services[0].methods[0], ("a",), ("no", "yes"))
    request: Any = binding.method.request
    assert binding.model_rows([request(a=0.5), request(a=0.25)]).tolist() == [[0.5], [0.25]]


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        pytest.param([features(A), RESPONSE], "the model's column 'b' has no field", id="too-few-columns"),
        pytest.param(
            [features(A, B, B.replace("double b", "double c")), RESPONSE], "c matches no column of the model", id="too-many-columns"
        ),
        pytest.param(
            [features(A.replace("double a", "double petal_widht"), B), RESPONSE],
            "test.v1.Features.petal_widht matches no column of the model; the model's column 'a' has no field",
            id="misspelt-column",
        ),
        pytest.param(
            [features(A, B), "message Response { double no_probability = 1; }"], "the model's class 'yes' has no", id="class"
        ),
        pytest.param(
            [features(A, B), "message Response { double no_probability = 1; double yess_probability = 2; }"],
            'test.v1.Response.yess_probability matches no class of the model; did you mean "yes"?',
            id="misspelt-class",
        ),
        pytest.param(
            [features(A, B), RESPONSE.replace("}", "double score = 3; }")],
            "test.v1.Response.score needs the output score, but the model has only probability, label, decision",
            id="unfilled",
        ),
        pytest.param(
            [features(A, B), RESPONSE.replace("double yes", "int32 yes")],
            "is to hold a probability, but is not a double or a float",
            id="integer-answer",
        ),
        pytest.param(
            [features(A, B), RESPONSE.replace("}", "double sure = 3; }")],
            "no output of the model matches test.v1.Response.sure; rename it to <class>_probability or label or decision, "
            "or set (foretell.v1.output",
            id="unfilled-name",
        ),
        pytest.param([features(A, "string b"), RESPONSE], "b is text, but the model's column 'b' holds numbers", id="string"),
        pytest.param(
            [features(A, "repeated double b"), RESPONSE],
            "test.v1.Features.b is a list without a fixed length, but each item is a column; set `repeated.min_items` and",
            id="repeated",
        ),
        pytest.param(
            [features(A, B.replace("required: true, ", "")), RESPONSE],
            "test.v1.Features.b may be missing, but model 'test' version 1 cannot answer then (ValueError: Input X contains NaN.",
            id="optional",
        ),
        pytest.param(
            [features(A, B.replace("double b [", 'double b [(foretell.v1.column) = "a", ')), RESPONSE],
            "test.v1.Features.b and a are both bound to 'a'",
            id="bound-twice",
        ),
        pytest.param(
            [
                features(A, B),
                RESPONSE.replace("no_probability = 1", "no_probability = 1 [(buf.validate.field).double.gte = 0.99]"),
            ],
            "the answer of model 'test' version 1 to the example of test.v1.Features breaks no_probability: must be greater",
            id="answer-breaks-rule",
        ),
    ],
)
def test_model_must_match_contract(tmp_path: Path, bundle: Bundle, parts: list[str], says: str) -> None:
    contract = served_contract(tmp_path, *parts)
    with pytest.raises(ModelMismatch) as refused:
        loaded(bundle, contract)
    assert says in str(refused.value)


def test_model_must_answer_contract_example(tmp_path: Path) -> None:
    class Picky(LogisticRegression):
        def predict_proba(self, rows: Any) -> Any:
            raise ValueError("not this one")

    import skops  # noqa: F401  # Imported before the model below.

    from grpc_server.checks.contract_agreement import check_examples
    from tests.support.fakes import FakeRuntime

    contract = served_contract(tmp_path, features(A, B), RESPONSE)
    method = contract.services[0].methods[0]
    binding = MethodBinding(contract, method, ("a", "b"), ("no", "yes"))
    with pytest.raises(
        ModelMismatch, match=r"the model cannot answer the example of test.v1.Features \(ValueError: not this one\)"
    ):
        check_examples(FakeRuntime(Picky().predict_proba).predict, {"Predict": binding}, contract, "the model")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"columns": ("a", "b", "c")}, "has 2 columns, its manifest names 3"),
        ({"classes": ("yes", "no")}, "has the classes no, yes, its manifest says yes, no"),
        ({"targets": (Target("u", ("no", "yes")), Target("v", ("no", "yes")))}, "predicts 1 target, its manifest names 2"),
    ],
)
def test_manifest_must_match_model(tmp_path: Path, bundle: Bundle, change: dict[str, Any], says: str) -> None:
    altered = Bundle("test", "1", bundle.manifest.model_copy(update=change), bundle.artifact, ())
    with pytest.raises(ModelMismatch) as refused:
        loaded(altered, served_contract(tmp_path, features(A, B), RESPONSE))
    assert says in str(refused.value)
