"""The process that forks candidates: one for many, started again when it was lost, gone when it is not needed."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from grpc_server import forking
from grpc_server.cost import Cost
from grpc_server.fork_server import ForkServer
from grpc_server.gates import Gate
from grpc_server.settings import ServerSettings
from grpc_server.trial import Trial
from tests.conftest import PROTOS

FACTS = {"name": "iris", "version": "1", "returns": False}


@pytest.fixture
def forks() -> Iterator[ForkServer]:
    with closing(ForkServer()) as server:
        yield server


@pytest.fixture
def settings(models: Path) -> ServerSettings:
    return ServerSettings(models=models, protos=PROTOS)


def tried(forks: ForkServer, settings: ServerSettings) -> list[Cost]:
    gates: list[Gate] = []
    costs = Trial("iris", "1", settings, forks, gates.append).run()
    assert gates == [Gate.DIGEST, Gate.LOAD, Gate.CONTRACT, Gate.GOLDEN, Gate.WARM_UP]
    return costs


def parent_of_candidate(forks: ForkServer, settings: ServerSettings) -> tuple[int, int]:
    """Who was asked for a candidate, and who started the process that started it."""
    ours, theirs = socket.socketpair()
    mine, lifeline = socket.socketpair()
    with ours, mine:
        with theirs, lifeline:
            asked = forks.fork(FACTS | {"settings": settings.model_dump(mode="json")}, theirs, lifeline)
        with ours.makefile() as told:
            candidate = json.loads(told.readline())["pid"]
            return asked, parent(parent(candidate))


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def ended(pid: int) -> bool:
    """Whether it ends, or has ended already."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with open(handle) as process:
        return bool(select.select([process], [], [], 60)[0])


def test_one_process_forks_all_candidates(forks: ForkServer, settings: ServerSettings) -> None:
    (cost,) = tried(forks, settings)
    assert 0 < cost.one_row < 1
    assert len({*parent_of_candidate(forks, settings), *parent_of_candidate(forks, settings)}) == 1


def test_one_that_was_killed_is_started_again(forks: ForkServer, settings: ServerSettings) -> None:
    asked, _ = parent_of_candidate(forks, settings)
    os.kill(asked, signal.SIGKILL)
    assert ended(asked)
    tried(forks, settings)


def test_a_candidate_outlives_the_process_that_forked_it(forks: ForkServer, settings: ServerSettings) -> None:
    trial = Trial("iris", "1", settings, forks, lambda _gate: forks.close())
    assert trial.run()


def test_it_leaves_when_nobody_asks_but_serves_who_has_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "_IDLE_SECONDS", 0.01)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    message = json.dumps(FACTS | {"settings": {}}).encode()
    with ours, theirs:
        asked = forking.requests(theirs)
        socket.send_fds(ours, [message], [ours.fileno(), ours.fileno()])
        request, told, lifeline = next(asked)
        told.close()
        lifeline.close()
        assert request.name == "iris"
        assert next(asked, None) is None
        with pytest.raises(BrokenPipeError):
            socket.send_fds(ours, [message], [ours.fileno(), ours.fileno()])


def test_it_ends_with_the_server() -> None:
    code = "import os; from grpc_server.fork_server import _Running; print(_Running.start()._process.pid, flush=True); os._exit(0)"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert ended(int(done.stdout))
