"""Formats of installed packages: the example's is served, and a broken one is refused in one line."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import httpx2
import pytest

from grpc_server.checks.add_model import add_model
from grpc_server.errors import ModelError, ModelUnloadable
from grpc_server.runtimes.formats import format_table
from grpc_server.store.repository import Repository
from tests.support.processes import ROOT, foretell, refused

CARD = '{"base": 600, "points": {"age": 1.5, "income": 0.01}}'
FORMAT = "from foretell.runtimes import Format\nFORMAT = Format((%s,), loader='%s')\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the example's package."""
    source, target = tmp_path_factory.mktemp("example") / "runtime", tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "examples/runtime", source)
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", target, source], check=True, timeout=100)
    return target


@pytest.mark.slow
def test_example_package_is_served(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{installed}:{ROOT}")
    (tmp_path / "credit.scorecard").write_text(CARD)
    command = [sys.executable, "-m", "foretell", "init", "credit.scorecard"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "added credit version 1 as scorecard" in done.stdout, done.stderr
    assert Repository(tmp_path / "models").manifest("credit", "1").libraries == {"foretell-scorecard": "1.0.0"}
    with foretell(tmp_path / "models", "--protos", str(tmp_path / "protos")) as running:
        answer = httpx2.post(f"{running.http}/credit/predict", json={"age": 40, "income": 2500}, timeout=30)
        assert answer.raise_for_status().json() == {"score": 685.0}
        assert httpx2.get(f"{running.http}/models").json()["models"][0]["format"] == "scorecard"


@pytest.mark.slow
def test_missing_package_of_a_version_is_named(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{installed}:{ROOT}")
    (tmp_path / "iris.scorecard").write_text(CARD)
    command = [sys.executable, "-m", "foretell", "add", "iris.scorecard", "--name", "iris"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    monkeypatch.delenv("PYTHONPATH")
    code, stderr = refused("foretell", "check", "iris", "--models", str(tmp_path / "models"), "--protos", str(ROOT / "protos"))
    assert "Traceback" not in stderr
    code, stderr = refused("grpc_server", models=str(tmp_path / "models"), protos=str(ROOT / "protos"), grpc_address="127.0.0.1:0")
    assert (code, stderr.count("\n")) == (2, 1)
    assert (
        "the format 'scorecard' is none of joblib, lightgbm, onnx, skops, trees, xgboost: install the package that brings it"
        in stderr
    )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder from which packages are imported."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    format_table._entry_points.cache_clear()
    yield folder
    format_table._entry_points.cache_clear()
    for name in [name for name in sys.modules if name.startswith("brought_by_")]:
        del sys.modules[name]


def bring(site: Path, package: str, name: str, code: str) -> None:
    """Install a package whose module is `code`, with an entry point for the format `name`."""
    facts = site / f"{package}-2.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.0\n")
    (facts / "entry_points.txt").write_text(f"[foretell.runtimes]\n{name} = brought_by_{package}:FORMAT\n")
    (site / f"brought_by_{package}.py").write_text(code)


def added(site: Path, file: str, content: str = "{}", **choice: str) -> str:
    """The message that refuses a file."""
    path = site.parent / file
    path.write_text(content)
    with pytest.raises(ModelError) as refusal:
        add_model(Repository(site.parent / "models"), path, "m", ("a",), **choice)  # type: ignore[arg-type]
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_packages_of_one_format_name_are_named(site: Path) -> None:
    for package in ("ours", "theirs"):
        bring(site, package, "card", FORMAT % ("'.card'", "x:y"))
    message = "the format 'card' is brought by ours 2.0 and theirs 2.0: uninstall all of them but one"
    assert added(site, "m.card").endswith(message)
    assert added(site, "m.card", format_name="card") == message


def test_names_of_own_formats_are_reserved(site: Path) -> None:
    bring(site, "theirs", "joblib", FORMAT % ("'.joblib'", "x:y"))
    message = "the format 'joblib' is brought by foretell and theirs 2.0: uninstall all of them but one"
    assert added(site, "m.joblib").endswith(message)


def test_formats_of_one_suffix_need_a_choice(site: Path) -> None:
    bring(site, "ours", "card", FORMAT % ("'.json'", "json:loads"))
    message = (
        "m.json may be the format 'xgboost' of foretell and the format 'card' of ours 2.0: pass --format xgboost or --format card"
    )
    content = '{"learner_model_param": 1}'
    assert added(site, "m.json", content) == message
    assert added(site, "m.json", content, format_name="xgboost").startswith("xgboost: ")
    assert format_table.format_of(Path("m.json"), b"{}") == "card"  # XGBoost does not recognise it.


@pytest.mark.parametrize(
    ("code", "message"),
    [
        pytest.param("import nothing_at_all", "cannot be imported (ModuleNotFoundError: No module named 'nothing_at_all')",
            id="import"),
        pytest.param("raise OSError('two\\nlines')", "cannot be imported (OSError: two lines)", id="raises"),
        pytest.param("OTHER = 1", "cannot be imported (AttributeError: module 'brought_by_ours' has no attribute 'FORMAT')",
            id="name"),
        pytest.param("FORMAT = 1", "is int and no Format", id="type"),
    ],
)  # fmt: skip
def test_broken_package_is_named(site: Path, code: str, message: str) -> None:
    bring(site, "ours", "card", code)
    assert f"the format 'card' of ours 2.0 {message}: repair or uninstall it" in added(site, "m.card")
    assert format_table.format_of(Path("m.onnx"), b"") == "onnx"


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        ("nothing_of_the_kind:load", "card needs nothing_of_the_kind, which is not installed"),
        (
            "json:gone",
            "the loader of the format 'card' cannot be imported (AttributeError: module 'json' has no attribute 'gone'): "
            "repair the package that brings it",
        ),
        ("json:loads", "the card artifact does not load (JSONDecodeError: Expecting value: line 1 column 1 (char 0))"),
    ],
)
def test_failing_loader_is_named_in_one_line(site: Path, loader: str, message: str) -> None:
    bring(site, "ours", "card", FORMAT % ("'.card'", loader))
    assert added(site, "m.card", "no JSON") == message


def test_failing_recogniser_recognises_nothing(site: Path) -> None:
    code = "from foretell.runtimes import Format\nFORMAT = Format(('.card',), loader='json:loads', recognises=lambda data: 1 / 0)\n"
    bring(site, "ours", "card", code)
    assert added(site, "m.card") == "m.card holds no model of card, as its suffix says: pass the file that holds the trained model"


def test_unknown_format_is_refused(site: Path) -> None:
    assert "the format 'card' is none of joblib" in added(site, "m.joblib", format_name="card")
    with pytest.raises(ModelUnloadable, match=r"m.card is none of .skops, .joblib"):
        format_table.format_of(Path("m.card"), b"")


def test_versions_of_installed_libraries_are_recorded() -> None:
    assert format_table.format_named("xgboost").versions == {"numpy": version("numpy"), "xgboost-cpu": version("xgboost-cpu")}
