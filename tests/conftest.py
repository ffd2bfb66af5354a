"""Fixtures of a session: the iris contract, a trained model, repositories, and a running Foretell."""

import os
import runpy
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from threadpoolctl import threadpool_limits

from foretell_contract.contract import Contract, load
from tests.support.effort import tries
from tests.support.iris import COLUMNS
from tests.support.processes import Foretell, foretell

settings.register_profile("each run", max_examples=tries(25, 1000), deadline=None)
settings.load_profile("each run")

# Tests start hundreds of processes, each of which would compile its imports if bytecode were not written.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

ROOT = Path(__file__).parents[1]
PROTOS = ROOT / "protos"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort modules with slow tests to the front: those that may take longest, then those with the most slow tests.

    pytest-xdist hands out modules in this order (`--no-loadscope-reorder`): begun last, a slow one would run alone.
    """
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    longest = {item.path: marker.args[0] for item in items if (marker := item.get_closest_marker("timeout"))}
    items.sort(key=lambda item: (-longest.get(item.path, 0), -slow[item.path]))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Estimators that the tests fit and ask use one thread: more than there are free cores wait for each other in loops."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def contract() -> Contract:
    """The iris contract; tests only read it."""
    return load(PROTOS).restricted_to(["iris"])


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `model.joblib` and `golden.jsonl`, written by the example's script."""
    folder = tmp_path_factory.mktemp("trained")
    runpy.run_path(str(ROOT / "examples/iris/train.py"))["main"](folder)
    return folder


@pytest.fixture(scope="session")
def models(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that holds the iris model as version 1; tests only read it."""
    from grpc_server.checks.add_model import add_model
    from grpc_server.store.repository import Repository

    root = tmp_path_factory.mktemp("models")
    add_model(Repository(root), trained / "model.joblib", "iris", COLUMNS, (trained / "golden.jsonl").read_bytes())
    return root


@pytest.fixture(scope="session")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose iris model gives every row one answer; in ONNX, which starts in half the time. Tests only read it."""
    from tests.support.models.candidates import add_steady

    root = tmp_path_factory.mktemp("steady")
    add_steady(root, 1)
    return root


@pytest.fixture(scope="session")
def running(models: Path) -> Iterator[Foretell]:
    """`foretell serve` on free ports, shared by tests that only call it."""
    with foretell(models) as started:
        yield started
