"""Adding a scikit-learn model with `--accelerate`: which conversions are stored, and what the manifest records."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

from foretell.cli import app
from foretell_contract.contract import Contract
from grpc_server.checks.add_model import add_model
from grpc_server.checks.gates import Gates
from grpc_server.errors import ArtifactAltered, ModelError, ModelMismatch
from grpc_server.loading.loader import load_model
from grpc_server.settings import ServerSettings
from grpc_server.store.repository import Repository
from tests.conftest import PROTOS, ROOT
from tests.support.iris import COLUMNS
from tests.support.models.accelerated_iris import X, Y, add, golden_rows

pytestmark = pytest.mark.slow

CLASSIFIERS: dict[str, Any] = {
    each.__name__: each
    for each in (
        CalibratedClassifierCV,
        DecisionTreeClassifier,
        ExtraTreesClassifier,
        GaussianNB,
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        LogisticRegression,
        MLPClassifier,
        RandomForestClassifier,
        StandardScaler,
        SVC,
        make_pipeline,
    )
}


def documented() -> list[tuple[str, str, str]]:
    """Rows of the table in the docs: a classifier, and the outcome of its conversion to each format."""
    page = (ROOT / "docs/reference/formats.md").read_text().partition("| classifier |")[2].partition("\n\n")[0]
    return [tuple(cell.strip(" `") for cell in line.strip("|").split("|")) for line in page.splitlines()[2:]]


@pytest.fixture(scope="module", autouse=True)
def single_thread() -> Iterator[None]:
    """Histogram gradient boosting uses all cores, and waits for busy ones."""
    with threadpool_limits(1):
        yield


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("classifier", "onnx", "trees"), documented())
def test_docs_state_which_classifiers_agree(
    repository: Repository, contract: Contract, classifier: str, onnx: str, trees: str
) -> None:
    fitted = eval(classifier, CLASSIFIERS).fit(X, Y)
    for acceleration, outcome in (("onnx", onnx), ("trees", trees)):
        if outcome == "depends":
            assert_agrees_or_nearly(repository, fitted, acceleration, contract)
            continue
        if outcome == "agrees":
            assert add(repository, fitted, acceleration, contract).acceleration.startswith(
                f"accelerated: {acceleration} answers a row "
            )
            continue
        with pytest.raises(ModelError, match="cannot (convert|import)" if outcome == "no conversion" else "disagrees on"):
            add(repository, fitted, acceleration, contract)


def assert_agrees_or_nearly(repository: Repository, fitted: Any, acceleration: str, contract: Contract) -> None:
    """The conversion agrees, or is refused for a few rows that differ by less than 0.005, where libsvm stops iterating."""
    try:
        assert add(repository, fitted, acceleration, contract).acceleration.startswith(
            f"accelerated: {acceleration} answers a row "
        )
    except ModelMismatch as refusal:
        found = re.search(r"disagrees on (\d+) of .* gives \w+ ([\d.]+), the original ([\d.]+)", str(refusal))
        assert found
        assert int(found[1]) < 20
        assert abs(float(found[2]) - float(found[3])) < 0.005


@pytest.mark.parametrize("format_name", ["onnx", "trees"])
def test_manifest_states_which_artifact_serves(
    repository: Repository, contract: Contract, forest: RandomForestClassifier, format_name: Any
) -> None:
    added = add(repository, forest, format_name, contract, golden_rows(forest))
    assert added.format == format_name
    manifest = repository.read("iris", "1").manifest
    assert (manifest.format, manifest.artifact, manifest.original) == (format_name, f"model.{format_name}", "model.joblib")
    assert set(manifest.files) == {f"model.{format_name}", "model.joblib", "golden.jsonl", "contract.binpb"}
    assert {"scikit-learn", "onnxruntime" if format_name == "onnx" else "treelite"} <= set(manifest.libraries)
    for file in manifest.files:
        path = repository.root / "iris/1" / file
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(ArtifactAltered, match=f"{file} is not as it was added"):
            repository.read("iris", "1")
        path.write_bytes(data)
    assert repository.read("iris", "1").artifact == (repository.root / "iris/1" / f"model.{format_name}").read_bytes()


@pytest.mark.parametrize("format_name", ["onnx", "trees"])
def test_golden_rows_check_the_conversion_at_load(
    repository: Repository, contract: Contract, forest: RandomForestClassifier, format_name: Any
) -> None:
    add(repository, forest, format_name, contract, golden_rows(forest))
    bundle = repository.read("iris", "1")
    load = {"contract": contract, "service": contract.services[0], "settings": ServerSettings(), "gates": Gates("")}
    load_model(bundle, **load).close(10)
    wrong = bundle.golden[0].model_copy(update={"probabilities": {"setosa": 0.0, "versicolor": 1.0, "virginica": 0.0}})
    with pytest.raises(ModelMismatch, match=r"model 'iris' version 1 gives setosa 1.000000 for golden row 1, expected 0.000000"):
        load_model(dataclasses.replace(bundle, golden=(wrong,)), **load)


@pytest.mark.parametrize(
    ("classifier", "format_name", "message"),
    [
        (
            GaussianNB(),
            "onnx",
            r"accelerated: onnx answers a row [\d.]+x as fast, 64 rows [\d.]+x, and agrees on \d,\d{3} rows",
        ),
        (
            HistGradientBoostingClassifier(max_iter=5),
            "trees",
            r"accelerated: trees answers a row [\d.]+x as fast, 64 rows [\d.]+x, and agrees on \d,\d{3} rows; --accelerate no",
        ),
        (
            CalibratedClassifierCV(SVC(), ensemble=False, method="isotonic"),
            "joblib",
            "not accelerated: the onnx conversion disagrees on .*; treelite cannot import CalibratedClassifierCV ",
        ),
    ],
)
def test_auto_takes_the_fastest_that_agrees(
    repository: Repository, contract: Contract, classifier: Any, format_name: str, message: str
) -> None:
    added = add(repository, classifier.fit(X, Y), "auto", contract)
    assert added.format == format_name
    assert re.search(message, added.acceleration)
    assert (repository.read("iris", "1").manifest.original is None) == (format_name == "joblib")


def test_comparison_needs_ranges_of_the_columns(repository: Repository, forest: RandomForestClassifier) -> None:
    with pytest.raises(ModelError, match="the column 'sepal_length' has no range"):
        add(repository, forest, "onnx", None)
    assert add(repository, forest, "auto", None).acceleration.startswith("not accelerated: the column 'sepal_length' has no range")
    assert add(repository, forest, "onnx", None, golden_rows(forest)).format == "onnx"


def test_onnx_file_cannot_be_accelerated(repository: Repository, contract: Contract, tmp_path: Path) -> None:
    add(repository, LogisticRegression().fit(X, Y), "onnx", contract)
    with pytest.raises(ModelError, match=r"model.onnx is no scikit-learn model: only those can be accelerated"):
        add_model(repository, repository.root / "iris/1/model.onnx", "iris", acceleration="auto", contract=contract)


def test_command_takes_bounds_from_the_contracts(repository: Repository, forest: RandomForestClassifier, tmp_path: Path) -> None:
    joblib.dump(forest, tmp_path / "model.joblib")
    arguments = ["add", str(tmp_path / "model.joblib"), "--name", "iris", "--columns", ",".join(COLUMNS)]
    arguments += ["--models", str(repository.root), "--accelerate", "trees", "--protos"]
    done = CliRunner().invoke(app, [*arguments, str(PROTOS)])
    assert done.exit_code == 0
    assert re.fullmatch(
        r"added iris version 1 as joblib: skops does not trust sklearn.tree._tree.Tree; .*\nproduction of iris is version 1\n"
        r"accelerated: trees answers a row [\d.]+x as fast, 64 rows [\d.]+x, and agrees on \d,\d{3} rows; --accelerate no .*\n",
        done.output,
    )
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "nowhere")])
    assert str(done.exception) == f"no folder of contracts at {tmp_path / 'nowhere'}: create it or pass --protos"
