"""Who follows a registry's alias may die at any step, be one of two, or meet a model that kills: the alias is followed once."""

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

from foretell.mlflow.alias_sync import AliasSync
from foretell.mlflow.follow_setting import follow_settings
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
from tests.support.mlflow_registries import Registered, registry
from tests.support.models.candidates import Loaded, add_steady, loader, promote, segfault
from tests.support.processes import ROOT, refused

pytestmark = pytest.mark.slow

__all__ = ["registry"]

LOOK = """
import sys
from pathlib import Path
from foretell.mlflow.mlflow_registry import MlflowRegistry
from tests.foretell.mlflow.test_alias_sync import pursuit
pursuit(Path(sys.argv[1])).look(MlflowRegistry())
"""


PLACES = ("follow-started", "follow-promoted")


def test_every_place_where_a_follower_may_die_is_tried() -> None:
    code = "".join(path.read_text() for path in (ROOT / "foretell").rglob("*.py"))
    assert set(re.findall(r'failpoint\("([^"]+)"\)', code)) == set(PLACES)


def pursuit(root: Path) -> AliasSync:
    (followee,) = follow_settings("iris=models:/pursued@champion")
    settings = ServeSettings(models=root / "models", protos=PROTOS)
    return AliasSync(followee, settings, response_type(), root)


@pytest.fixture(autouse=True)
def named(registry: Registered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.uri)


@pytest.fixture(scope="module")
def good(registry: Registered) -> Path:
    import pandas as pd
    from mlflow.models import infer_signature

    rows = np.random.default_rng(0).uniform(0.1, 5, (30, 4))
    return registry.saved(
        LogisticRegression().fit(rows, np.resize(CLASSES, 30)), signature=infer_signature(pd.DataFrame(rows, columns=COLUMNS))
    )


@pytest.fixture
def crashing(good: Path, tmp_path: Path) -> Path:
    """One that ends the process that loads it."""
    folder = tmp_path / "crashing"
    shutil.copytree(good, folder)
    (model,) = folder.glob("model.*")
    joblib.dump(Loaded(segfault), folder / "model.joblib")
    about = folder / "MLmodel"
    about.write_text(about.read_text().replace(model.name, "model.joblib"))
    return folder


def killed_at(place: str, root: Path) -> bool:
    environment = os.environ | {"FORETELL_FAILPOINT": place, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", LOOK, str(root)], env=environment, cwd=ROOT, check=False)
    return done.returncode == -signal.SIGKILL


def production_after_start(models: Path, contract: Contract) -> str:
    """The version that answers after a start."""
    served = open_served_model(loader(models, contract))
    try:
        return served.routing.production.version.version
    finally:
        served.close(10)


@pytest.mark.timeout(300)
def test_an_alias_is_followed_once_whoever_dies_at_it(
    tmp_path: Path, registry: Registered, good: Path, crashing: Path, contract: Contract
) -> None:
    """One story, because each process and each model takes seconds: two deaths, two heirs, and a model that kills."""
    models = tmp_path / "models"
    add_steady(models, 2)
    promote(models, "1")
    repository = Repository(models)
    store, routes = AliasSyncFile(repository, "iris"), RouteTableFiles(repository)

    def stand() -> tuple[str, str | None, list[str | None]]:
        followed = store.read()
        assert followed is not None
        return followed.outcome, followed.version, [change.after for change in routes.read("iris").history]

    registry.register("pursued", good, "champion")
    for place, version in zip(PLACES, ("1", "3"), strict=True):
        assert killed_at(place, tmp_path)
        assert stand() == ("started", "3", ["1", "3"][: int(version == "3") + 1])
        assert production_after_start(models, contract) == version

    registry.register("pursued", good, "champion")
    pursuits, asked = [pursuit(tmp_path) for _ in range(2)], MlflowRegistry()
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda each: each.look(asked), pursuits))
    (leader,) = [each for each in pursuits if each.leads]
    assert stand() == ("promoted", "4", ["1", "3", "4"])
    assert repository.versions("iris") == ["1", "2", "3", "4"]

    registry.register("pursued", crashing, "champion")
    leader.look(asked)
    assert stand() == ("refused", None, ["1", "3", "4"])
    assert store.read().reason == "the process that was to add it ended by signal SIGSEGV"  # type: ignore[union-attr]
    registry.point("pursued", "champion", "2")
    leader.look(asked)
    assert stand() == ("promoted", "4", ["1", "3", "4"])


def test_a_missing_extra_is_named_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['mlflow'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code, told = refused("foretell", "serve", "--follow", "models:/iris@champion", models=str(tmp_path), protos=str(PROTOS))
    assert (code, told) == (2, "foretell: a registry of MLflow's needs mlflow: pip install 'foretell[mlflow]'\n")
