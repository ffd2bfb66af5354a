"""The gates: each fault of a version is refused by the right one, and production answers on meanwhile."""

import logging
from pathlib import Path
from typing import Any

import pytest

from foretell_contract.contract import Contract
from grpc_server.checks.gates import Gates
from grpc_server.errors import ModelError
from tests.support.iris import CLASSES
from tests.support.models import candidates
from tests.support.models.candidates import add, add_steady, golden, loader, promote, rollback
from tests.support.servers.served_models import opened, production_of, promote_and_settle, versions_in_memory, wait_until_settled

pytestmark = pytest.mark.slow

FAULTS = {
    "wrong-width": (candidates.Narrow(0.5), {}, "contract", "has 3 columns, its manifest names 4"),
    "class-order": (candidates.Backwards(0.5), {}, "contract", "has the classes virginica, versicolor, setosa"),
    "class-order-in-the-manifest-too": (
        candidates.Backwards(0.1),
        {"classes": CLASSES[::-1], "rows": golden(0.1)},
        "golden",
        "gives setosa 0.000000 for golden row 1, expected 0.100000",
    ),
    "other-names": (candidates.Steady(0.5), {"columns": ("a", "b", "c", "d")}, "contract", "sepal_length"),
    "dtype": (candidates.Words(0.5), {}, "contract", r"cannot answer the example of iris.v1.Features \(ValueError"),
    "not-a-number": (candidates.NotANumber(0.5), {}, "contract", "not finite"),
    "golden": (candidates.Steady(0.5), {"rows": golden(0.4)}, "golden", "gives setosa 0.500000 for golden row 1"),
    "slow": (candidates.Slow(0.5), {}, "warm-up", "s for a row, but max_row_seconds is 0.1"),
    "exit": (candidates.CallsOnLoad(candidates.exit_quietly), {}, "load", r"fails \(SystemExit: enough\)"),
    "no-model": ({}, {}, "load", "dict is no fitted estimator that predicts or transforms new rows"),
}


FATAL = {
    "crash-while-loading": (candidates.CallsOnLoad(candidates.segfault), "load", "ended its process by signal SIGSEGV"),
    "crash": (candidates.Crashing(0.5), "contract", "ended its process by signal SIGSEGV"),
    "hang-while-loading": (candidates.CallsOnLoad(candidates.hang), "load", "took longer than gate_seconds, 5 s"),
    "hang": (candidates.Hanging(0.5), "contract", "took longer than gate_seconds, 5 s"),
    "golden": (candidates.Steady(0.5), "golden", "gives setosa 0.500000 for golden row 1, expected 0.400000"),
}


@pytest.mark.parametrize(("model", "facts", "gate", "says"), FAULTS.values(), ids=FAULTS)
def test_each_fault_is_refused_by_own_gate(
    tmp_path: Path, contract: Contract, model: object, facts: dict[str, Any], gate: str, says: str
) -> None:
    version = add(tmp_path, model, **facts)
    with pytest.raises(ModelError, match=says) as refused:
        loader(tmp_path, contract, max_row_seconds=0.1).load(version, Gates("version 1"))
    assert refused.value.gate == gate


@pytest.mark.parametrize(("model", "gate", "says"), FATAL.values(), ids=FATAL)
def test_production_survives_fatal_candidates(
    tmp_path: Path, contract: Contract, model: object, gate: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    add_steady(tmp_path, 1)
    promote(tmp_path, "1")
    with opened(tmp_path, contract, gate_seconds=5 if "gate_seconds" in says else 30) as served, caplog.at_level(logging.ERROR):
        promote_and_settle(served, tmp_path, add(tmp_path, model, golden(0.4)))
        assert served.last_refusal is not None
        assert (served.last_refusal.version, served.last_refusal.gate, served.last_refusal.generation) == ("2", gate, 2)
        assert says in served.last_refusal.reason
        assert f"version 2 is refused at the gate {gate}: " in caplog.text
        assert (production_of(served), served.routing.production.generation, versions_in_memory(served)) == ("1", 1, ["1"])


def test_altered_file_fails_digest_gate(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    (tmp_path / "iris/2/model.onnx").write_bytes(b"else")
    with opened(tmp_path, contract) as served:
        promote_and_settle(served, tmp_path, "2")
        assert served.last_refusal is not None
        assert served.last_refusal.gate == "digest"


def test_refused_version_waits_for_new_change(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 1)
    promote(tmp_path, "1")
    broken = tmp_path / "iris/2/model.onnx"
    add(tmp_path, candidates.Steady(0.02))
    good = broken.read_bytes()
    broken.write_bytes(b"else")
    with opened(tmp_path, contract) as served:
        promote_and_settle(served, tmp_path, "2")
        broken.write_bytes(good)
        promote(tmp_path, "1", "staging")
        served.refresh()
        assert (served.rollout, production_of(served)) == (None, "1")
        assert served.routing.aliases["staging"].generation == 3
        promote_and_settle(served, tmp_path, "2")
        assert (production_of(served), served.routing.production.generation) == ("2", 4)


def test_rollback_overtakes_hanging_candidate(tmp_path: Path, contract: Contract) -> None:
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    with opened(tmp_path, contract) as served:
        promote_and_settle(served, tmp_path, "2")
        promote(tmp_path, add(tmp_path, candidates.Hanging(0.5)))
        served.refresh()
        assert served.rollout is not None
        assert served.rollout.version == "3"
        rollback(tmp_path)
        rollback(tmp_path)
        served.refresh()
        assert production_of(served) == "1"
        wait_until_settled(served)
        assert (served.last_refusal, versions_in_memory(served)) == (None, ["1", "2"])
