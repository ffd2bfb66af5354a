"""Every reason for which a start refuses a model, listed at once, each with its fix."""

from importlib import metadata
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from foretell_contract.contract import load
from grpc_server.checks.add_model import add_model
from grpc_server.loading.examined_bundle import find_problems
from grpc_server.rows.targets import Target
from grpc_server.settings import ServerSettings
from grpc_server.store.manifest import GoldenRow, Manifest, Scalar
from grpc_server.store.repository import Bundle, Repository
from tests.support.contract_files import SERVICE, features, write_contract

X = np.random.default_rng(0).random((60, 2))
Y = np.where(X[:, 0] > X[:, 1], "yes", "no")
PLACE = "model 'test' version 1"
RULES = "[(buf.validate.field) = {required: true, double: {gte: 0, lte: 1, example: %s}}]"
A, B = f"optional double a {RULES % 0.9}", f"optional double b {RULES % 0.1}"
RESPONSE = "message Response { double no_probability = 1; double yes_probability = 2; }"
BATCH = """
service TestService { rpc Predict(Features) returns (Response); rpc PredictBatch(Rows) returns (Answers); }
message Rows { repeated Features rows = 1; }
message Answers { repeated Response answers = 1; }
"""
RIGHT = "if the new value is right, add the model again with golden rows that expect it"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return added(tmp_path_factory.mktemp("one"), LogisticRegression().fit(X, Y))


def added(folder: Path, model: Any, **facts: Any) -> Bundle:
    joblib.dump(model, folder / "model.joblib")
    repository = Repository(folder / "models")
    add_model(repository, folder / "model.joblib", "test", ("a", "b"), **facts)
    return repository.read("test", "1")


def mismatches(tmp_path: Path, bundle: Bundle, *parts: str, **settings: Any) -> list[tuple[str, str, str]]:
    """Name, reason and fix of each mismatch."""
    contract = load(write_contract(tmp_path / "protos", *(parts or (SERVICE, features(A, B), RESPONSE))), strict=False)
    found = find_problems(bundle, contract, contract.services[0], ServerSettings(placement="inline", **settings))
    assert all(each.severity.value == "error" for each in found)
    return [(each.name, each.reason, each.fix) for each in found]


def with_golden(bundle: Bundle, *rows: tuple[dict[str, Scalar | None], dict[str, Scalar]]) -> Bundle:
    golden = tuple(GoldenRow(features=features, outputs=outputs) for features, outputs in rows)
    return Bundle(bundle.name, bundle.version, bundle.manifest, bundle.artifact, golden)


def test_model_that_fits_has_no_mismatches(tmp_path: Path, bundle: Bundle) -> None:
    row: dict[str, Scalar | None] = {"a": 0.9, "b": 0.1}
    assert mismatches(tmp_path, with_golden(bundle, (row, {"label": "yes"}))) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            {"columns": ("a", "b", "c")},
            [("has 2 columns, its manifest names 3", "add it with --columns that names each")],
            id="width",
        ),
        pytest.param(
            {"classes": ("yes", "no")},
            [("has the classes no, yes, its manifest says yes, no", "add it without --classes: the model knows its own")],
            id="classes",
        ),
        pytest.param(
            {"columns": ("a",), "classes": ()},
            [
                ("has 2 columns, its manifest names 1", "add it with --columns that names each"),
                ("has the classes no, yes, its manifest says none", "add it without --classes: the model knows its own"),
            ],
            id="both",
        ),
        pytest.param(
            {"targets": (Target("u", ("no", "yes")), Target("v", ("no", "yes")))},
            [("predicts 1 target, its manifest names 2", "add the model again")],
            id="targets",
        ),
    ],
)
def test_manifest_of_another_model_is_refused(
    tmp_path: Path, bundle: Bundle, change: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    wrong = Bundle("test", "1", bundle.manifest.model_copy(update=change), bundle.artifact, ())
    assert mismatches(tmp_path, wrong) == [("", f"{PLACE} {reason}", fix) for reason, fix in expected]


def test_classes_of_several_targets_are_compared(tmp_path: Path) -> None:
    both = np.column_stack((Y, np.where(X[:, 0] > 0.5, "high", "low")))
    bundle = added(tmp_path, MultiOutputClassifier(LogisticRegression()).fit(X, both))
    other = (bundle.manifest.targets[0], Target("size", ("low", "high")))
    wrong = Bundle("test", "1", bundle.manifest.model_copy(update={"targets": other}), bundle.artifact, ())
    reason = f"{PLACE} has the classes high, low, its manifest says low, high of size"
    assert mismatches(tmp_path, wrong) == [("", reason, "add the model again")]


def test_failing_golden_rows_are_counted(tmp_path: Path, bundle: Bundle) -> None:
    right: tuple[dict[str, Scalar | None], dict[str, Scalar]] = ({"a": 0.9, "b": 0.1}, {"label": "yes"})
    wrong: tuple[dict[str, Scalar | None], dict[str, Scalar]] = ({"a": 0.9, "b": 0.1}, {"label": "no", "probability.no": 2.0})
    one = f"{PLACE} gives the label 'yes' for golden row 2, expected 'no'"
    assert mismatches(tmp_path, with_golden(bundle, right, wrong)) == [("", one, RIGHT)]
    assert mismatches(tmp_path, with_golden(bundle, right, wrong, wrong)) == [("", f"{one} (2 of 3 golden rows fail)", RIGHT)]


def test_missing_and_different_outputs_are_listed(tmp_path: Path, bundle: Bundle) -> None:
    row: dict[str, Scalar | None] = {"a": 0.5, "b": 0.5}
    bundle_with_golden = with_golden(bundle, (row, {"lable": "no"}), (row, {"value": 1.0, "decision.0": "much", "lable": "no"}))
    fix = "remove it from the golden rows, and add the model again"
    assert sorted(mismatches(tmp_path, bundle_with_golden)) == [
        ("", f"golden row 1: {PLACE} gives no output 'lable'; did you mean \"label\"?", fix),
        ("", f"golden row 2: {PLACE} gives no output 'value'", fix),
        ("", f"{PLACE} gives a number as decision.0 for golden row 2, expected 'much'", RIGHT),
    ]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param(
            {"a": 1.0},
            (
                f"golden row 1 does not name exactly the columns and classes of {PLACE}",
                "name a, b in each row, and add the model again",
            ),
            id="columns",
        ),
        pytest.param(
            {"a": 1.0, "b": "much"},
            ("golden row 1: b is 'much', but the column is float64", "write a number there, and add the model again"),
            id="type",
        ),
    ],
)  # fmt: skip
def test_golden_rows_of_other_columns_are_refused(
    tmp_path: Path, bundle: Bundle, row: dict[str, Scalar | None], expected: tuple[str, str]
) -> None:
    assert mismatches(tmp_path, with_golden(bundle, (row, {"label": "no"}))) == [("", *expected)]


