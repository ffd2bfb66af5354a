"""`foretell serve --follow`: production goes where an alias in MLflow's registry goes, through the gates, and stays without it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from foretell.cli import app
from foretell.mlflow.address import follow_settings
from foretell_contract.errors import SetupError
from grpc_server.store.alias_sync_state import AliasSyncFile
from grpc_server.store.repository import Repository
from grpc_server.store.route_table_files import RouteTableFiles
from tests.conftest import PROTOS
from tests.foretell.serve.test_serve_command import children, until
from tests.support.iris import CLASSES, COLUMNS, EXAMPLE
from tests.support.mlflow_registries import LocalRegistry, registry
from tests.support.processes import NO_TLS, Foretell, foretell, refused

pytestmark = pytest.mark.slow

__all__ = ["registry"]

ADDRESS = "iris=models:/petals@champion"
ROWS = np.random.default_rng(0).uniform(0.1, 5, (30, 4))


@pytest.fixture(scope="module", autouse=True)
def named(registry: LocalRegistry) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MLFLOW_TRACKING_URI", registry.uri)
        yield


def saved(registry: LocalRegistry, classes: tuple[str, ...] = CLASSES) -> Path:
    import pandas as pd

    return registry.saved(LogisticRegression().fit(pd.DataFrame(ROWS, columns=COLUMNS), np.resize(classes, 30)))


@pytest.fixture(scope="module")
def good(registry: LocalRegistry) -> Path:
    return saved(registry)


@pytest.fixture(scope="module")
def bad(registry: LocalRegistry) -> Path:
    """One that does not fit the contract."""
    return saved(registry, ("setosa", "virginica"))


def version(running: Foretell) -> str:
    return (
        httpx2.post(running.http + "/predict", json=EXAMPLE, timeout=10, verify=NO_TLS).raise_for_status().headers["model-version"]
    )


@pytest.mark.long
@pytest.mark.timeout(300)
def test_production_follows_the_alias(tmp_path: Path, registry: LocalRegistry, good: Path, bad: Path) -> None:
    """One story, because each start and each model takes seconds."""
    models, log = tmp_path / "models", tmp_path / "log"
    registry.register("petals", good, "champion")
    with log.open("w") as stderr, foretell(models, "--follow", ADDRESS, stderr=stderr, follow_seconds="0.2") as running:
        assert "  model  iris version 1 (skops) answers iris.v1.IrisService\n" in running.banner
        assert f"  follow {ADDRESS}\n" in running.banner
        until(lambda: _outcome(models) == "promoted", 60)

        registry.register("petals", bad, "champion")
        until(lambda: _outcome(models) == "refused", 90)
        assert version(running) == "1"
        listed = CliRunner().invoke(app, ["models", "--models", str(models)])
        assert "iris: models:/petals@champion names models:/petals/2, which was refused: " in listed.stderr

        registry.go_down()
        until(lambda: "there is no registry" in log.read_text())
        ((_, pid),) = [child for child in children(running.process) if child[0] == "foretell.mlflow.follow_process"]
        os.kill(pid, signal.SIGKILL)
        until(lambda: log.read_text().count("there is no registry") == 2, 60)
        until(lambda: "mlflow is ready again" in log.read_text())
        assert version(running) == "1"
        registry.come_back()
        until(lambda: log.read_text().count("models:/petals@champion is followed again") == 1, 60)

        registry.register("petals", good, "champion")
        until(lambda: version(running) == "2", 90)
        until(lambda: _outcome(models) == "promoted")
        rolled_back = CliRunner().invoke(app, ["rollback", "iris", "--models", str(models)])
        assert rolled_back.exit_code == 0, rolled_back.output
        registry.go_down()
        until(lambda: log.read_text().count("there is no registry") == 3)
        registry.come_back()
        until(lambda: log.read_text().count("models:/petals@champion is followed again") == 2)
        assert version(running) == "1"  # It has looked since.
        assert running.stop() == 0
    printed = log.read_text()
    assert printed.count("models:/petals/2 is refused: ") == 1  # Once, also after the restart.
    assert "Traceback" not in printed
    repository = Repository(models)
    history = [(change.what, change.after) for change in RouteTableFiles(repository).read("iris").history]
    assert history == [("promote", "1"), ("promote", "2"), ("rollback", "1")]
    sources = [repository.manifest("iris", number).source for number in repository.versions("iris")]
    assert [source and source.address for source in sources] == ["models:/petals/1", "models:/petals/3"]
    _without_the_registry(models, registry)


def _outcome(models: Path) -> str:
    followed = AliasSyncFile(Repository(models), "iris").read()
    return followed.outcome if followed else ""


def _without_the_registry(models: Path, registry: LocalRegistry) -> None:
    """A start with what is there needs no registry; one with nothing does."""
    registry.go_down()
    log = models.parent / "log"
    with log.open("w") as stderr, foretell(models, "--follow", ADDRESS, stderr=stderr) as running:
        assert version(running) == "1"
        until(lambda: "there is no registry" in log.read_text(), 60)
        assert "model iris keeps its version" in log.read_text()
    nothing = {"models": str(models.parent / "nothing"), "protos": str(PROTOS)}
    code, printed = refused(
        "foretell", "serve", "--follow", ADDRESS, grpc_address="127.0.0.1:0", http_address="127.0.0.1:0", **nothing
    )
    assert (code, printed.count("\n")) == (2, 1), printed
    assert printed.startswith("foretell: there is no registry sqlite:")
    registry.come_back()


@pytest.mark.parametrize(
    ("follow", "says"),
    [
        pytest.param("s3://bucket/model", "'s3://bucket/model' cannot be followed: write models:/NAME@ALIAS", id="scheme"),
        pytest.param("models:/iris", "'models:/iris' is no address of a registry: write models:/NAME@ALIAS", id="no-alias"),
        pytest.param("models:/iris/3", "models:/iris/3 never moves: follow models:/NAME@ALIAS", id="version"),
        pytest.param("models:/iris@a,iris=models:/x@a", "the model 'iris' follows 2 addresses: keep one of them", id="twice"),
    ],
)
def test_unfollowable_address_is_refused(follow: str, says: str) -> None:
    with pytest.raises(SetupError) as refusal:
        follow_settings(follow)
    assert str(refusal.value).startswith(says)


def test_alias_without_a_service_is_refused_unfetched(tmp_path: Path) -> None:
    code, printed = refused(
        "foretell", "serve", "--follow", "models:/petals@champion", models=str(tmp_path / "models"), protos=str(PROTOS)
    )
    assert (code, printed.count("\n")) == (2, 1), printed
    assert "is answered by a model 'petals'; there are iris, " in printed
    assert "name one with --follow MODEL=models:/petals@champion" in printed
    assert not (tmp_path / "models").exists()
