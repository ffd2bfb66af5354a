"""The start of a served model: fallback from a refused production, and trials of unproven versions only."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from foretell_contract.contract import Contract
from grpc_server.calls.admission import Admission
from grpc_server.checks.gates import Gate
from grpc_server.errors import ModelError
from grpc_server.loading.loader import Loader
from grpc_server.settings import ServerSettings
from grpc_server.versions.startup import open_served_model
from tests.support.models import candidates
from tests.support.models.candidates import add, add_steady, loader, promote
from tests.support.servers.served_models import opened, production_of, promote_and_settle

pytestmark = pytest.mark.slow


def test_refused_production_falls_back_at_start(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 3)
    for version in "123":
        promote(tmp_path, version)
    for version in "23":
        (tmp_path / "iris" / version / "model.onnx").write_bytes(b"else")
    with opened(tmp_path, contract) as served:
        assert production_of(served) == "1"
        assert served.last_refusal is not None
        assert (served.last_refusal.version, served.last_refusal.gate) == ("3", "digest")
    (tmp_path / "iris/1/model.onnx").write_bytes(b"else")
    with pytest.raises(ModelError, match=r"iris/3/model.onnx is not as it was added"):
        open_served_model(loader(tmp_path, contract))


def test_missing_production_falls_back_at_start(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 2)
    for version in "12":
        promote(tmp_path, version)
    shutil.rmtree(tmp_path / "iris" / "2")
    with opened(tmp_path, contract) as served:
        assert production_of(served) == "1"
        assert served.last_refusal is not None
        assert (served.last_refusal.version, served.last_refusal.gate) == ("2", "digest")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gate"), [(candidates.Crashing, "contract"), (candidates.Hanging, "contract")])
def test_start_survives_untested_fatal_production(
    tmp_path: Path, contract: Contract, kind: type[candidates.Steady], gate: str
) -> None:
    """As after a server was killed during the trial of a version promoted with --no-check."""
    add_steady(tmp_path, 1)
    promote(tmp_path, "1")
    promote(tmp_path, add(tmp_path, kind(0.5)))
    with opened(tmp_path, contract, gate_seconds=2) as served:
        assert production_of(served) == "1"
        assert served.last_refusal is not None
        assert (served.last_refusal.version, served.last_refusal.gate) == ("2", gate)


class Untried(Loader):
    """Starts no candidate process."""

    def trial(self, version: str, tell: Callable[[Gate], None], *, returns: bool) -> NoReturn:
        pytest.fail(f"version {version} is tried")


def test_start_skips_trial_of_proven_version(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    with opened(tmp_path, contract) as served:
        promote_and_settle(served, tmp_path, "2")
        assert production_of(served) == "2"
    served = open_served_model(Untried("iris", contract, ServerSettings(models=tmp_path), Admission()))
    assert production_of(served) == "2"
    served.close(10)
    shutil.rmtree(tmp_path / "iris/2")
    assert add(tmp_path, candidates.Crashing(0.5)) == "2"  # It has the number, and has answered nothing.
    with opened(tmp_path, contract) as served:
        assert production_of(served) == "1"
