"""`foretell serve MODEL`: from a bare folder to the first answers, later starts, and refusals."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx2
import joblib
import pytest
from google.protobuf import json_format
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from foretell.cli import app
from foretell.init.first_start import ensure_model
from foretell.settings import ServeSettings
from foretell_contract.contract import load
from foretell_contract.errors import SetupError
from grpc_server.checks.add_model import add_model
from grpc_server.store.manifest import RegistrySource
from grpc_server.store.repository import Repository
from tests.support.processes import Foretell, foretell

FLOWERS, CODES = load_iris(as_frame=True, return_X_y=True)
SPECIES = load_iris().target_names[CODES]
MODEL = LogisticRegression(max_iter=1000).fit(FLOWERS, SPECIES)
VIRGINICA = dict(zip(("sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm"), FLOWERS.iloc[-1], strict=True))


@dataclass
class FirstStart:
    """What the first `foretell serve flower/model.joblib --data ...` did in a bare folder."""

    root: Path
    banner: str
    rest: dict[str, Any]
    grpc: dict[str, Any]


def arguments(root: Path, *more: str) -> list[str]:
    return [str(root / "flower/model.joblib"), *more, "--protos", str(root / "protos"), "--models", str(root / "models")]


def answers(running: Foretell, root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answers to a flower over REST, at the path that the banner shows, and over gRPC."""
    curl = re.search(r"curl (\S+) ", running.banner)
    assert curl, running.banner
    over_rest = httpx2.post(curl[1], json=VIRGINICA, timeout=30).json()
    method = load(root / "protos").services[0].methods[0]
    request = json_format.ParseDict(VIRGINICA, method.request()).SerializeToString()
    with grpc.insecure_channel(running.grpc) as channel:
        response = method.response.FromString(channel.unary_unary(method.path)(request, timeout=30))
    return over_rest, json_format.MessageToDict(response, preserving_proto_field_name=True)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> FirstStart:
    root = tmp_path_factory.mktemp("bare")
    (root / "flower").mkdir()
    joblib.dump(MODEL, root / "flower/model.joblib")
    FLOWERS.assign(species=SPECIES).to_csv(root / "flower/data.csv", index=False)
    given = arguments(root, "--data", str(root / "flower/data.csv"))
    with foretell(root / "models", *given) as running:
        return FirstStart(root, running.banner, *answers(running, root))


@pytest.mark.slow
def test_first_start_answers_by_both_doors(first: FirstStart) -> None:
    expected = {f"{name}_probability": p for name, p in zip(MODEL.classes_, MODEL.predict_proba(FLOWERS[-1:])[0], strict=True)}
    for answer in (first.rest, first.grpc):
        assert answer.pop("species") == "SPECIES_VIRGINICA"
        assert answer == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_first_start_says_what_it_drafted(first: FirstStart) -> None:
    file = first.root / "protos/flower/v1/flower.proto"
    assert f"wrote {file}: 4 columns in, 4 fields out\n" in first.banner
    assert "note: the target is 'species', the only column that is no feature\n" in first.banner
    assert f"\nserving it; the contract is yours to edit: {file}\n\nForetell is ready.\n" in first.banner
    assert "next:" not in first.banner


@pytest.mark.slow
def test_second_start_serves_what_is_there(first: FirstStart) -> None:
    file = first.root / "protos/flower/v1/flower.proto"
    file.write_text(file.read_text().replace("// Sepal length (cm), a number.", "// Mine."))
    with foretell(first.root / "models", *arguments(first.root)) as running:
        assert running.banner.startswith(f"serving what is there; the contract is yours to edit: {file}\n\nForetell is ready.\n")
        assert "flower version 1" in running.banner
    assert "// Mine." in file.read_text()
    assert Repository(first.root / "models").versions("flower") == ["1"]


