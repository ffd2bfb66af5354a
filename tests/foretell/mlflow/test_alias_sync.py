"""An alias sync that is killed at any step, runs beside another, or meets a crashing model promotes each version once."""

import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from foretell.mlflow.address import follow_settings
from foretell.mlflow.alias_sync import AliasSync
from foretell.mlflow.mlflow_registry import MlflowRegistry
from foretell.settings import ServeSettings
from foretell.versions.target import response_type
from foretell_contract.contract import Contract
from grpc_server.store.alias_sync_state import AliasSyncFile
from grpc_server.store.repository import Repository
from grpc_server.store.route_table_files import RouteTableFiles
from grpc_server.versions.startup import open_served_model
from tests.conftest import PROTOS
from tests.support.iris import CLASSES, COLUMNS
from tests.support.mlflow_registries import LocalRegistry, registry
from tests.support.models.candidates import CallsOnLoad, add_steady, loader, promote, segfault
from tests.support.processes import ROOT, refused

pytestmark = pytest.mark.slow

__all__ = ["registry"]

POLL = """
import sys
from pathlib import Path
from foretell.mlflow.mlflow_registry import MlflowRegistry
from tests.foretell.mlflow.test_alias_sync import alias_sync
alias_sync(Path(sys.argv[1])).poll(MlflowRegistry())
"""


FAILPOINTS = ("follow-started", "follow-promoted")


def test_every_failpoint_is_tested() -> None:
    code = "".join(path.read_text() for path in (ROOT / "foretell").rglob("*.py"))
    assert set(re.findall(r'failpoint\("([^"]+)"\)', code)) == set(FAILPOINTS)


def alias_sync(root: Path) -> AliasSync:
    (setting,) = follow_settings("iris=models:/followed@champion")
    settings = ServeSettings(models=root / "models", protos=PROTOS)
    return AliasSync(setting, settings, response_type(), root)


@pytest.fixture(autouse=True)
def tracking_uri(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.uri)


@pytest.fixture(scope="module")
def good(registry: LocalRegistry) -> Path:
    import pandas as pd
    from mlflow.models import infer_signature

    rows = np.random.default_rng(0).uniform(0.1, 5, (30, 4))
    return registry.saved(
        LogisticRegression().fit(rows, np.resize(CLASSES, 30)), signature=infer_signature(pd.DataFrame(rows, columns=COLUMNS))
    )


@pytest.fixture
def crashing(good: Path, tmp_path: Path) -> Path:
    """A model that crashes the process that loads it."""
    folder = tmp_path / "crashing"
    shutil.copytree(good, folder)
    (model,) = folder.glob("model.*")
    joblib.dump(CallsOnLoad(segfault), folder / "model.joblib")
    about = folder / "MLmodel"
    about.write_text(about.read_text().replace(model.name, "model.joblib"))
    return folder


def killed_at(failpoint: str, root: Path) -> bool:
    environment = os.environ | {"FORETELL_FAILPOINT": failpoint, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", POLL, str(root)], env=environment, cwd=ROOT, check=False)
    return done.returncode == -signal.SIGKILL


def production_after_start(models: Path, contract: Contract) -> str:
    """The version that answers after a start."""
    served = open_served_model(loader(models, contract))
    try:
        return served.routing.production.version.version
    finally:
        served.close(10)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_each_version_is_promoted_once_despite_crashes(
    tmp_path: Path, registry: LocalRegistry, good: Path, crashing: Path, contract: Contract
) -> None:
    """In one test, because each process and model takes seconds: two kills, two syncs at once, and a crashing model."""
    models = tmp_path / "models"
    add_steady(models, 2)
    promote(models, "1")
    repository = Repository(models)
    file, routes = AliasSyncFile(repository, "iris"), RouteTableFiles(repository)

    def state() -> tuple[str, str | None, list[str | None]]:
        followed = file.read()
        assert followed is not None
        return followed.outcome, followed.version, [change.after for change in routes.read("iris").history]

    registry.register("followed", good, "champion")
    for failpoint, version in zip(FAILPOINTS, ("1", "3"), strict=True):
        assert killed_at(failpoint, tmp_path)
        assert state() == ("started", "3", ["1", "3"][: int(version == "3") + 1])
        assert production_after_start(models, contract) == version

    registry.register("followed", good, "champion")
    syncs, client = [alias_sync(tmp_path) for _ in range(2)], MlflowRegistry()
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda each: each.poll(client), syncs))
    (leader,) = [each for each in syncs if each.try_lead()]
    assert state() == ("promoted", "4", ["1", "3", "4"])
    assert repository.versions("iris") == ["1", "2", "3", "4"]

    registry.register("followed", crashing, "champion")
    leader.poll(client)
    assert state() == ("refused", None, ["1", "3", "4"])
    assert file.read().reason == "the process that added it ended by signal SIGSEGV"  # type: ignore[union-attr]
    registry.point("followed", "champion", "2")
    leader.poll(client)
    assert state() == ("promoted", "4", ["1", "3", "4"])


def test_missing_mlflow_is_refused_at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['mlflow'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code, stderr = refused("foretell", "serve", "--follow", "models:/iris@champion", models=str(tmp_path), protos=str(PROTOS))
    assert (code, stderr) == (2, "foretell: an MLflow registry needs mlflow: pip install 'foretell[mlflow]'\n")