def test_problems_of_all_gates_are_listed(tmp_path: Path, bundle: Bundle) -> None:
    loose = B.replace("required: true, ", "")
    narrow = RESPONSE.replace("no_probability = 1", "no_probability = 1 [(buf.validate.field).double.gte = 0.99]")
    bundle_with_golden = with_golden(bundle, ({"a": 0.9, "b": 0.1}, {"label": "no"}))
    broken, missing, golden = mismatches(tmp_path, bundle_with_golden, BATCH, features(A, loose), narrow)
    assert broken == (
        "test.v1.Response.no_probability",
        f"the answer of {PLACE} to the example of test.v1.Features breaks no_probability: must be greater than or equal to 0.99",
        "change the rule: the model decides its answers",
    )
    name, reason, fix = missing
    assert (name, fix) == ("test.v1.Features.b", "make it `required`")
    assert reason.startswith(
        f"test.v1.Features.b may be missing, but {PLACE} cannot answer then (ValueError: Input X contains NaN."
    )
    assert golden == ("", f"{PLACE} gives the label 'yes' for golden row 1, expected 'no'", RIGHT)


def test_failing_example_is_listed(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).integers(1, 3, (60, 2))
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(whole, whole[:, 0] > 1)
    golden = b'{"features": {"a": 1, "b": 2}, "outputs": {"label": "False"}}'
    bundle = added(tmp_path, model, golden=golden)
    response = "message Response { bool label = 1; }"
    unknown = f"(ValueError: Found unknown categories {[np.float64(0.9)]} in column 0 during transform)"
    assert mismatches(tmp_path, bundle, SERVICE, features(A, B), response) == [
        (
            "test.v1.Features",
            f"{PLACE} cannot answer the example of test.v1.Features {unknown}",
            "give the fields examples that the model was trained for",
        )
    ]


def test_exception_on_a_golden_row_is_listed(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).integers(1, 3, (60, 2))
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(whole, whole[:, 0] > 1)
    golden = b'{"features": {"a": 1, "b": 2}, "outputs": {"label": "False"}}'
    bundle = added(tmp_path, model, golden=golden)
    bundle_with_golden = with_golden(bundle, ({"a": 1, "b": 2}, {"label": "False"}), ({"a": 7, "b": 2}, {"label": "False"}))
    found = mismatches(
        tmp_path,
        bundle_with_golden,
        SERVICE,
        features(A, B).replace("0.9", "1").replace("0.1", "1"),
        "message Response { bool label = 1; }",
    )
    reason = f"{PLACE} fails (ValueError: Found unknown categories {[np.float64(7)]} in column 0 during transform)"
    assert found == [("", reason, "train the model again where it is served, and add it again")]


def test_slow_model_is_refused_with_its_limit(tmp_path: Path, bundle: Bundle) -> None:
    ((name, reason, fix),) = mismatches(tmp_path, bundle, max_row_seconds=1e-12)
    start, _, end = reason.partition(" takes ")
    assert (name, start, fix) == ("", PLACE, "raise it, or speed the model up")
    assert end.endswith(" s for a row, but max_row_seconds is 1e-12")


def test_defect_of_the_contract_hides_no_mismatch(tmp_path: Path, bundle: Bundle) -> None:
    wrong = A.replace("example: 0.9", "example: 9").replace("double a ", "double aa ")
    names = [name for name, _, _ in mismatches(tmp_path, bundle, SERVICE, features(wrong, B), RESPONSE)]
    assert names == ["test.v1.Features.aa"]


def test_artifact_that_does_not_load_is_listed(tmp_path: Path, bundle: Bundle) -> None:
    broken = Bundle("test", "1", bundle.manifest, b"no model", ())
    ((name, reason, fix),) = mismatches(tmp_path, broken)
    assert (name, fix) == ("", "train the model again where it is served, and add it again")
    assert reason.startswith(f"the {bundle.manifest.format} artifact does not load (")


def test_libraries_of_another_version_are_listed(tmp_path: Path, bundle: Bundle) -> None:
    manifest: Manifest = bundle.manifest.model_copy(update={"libraries": {"scikit-learn": "1.2.3"}})
    ((name, reason, fix),) = mismatches(tmp_path, Bundle("test", "1", manifest, bundle.artifact, ()))
    reason_of = f"{PLACE} was trained with scikit-learn 1.2.3, but {metadata.version('scikit-learn')} is installed"
    assert (name, reason) == ("", reason_of)
    assert fix == "pip install 'scikit-learn==1.2.3', train it again, or set FORETELL_ALLOW_VERSION_SKEW=true"
