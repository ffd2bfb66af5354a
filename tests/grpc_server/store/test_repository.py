"""The repository: atomic and concurrent adding, version numbers, and names."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from grpc_server.errors import ModelError, ModelNotFound
from grpc_server.store.repository import Repository
from tests.support.models.yes_or_no import add_yes


def test_latest_version_is_by_number(logistic: Path, repository: Repository) -> None:
    for number in range(1, 11):
        assert add_yes(repository, logistic).version == str(number)
    assert repository.latest("yes") == "10"
    assert repository.versions("yes")[:2] == ["1", "2"]


def test_other_folders_are_no_versions(logistic: Path, repository: Repository) -> None:
    add_yes(repository, logistic)
    for name in ("01", "0", "-1", "\u0663", "2x"):
        (repository.root / "yes" / name).mkdir()
    assert repository.versions("yes") == ["1"]


def test_unwritable_repository_is_named(logistic: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"cannot write to .*/file/yes: "):
        add_yes(Repository(tmp_path / "file"), logistic)


def test_concurrent_writers_get_own_versions(logistic: Path, repository: Repository) -> None:
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda _: add_yes(repository, logistic).version, range(16)))
    assert sorted(map(int, added)) == list(range(1, 17))
    for version in added:
        repository.read("yes", version)
    assert not list(repository.root.rglob(".adding-*"))


@pytest.mark.slow
def test_killed_writer_leaves_no_version(repository: Repository, logistic: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from grpc_server.store import durable, repository as r\n"
        "from grpc_server.checks.add_model import add_model\n"
        "durable.sync = lambda folder: os._exit(9)\n"
        f"add_model(r.Repository(Path({str(repository.root)!r})), Path({str(logistic)!r}), 'yes', ('a', 'b'))"
    )
    done = subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": str(Path.cwd())}, check=False)
    assert done.returncode == 9
    assert repository.versions("yes") == []
    assert add_yes(repository, logistic).version == "1"


@pytest.mark.parametrize("name", ["", "Iris", "../iris", "a/b", "a..b", ".hidden", "a" * 65, "iris\n", "a b"])
def test_unsafe_model_name_is_refused(repository: Repository, name: str) -> None:
    with pytest.raises(
        ModelError, match=r"'.*' is no name for a model: use lower-case letters, digits, '\.', '_' and '-', at most 64$"
    ):
        repository.versions(name)


def test_missing_model_differs_from_missing_version(repository: Repository, logistic: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"no model 'yes' in .*: add one with `foretell add FILE --name yes`"):
        repository.latest("yes")
    add_yes(repository, logistic)
    with pytest.raises(ModelNotFound, match="no version 7 of model 'yes'"):
        repository.read("yes", "7")
