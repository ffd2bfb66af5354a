"""Serving a conversion of a scikit-learn model: only one that agrees, beside its original, and without scikit-learn."""

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import joblib
import numpy as np
import pytest
import treelite
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
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
from sklearn.preprocessing import StandardScaler, minmax_scale
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

from contract.contract import Contract
from foretell.cli import app
from grpc_server import runtimes
from grpc_server.accelerating import Comparison
from grpc_server.adding import Added, add_model
from grpc_server.errors import ArtifactAltered, ModelError, ModelMismatch, ModelUnloadable
from grpc_server.manifest import GoldenRow
from grpc_server.model import load_model
from grpc_server.outputs import Output
from grpc_server.probes import Ranges
from grpc_server.repository import Repository
from grpc_server.runtimes import Matrix, Runtime
from grpc_server.runtimes.estimator import EstimatorRuntime
from grpc_server.runtimes.trees_conversion import in_double
from grpc_server.settings import ServerSettings
from grpc_server.table import PLAIN
from tests.conftest import PROTOS, ROOT
from tests.fakes import MANIFEST, FakeRuntime
from tests.iris import CLASSES, COLUMNS, EXAMPLE
from tests.processes import grpc_server

IRIS = load_iris()
X, Y = minmax_scale(IRIS.data), IRIS.target_names[IRIS.target]
NONE = np.zeros(4, dtype=bool)
PROBABILITIES = {Output("probability", item) for item in range(3)}
UNIT = Ranges(np.zeros(4), np.ones(4), NONE, NONE)

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
    """The table in the docs: a classifier, and what becomes of its conversion to each format."""
    page = (ROOT / "docs/models.md").read_text().partition("| classifier |")[2].partition("\n\n")[0]
    return [tuple(cell.strip(" `") for cell in line.strip("|").split("|")) for line in page.splitlines()[2:]]


def add(repository: Repository, classifier: Any, acceleration: Any, contract: Contract | None, golden: bytes = b"") -> Added:
    repository.root.mkdir(exist_ok=True)
    file = repository.root.parent / "model.joblib"
    joblib.dump(classifier, file)
    return add_model(repository, file, "iris", COLUMNS, golden, acceleration=acceleration, contract=contract)


@pytest.fixture(scope="module", autouse=True)
def single_thread() -> Iterator[None]:
    """Histogram gradient boosting would take all cores, and wait for them where they are busy."""
    with threadpool_limits(1):
        yield


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("classifier", "onnx", "trees"), documented())
def test_the_docs_say_which_classifiers_agree(
    repository: Repository, contract: Contract, classifier: str, onnx: str, trees: str
) -> None:
    fitted = eval(classifier, CLASSIFIERS).fit(X, Y)
    for acceleration, outcome in (("onnx", onnx), ("trees", trees)):
        if outcome == "depends":
            assert_agrees_or_stopped_a_step_earlier(repository, fitted, acceleration, contract)
            continue
        if outcome == "agrees":
            assert f"{acceleration} agrees with it on " in add(repository, fitted, acceleration, contract).why
            continue
        with pytest.raises(ModelError, match="cannot (convert|import)" if outcome == "no conversion" else "disagrees on"):
            add(repository, fitted, acceleration, contract)


def assert_agrees_or_stopped_a_step_earlier(repository: Repository, fitted: Any, acceleration: str, contract: Contract) -> None:
    """It is taken, or refused for a few rows that are off by little: libsvm's iteration stops at 0.005."""
    try:
        assert f"{acceleration} agrees with it on " in add(repository, fitted, acceleration, contract).why
    except ModelMismatch as refusal:
        found = re.search(r"disagrees on (\d+) of .* gives \w+ ([\d.]+), the original ([\d.]+)", str(refusal))
        assert found
        assert int(found[1]) < 20
        assert abs(float(found[2]) - float(found[3])) < 0.005


@pytest.fixture(scope="module")
def forest() -> RandomForestClassifier:
    return RandomForestClassifier(10, random_state=0).fit(X, Y)


def said(runtime: Runtime, rows: Matrix) -> Matrix:
    """What it says at the least: the probabilities of a classifier, the values of a regressor."""
    return runtime.sources([PLAIN] * runtime.width, rows[:1], [CLASSES])[0].run(rows)


