"""On one core the control service shares the thread of the predictions; it is served and ends with the server."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from foretell_contract.contract import load_control
from grpc_server.store.repository import Repository
from grpc_server.store.route_table_files import RouteTableFiles
from tests.foretell.versions.test_control import ask, command
from tests.support.models.candidates import add_steady
from tests.support.processes import foretell

pytestmark = pytest.mark.slow


@contextmanager
def one_core() -> Iterator[None]:
    """Limit the processes that the block starts to one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize("shell", ["loop", "aio"])
def test_control_shares_the_only_core(tmp_path: Path, shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    add_steady(tmp_path, 2)
    monkeypatch.setenv("FORETELL_SHELL", shell)
    with one_core(), foretell(tmp_path, "--control", "127.0.0.1:0") as running:
        (address,) = [line.split()[1] for line in running.banner.splitlines() if line.startswith("  control ")]
        changed = ask(load_control(), address, "Promote", name="iris", version="1", wish={"why": "one core", "no_check": True})
        assert dict(changed.aliases) == {"production": "1"}
        assert (changed.outcome, len(changed.servers)) == ("served", 1)
        refusal = command(tmp_path, "promote", "iris", "9", "--no-check")
        assert refusal.exit_code != 0
        assert RouteTableFiles(Repository(tmp_path)).read("iris").aliases == {"production": "1"}
        with grpc.insecure_channel(address) as channel:
            watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
            assert next(iter(watch)) == b"\x08\x01"
            running.process.terminate()
            assert running.process.wait(20) == 0  # The watch does not delay the stop.
