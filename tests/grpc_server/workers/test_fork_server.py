"""The process that forks those which run models: one for many, started again when it was lost, gone when it is not needed."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from foretell_contract.contract import Contract
from grpc_server.checks.gates import Gate
from grpc_server.loading.candidate_trial import Trial
from grpc_server.runtimes.formats.built_in import ENTRY_POINTS
from grpc_server.settings import ServerSettings
from grpc_server.workers.fork_server import THREADS, Forked, ForkServer, _Running
from tests.conftest import PROTOS


@pytest.fixture(scope="module")
def forks() -> Iterator[ForkServer]:
    with closing(ForkServer("tests")) as server:
        yield server


@pytest.fixture
def settings(steady: Path) -> ServerSettings:
    return ServerSettings(models=steady, protos=PROTOS)


@contextmanager
def waiting(forks: ForkServer, steady: Path) -> Iterator[Forked]:
    """A worker that waits for its first frame."""
    facts = {"models": str(steady), "name": "iris", "version": "1", "digest": "", "stands_back": False}
    with closing(forks.fork("worker", facts)) as forked:
        yield forked


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def until_ended(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with open(handle) as process:
        assert select.select([process], [], [], 60)[0]


def test_one_process_forks_all_and_each_ends_as_it_likes(forks: ForkServer, steady: Path) -> None:
    with waiting(forks, steady) as first, waiting(forks, steady) as second:
        assert parent(first.pid) == parent(second.pid)
        with pytest.raises(TimeoutError):
            first.wait(0.01)
        first.line.close()
        assert first.wait(60) == 0
        second.kill()
        assert second.wait(60) == -signal.SIGKILL


def test_what_a_model_starts_holds_none_of_the_sockets(forks: ForkServer, steady: Path) -> None:
    with waiting(forks, steady) as forked:
        flags = []
        for each in Path(f"/proc/{forked.pid}/fdinfo").iterdir():
            with suppress(FileNotFoundError):  # It has closed that meanwhile.
                lines = each.read_text().splitlines() if int(each.name) > 2 else []
                flags += [int(line.split()[1], 8) for line in lines if line.startswith("flags")]
    assert len(flags) >= 2
    assert all(each & os.O_CLOEXEC for each in flags)


def test_a_process_that_has_ended_leaves_no_descriptor_here(forks: ForkServer, steady: Path) -> None:
    with waiting(forks, steady):
        pass
    before = set(os.listdir("/proc/self/fd"))
    with waiting(forks, steady) as forked:
        pass
    assert set(os.listdir("/proc/self/fd")) == before, forked  # Though it is kept, as by an error that somebody keeps.


def test_what_was_forked_outlives_what_forked_it_and_another_forks_the_next(forks: ForkServer, steady: Path) -> None:
    with waiting(forks, steady) as first:
        lost = parent(first.pid)
        os.kill(lost, signal.SIGKILL)
        until_ended(lost)
        with waiting(forks, steady) as second:
            assert parent(second.pid) != lost
        with pytest.raises(TimeoutError):
            first.wait(0.01)


def test_the_end_of_one_that_nobody_tells_of_is_noticed(forks: ForkServer, steady: Path) -> None:
    with waiting(forks, steady) as forked:
        forks.close()
        with pytest.raises(TimeoutError):
            forked.wait(0.01)
        forked.kill()
        assert forked.wait(60) == -signal.SIGKILL


def test_a_candidate_passes_the_gates_though_what_forked_it_has_ended(
    forks: ForkServer, settings: ServerSettings, contract: Contract
) -> None:
    gates: list[Gate] = []

    def tell(gate: Gate) -> None:
        gates.append(gate)
        forks.close()

    (cost,) = Trial("iris", "1", contract, settings, forks, tell).run()
    assert gates == [Gate.DIGEST, Gate.LOAD, Gate.CONTRACT, Gate.GOLDEN, Gate.WARM_UP]
    assert 0 < cost.one_row < 1


def test_a_candidate_is_held_against_the_contract_that_is_served_whatever_is_on_disk_by_now(
    forks: ForkServer, steady: Path, tmp_path: Path, contract: Contract
) -> None:
    settings = ServerSettings(models=steady, protos=tmp_path / "gone")
    (cost,) = Trial("iris", "1", contract, settings, forks, lambda _gate: None).run()
    assert 0 < cost.one_row < 1


IMPATIENT = (
    "import sys; from grpc_server.workers import forking; forking._IDLE_SECONDS = 0.01; forking.main(*sys.argv[1:], '', '0', '')"
)


def test_it_leaves_when_nobody_asks_and_nothing_runs(monkeypatch: pytest.MonkeyPatch, steady: Path) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start(_class: Any, _arguments: Any, _environment: Any) -> _Running:
        line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-c", IMPATIENT, str(theirs.fileno())]
            started.append(subprocess.Popen(command, pass_fds=[theirs.fileno()]))
            return _Running(line, started[-1])

    monkeypatch.setattr(_Running, "start", classmethod(start))
    with closing(ForkServer("tests")) as forks:
        with waiting(forks, steady) as forked:
            with pytest.raises(subprocess.TimeoutExpired):
                started[0].wait(0.2)
            forked.kill()
            forked.wait(60)
        assert started[0].wait(60) == 0
        with waiting(forks, steady) as forked:
            assert len(started) == 2
            forked.kill()


THREADS_OF = """
import os, sys
from grpc_server.runtimes.formats.format_table import loader_of
sys.modules["pyarrow"] = None  # Which pandas imports, where it is: Arrow heeds forks.
for name in sys.argv[1:]:
    loader_of(name)
print(len(os.listdir("/proc/self/task")))
"""


def test_what_is_imported_before_a_fork_begins_no_threads_and_leaves_nothing_at_home(tmp_path: Path) -> None:
    formats = [point.name for point in ENTRY_POINTS if point.load().forks]
    assert len(formats) == 6
    environment = os.environ | dict.fromkeys(THREADS, "1") | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", THREADS_OF, *formats], env=environment, stdout=subprocess.PIPE, check=True)
    assert int(done.stdout) == 1
    assert list(tmp_path.iterdir()) == []  # ONNX Runtime would note there what it tells its maker.


def test_it_ends_with_the_server() -> None:
    code = """
import os
from grpc_server.workers.fork_server import _Running
print(_Running.start(["tests", "0", ""], os.environ)._process.pid, flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    until_ended(int(done.stdout))