def golden_rows(classifier: Any) -> bytes:
    lines = [
        {
            "features": dict(zip(COLUMNS, row.tolist(), strict=True)),
            "probabilities": dict(zip(CLASSES, answer.tolist(), strict=True)),
        }
        for row, answer in zip(X[::30], classifier.predict_proba(X[::30]), strict=True)
    ]
    return "\n".join(map(json.dumps, lines)).encode()


@pytest.mark.parametrize("format_name", ["onnx", "trees"])
def test_both_artifacts_are_kept_and_the_manifest_says_which_one_serves(
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
def test_golden_rows_are_held_against_what_serves(
    repository: Repository, contract: Contract, forest: RandomForestClassifier, format_name: Any
) -> None:
    add(repository, forest, format_name, contract, golden_rows(forest))
    bundle = repository.read("iris", "1")
    load = {"contract": contract, "service": contract.services[0], "settings": ServerSettings()}
    load_model(bundle, **load).close(10)
    wrong = bundle.golden[0].model_copy(update={"probabilities": {"setosa": 0.0, "versicolor": 1.0, "virginica": 0.0}})
    with pytest.raises(ModelMismatch, match=r"model 'iris' version 1 gives setosa 1.000000 for golden row 1, expected 0.000000"):
        load_model(dataclasses.replace(bundle, golden=(wrong,)), **load)


@pytest.mark.parametrize(
    ("classifier", "format_name", "says"),
    [
        (LogisticRegression(), "onnx", r"onnx is the fastest that agrees with it on \d,\d{3} rows"),
        (HistGradientBoostingClassifier(max_iter=5), "trees", "trees is the fastest"),
        (
            CalibratedClassifierCV(SVC(), ensemble=False, method="isotonic"),
            "joblib",
            "not accelerated: the onnx conversion disagrees on .*; treelite cannot import CalibratedClassifierCV ",
        ),
    ],
)
def test_auto_takes_the_fastest_that_agrees_and_else_the_model_itself(
    repository: Repository, contract: Contract, classifier: Any, format_name: str, says: str
) -> None:
    added = add(repository, classifier.fit(X, Y), "auto", contract)
    assert added.format == format_name
    assert re.search(says, added.why)
    assert (repository.read("iris", "1").manifest.original is None) == (format_name == "joblib")


def test_without_bounds_there_is_nothing_to_compare_on(repository: Repository, forest: RandomForestClassifier) -> None:
    with pytest.raises(ModelError, match="nothing tells the range of the column 'sepal_length'"):
        add(repository, forest, "onnx", None)
    assert "; not accelerated: nothing tells the range" in add(repository, forest, "auto", None).why
    assert add(repository, forest, "onnx", None, golden_rows(forest)).format == "onnx"


class Broken(LogisticRegression):
    """Fails above a half."""

    def predict_proba(self, rows: Matrix) -> Any:
        if rows.max() > 0.5:
            raise ValueError("too much for me")
        return super().predict_proba(rows)


def test_a_model_that_fails_within_its_bounds_is_not_accelerated() -> None:
    comparison = Comparison(EstimatorRuntime(Broken().fit(X, Y)), MANIFEST, (), UNIT, PROBABILITIES)
    with pytest.raises(ModelError, match=r"the model fails within its bounds \(ValueError: too much for me\)"):
        comparison.check(FakeRuntime(), "it")


def test_an_onnx_file_cannot_be_accelerated(repository: Repository, contract: Contract, tmp_path: Path) -> None:
    add(repository, LogisticRegression().fit(X, Y), "onnx", contract)
    with pytest.raises(ModelError, match=r"model.onnx is no scikit-learn model: only those can be accelerated"):
        add_model(repository, repository.root / "iris/1/model.onnx", "iris", acceleration="auto", contract=contract)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return Comparison(EstimatorRuntime(LogisticRegression().fit(X, Y)), MANIFEST, (), UNIT, PROBABILITIES)


EXACT = LogisticRegression().fit(X, Y).predict_proba


def at_a_corner(rows: Matrix) -> Matrix:
    """Wrong in one corner of the bounds only."""
    answers = EXACT(rows)
    answers[(rows == [0, 1, 1, 0]).all(axis=1), 2] += 2e-6
    return answers


def swapped(rows: Matrix) -> Matrix:
    return EXACT(rows)[:, [1, 0, 2]]


def not_a_number(rows: Matrix) -> Matrix:
    answers = EXACT(rows)
    answers[answers.argmax(axis=1) == 0] = np.nan
    return answers


@pytest.mark.parametrize(
    ("predict", "says"),
    [
        (
            at_a_corner,
            r"^it disagrees on \d of \d+ rows, most at sepal_length=0.0, sepal_width=1.0, petal_length=1.0, petal_width=0.0: "
            r"it gives virginica 0\.\d+, the original 0\.\d+$",
        ),
        (swapped, r"it disagrees on \d{4} of \d{4} rows, most at .*: it gives (setosa|versicolor) "),
        (not_a_number, "it disagrees on .*: it gives setosa nan, the original 0"),
    ],
)
def test_a_disagreement_is_said_with_its_row_and_both_values(comparison: Comparison, predict: Any, says: str) -> None:
    comparison.check(FakeRuntime(lambda rows: EXACT(rows) + 9e-7), "it")
    with pytest.raises(ModelMismatch, match=says):
        comparison.check(FakeRuntime(predict), "it")


def test_a_tie_that_falls_the_other_way_is_a_disagreement() -> None:
    class Torn(LogisticRegression):
        def predict_proba(self, rows: Matrix) -> Any:
            return np.tile([0.5, 0.5, 0.0], (len(rows), 1))

    comparison = Comparison(EstimatorRuntime(Torn().fit(X, Y)), MANIFEST, (), UNIT, PROBABILITIES)
    with pytest.raises(ModelMismatch, match=r"versicolor 0\.50000001, the original 0.5, so that setosa is no longer the likeliest"):
        comparison.check(FakeRuntime(lambda rows: np.tile([0.5, 0.50000001, 0.0], (len(rows), 1))), "it")


def test_golden_rows_are_held_against_a_conversion_too() -> None:
    """Each within the tolerance of the other, but not of both."""
    expected = dict(zip(CLASSES, (EXACT(X[:1])[0] + 8e-7).tolist(), strict=True))
    row = GoldenRow(features=dict(zip(COLUMNS, X[0].tolist(), strict=True)), probabilities=expected)
    comparison = Comparison(EstimatorRuntime(LogisticRegression().fit(X, Y)), MANIFEST, (row,), UNIT, PROBABILITIES)
    with pytest.raises(ModelMismatch, match=r"it gives setosa .* for golden row 1"):
        comparison.check(FakeRuntime(lambda rows: EXACT(rows) - 8e-7), "it")


@pytest.mark.parametrize("format_name", ["onnx", "trees"])
def test_two_classes_are_converted_in_their_order(format_name: str) -> None:
    for classifier in (GradientBoostingClassifier(n_estimators=5), RandomForestClassifier(5)):
        classifier.fit(X, Y == "virginica")
        runtime = runtimes.load(format_name, next(runtimes.conversions(format_name, classifier, COLUMNS, [("False", "True")])))
        assert np.abs(said(runtime, X) - classifier.predict_proba(X)).max() < 1e-6


def test_trees_never_read_beyond_a_row(forest: RandomForestClassifier) -> None:
    runtime = runtimes.load("trees", next(runtimes.conversions("trees", forest, COLUMNS, [CLASSES])))
    with pytest.raises(ValueError, match="rows of 3 columns for trees of 4"):
        said(runtime, X[:, :3])
    columnwise = np.asfortranarray(X)
    assert (said(runtime, columnwise) == said(runtime, X)).all()
    for damaged in (b"", b"not trees", b"\0" * 1000):
        with pytest.raises(ModelUnloadable, match="treelite: "):
            runtimes.load("trees", damaged)


@given(st.floats(-1e30, 1e30), st.integers(-2, 2), st.booleans())
def test_thresholds_in_double_decide_as_those_after_rounding(threshold: float, steps: int, beside: bool) -> None:
    """At the threshold, at its float32 neighbours, halfway between them, and one step of a float64 aside."""
    (double,) = in_double(np.array([threshold]))
    near = np.float32(threshold)
    for _ in range(abs(steps)):
        near = np.nextafter(near, np.float32(np.copysign(np.inf, steps)))
    halfway = (float(near) + float(np.nextafter(near, np.float32(np.inf)))) / 2
    for value in (threshold, double, float(near), halfway):
        number = np.nextafter(value, np.inf) if beside else value
        assert (float(np.float32(number)) <= threshold) == (number <= double)


@pytest.mark.parametrize("format_name", ["onnx", "trees"])
def test_a_real_server_imports_nothing_of_scikit_learn(
    repository: Repository,
    contract: Contract,
    forest: RandomForestClassifier,
    format_name: Any,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    add(repository, forest, format_name, contract, golden_rows(forest))
    monkeypatch.setenv("PYTHONVERBOSE", "1")  # The server lists every module on stderr as it imports it.
    (method,) = (method for method in contract.services[0].methods if method.name == "Predict")
    with grpc_server(repository.root) as (process, address), grpc.insecure_channel(address) as channel:
        answer: Any = method.response.FromString(
            channel.unary_unary(method.path)(method.request(**EXAMPLE).SerializeToString(), timeout=30)
        )
        process.terminate()
        process.wait(30)
    expected = forest.predict_proba([list(EXAMPLE.values())])[0]
    assert [answer.setosa_probability, answer.versicolor_probability, answer.virginica_probability] == pytest.approx(
        expected, abs=1e-6
    )
    imported = set(re.findall(r"^import '([^']+)' #", capfd.readouterr().err, re.MULTILINE))
    assert f"grpc_server.runtimes.{format_name}_format" in imported
    foreign = {"sklearn", "scipy", "joblib", "skops", "onnx", "skl2onnx", "treelite", "pandas"}
    assert not {name for name in imported if name.partition(".")[0] in foreign}


def run_without(modules: tuple[str, ...], program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m program` where some packages are not installed."""
    script = f"import runpy, sys; sys.modules |= dict.fromkeys({modules!r}); runpy.run_module({program!r}, run_name='__main__')"
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_missing_extra_is_said_with_its_cure(
    repository: Repository, contract: Contract, forest: RandomForestClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(repository, forest, "onnx", contract)
    monkeypatch.setenv("FORETELL_MODELS", str(repository.root))
    monkeypatch.setenv("FORETELL_GRPC_ADDRESS", "127.0.0.1:0")
    done = run_without(("onnxruntime",), "grpc_server")
    cure = "onnx needs onnxruntime, which is not installed: pip install 'foretell[onnx]'"
    assert (done.returncode, done.stderr) == (2, f"foretell: {cure}\n")
    file = str(repository.root.parent / "model.joblib")
    arguments = ("add", file, "--name", "iris", "--columns", ",".join(COLUMNS), "--accelerate", "auto")
    done = run_without(("onnxruntime", "treelite"), "foretell", *arguments)
    assert done.returncode == 0
    assert done.stdout.endswith(
        f"; not accelerated: {cure}; trees needs treelite, which is not installed: pip install 'foretell[trees]'\n"
    )


def test_the_command_takes_the_bounds_from_the_contracts(
    repository: Repository, forest: RandomForestClassifier, tmp_path: Path
) -> None:
    joblib.dump(forest, tmp_path / "model.joblib")
    arguments = ["add", str(tmp_path / "model.joblib"), "--name", "iris", "--columns", ",".join(COLUMNS)]
    arguments += ["--models", str(repository.root), "--accelerate", "trees", "--protos"]
    done = CliRunner().invoke(app, [*arguments, str(PROTOS)])
    assert done.exit_code == 0
    assert re.fullmatch(
        r"added iris version 1 as trees: skops does not trust sklearn.tree._tree.Tree; .*; trees agrees with it on \d,\d{3} rows\n",
        done.output,
    )
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "nowhere")])
    assert str(done.exception) == f"no folder of contracts at {tmp_path / 'nowhere'}: create it or pass --protos"


def test_conversions_that_round_otherwise_are_told_apart(forest: RandomForestClassifier) -> None:
    """A scaler in float32 before trees, and thresholds in float64 for what scikit-learn compares in float32."""
    scaled = make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0)).fit(X, Y)
    plainest = next(runtimes.conversions("onnx", scaled, COLUMNS, [CLASSES]))
    unrounded = treelite.sklearn.import_model(forest).serialize_bytes()
    for estimator, format_name, artifact in ((scaled, "onnx", plainest), (forest, "trees", unrounded)):
        comparison = Comparison(EstimatorRuntime(estimator), MANIFEST, (), UNIT, PROBABILITIES)
        with pytest.raises(ModelMismatch, match="it disagrees on"):
            comparison.check(runtimes.load(format_name, artifact), "it")
        assert comparison.agreeing(format_name)[0].format == format_name