@pytest.mark.slow
def test_changed_file_is_named_and_not_served(first: FirstStart, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(first.root, root, ignore=shutil.ignore_patterns(".control"))
    joblib.dump(LogisticRegression(C=0.1, max_iter=1000).fit(FLOWERS, SPECIES), root / "flower/model.joblib")
    given = arguments(root, "--data", "new data.csv", "--target", "species")
    with foretell(root / "models", *given) as running:
        line, *_ = running.banner.splitlines()
        rest, _ = answers(running, root)
    place = f"{root}/flower/model.joblib"
    command = f"foretell init {place} --data 'new data.csv' --target species --protos {root}/protos --models {root}/models"
    assert line == f"no version of flower is {place} as it is now: `{command}` makes it the next version"
    assert rest["virginica_probability"] == pytest.approx(MODEL.predict_proba(FLOWERS[-1:])[0, 2], abs=1e-6)


@pytest.fixture
def drafted(tmp_path: Path) -> Path:
    """A folder with the contract and a version of `flower`, from `models:/flower/3` of an MLflow registry."""
    file = tmp_path / "flower.joblib"
    joblib.dump(MODEL, file)
    ensure_model(str(file), None, (), settings(tmp_path))
    shutil.rmtree(tmp_path / "models")
    source = RegistrySource(address="models:/flower/3", id="x")
    add_model(Repository(tmp_path / "models"), file, "flower", contract=load(tmp_path / "protos"), source=source)
    return tmp_path


def settings(root: Path, **more: str) -> ServeSettings:
    return ServeSettings(protos=root / "protos", models=root / "models", **more)  # type: ignore[arg-type]  # As from the environment.


@pytest.mark.parametrize(
    ("location", "differs"), [("models:/flower/3", False), ("models:/flower/4", True), ("models:/flower@champion", False)]
)
def test_numbered_address_is_compared(drafted: Path, capsys: pytest.CaptureFixture[str], location: str, differs: bool) -> None:
    ensure_model(location, None, (), settings(drafted))
    printed = capsys.readouterr().out
    assert "serving what is there" in printed
    assert (f"no version of flower is {location} as it is now: `foretell init {location}" in printed) == differs


@pytest.mark.parametrize("known", [True, False])
def test_file_is_compared_if_its_digest_is_known(drafted: Path, capsys: pytest.CaptureFixture[str], known: bool) -> None:
    """A version that was added by an earlier Foretell has no digest of its file."""
    manifest = drafted / "models/flower/1/manifest.json"
    facts = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({name: value for name, value in facts.items() if known or name != "added_file"}))
    joblib.dump(LogisticRegression(C=0.1, max_iter=1000).fit(FLOWERS, SPECIES), drafted / "flower.joblib")
    ensure_model(str(drafted / "flower.joblib"), None, (), settings(drafted))
    assert ("makes it the next version" in capsys.readouterr().out) == known


def test_model_without_its_version_is_added_again(drafted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(drafted / "models")
    ensure_model(str(drafted / "flower.joblib"), None, (), settings(drafted))
    assert "added flower version 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("follow", "shown"),
    [
        pytest.param("models:/other@champion", "models:/other@champion", id="another-model"),
        pytest.param("models:/flower@champion,b=models:/c/latest", "b=models:/c/latest", id="one-of-two"),
        pytest.param("other=models:/flower@champion", "other=models:/flower@champion", id="another-name"),
    ],
)
def test_following_another_model_is_refused(tmp_path: Path, follow: str, shown: str) -> None:
    with pytest.raises(SetupError) as refusal:
        ensure_model("flower.joblib", None, (), settings(tmp_path, follow=follow))
    assert str(refusal.value) == f"flower.joblib is the model 'flower', but follow is {shown}: leave out one of the two"


@pytest.mark.parametrize("given", [["--data", "a.csv"], ["--target", "y"], ["--data", "a.csv", "--target", "y"]], ids=str)
def test_data_without_model_is_refused(given: list[str]) -> None:
    done = CliRunner().invoke(app, ["serve", *given])
    assert str(done.exception) == "--data and --target are for a MODEL: pass its file, or leave them out"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["nowhere.joblib"], "cannot read nowhere.joblib: No such file or directory", id="no-file"),
        pytest.param(["nowhere.joblib", "--processes", "x"], "processes", id="setting-before-model"),
        pytest.param(["models:/flower"], "'models:/flower' is no address of a registry", id="address"),
        pytest.param(["nowhere.joblib", "--placement", "x"], "placement", id="second-setting"),
    ],
)
def test_refusal_writes_nothing(tmp_path: Path, arguments: list[str], message: str) -> None:
    folders = ["--protos", str(tmp_path / "protos"), "--models", str(tmp_path / "models")]
    done = CliRunner().invoke(app, ["serve", *arguments, *folders])
    assert message in str(done.exception)
    assert list(tmp_path.iterdir()) == []
