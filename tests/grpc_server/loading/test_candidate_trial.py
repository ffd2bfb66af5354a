"""Trials of versions in candidate processes; tests/grpc_server/versions/test_gates.py has the refusals."""

import os
from pathlib import Path

import pytest

from foretell_contract.contract import Contract
from grpc_server.checks.gates import Gate
from grpc_server.errors import ModelError
from grpc_server.loading.candidate_trial import CandidateTrial
from grpc_server.settings import ServerSettings
from grpc_server.workers.worker_process import LOADING_NICE
from tests.conftest import PROTOS
from tests.support.models.candidates import Hanging, add
from tests.support.models.misbehaving import descendants

pytestmark = pytest.mark.slow


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def test_trial_passes_every_gate_and_measures(steady: Path, contract: Contract) -> None:
    gates: list[Gate] = []
    settings = ServerSettings(models=steady, protos=PROTOS)
    (cost,) = CandidateTrial("iris", "1", contract, settings, gates.append).run()
    assert gates == [Gate.DIGEST, Gate.LOAD, Gate.CONTRACT, Gate.GOLDEN, Gate.WARM_UP]
    assert 0 < cost.one_row < 1


def test_trial_uses_the_served_contract(steady: Path, tmp_path: Path, contract: Contract) -> None:
    settings = ServerSettings(models=steady, protos=tmp_path / "gone")
    (cost,) = CandidateTrial("iris", "1", contract, settings, lambda _gate: None).run()
    assert 0 < cost.one_row < 1


def test_repository_path_may_be_relative(steady: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(steady.parent)
    settings = ServerSettings(models=Path(steady.name), protos=PROTOS)
    (cost,) = CandidateTrial("iris", "1", contract, settings, lambda _gate: None).run()
    assert 0 < cost.one_row < 1


def test_stopped_candidate_is_refused_at_its_gate(tmp_path: Path, contract: Contract) -> None:
    version = add(tmp_path, Hanging(0.5))

    def stop_at_contract(gate: Gate) -> None:
        if gate is Gate.CONTRACT:
            (candidate,) = (pid for pid in descendants(os.getpid()) if name_of(pid) == "trial iris")
            assert os.getpriority(os.PRIO_PROCESS, candidate) == max(LOADING_NICE, os.getpriority(os.PRIO_PROCESS, 0))
            trial.stop()

    trial = CandidateTrial("iris", version, contract, ServerSettings(models=tmp_path, protos=PROTOS), stop_at_contract)
    with pytest.raises(ModelError, match="ended its process by signal SIGKILL") as refused:
        trial.run()
    assert refused.value.gate == Gate.CONTRACT
