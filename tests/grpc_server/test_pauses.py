"""What stands back is stopped again and again while the machine is busy, and nobody counts that time against it."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from grpc_server.fork_server import Forked, ForkServer
from grpc_server.pauses import Bursts, Paused

BURN = "while True: pass"


@contextmanager
def burning() -> Iterator[subprocess.Popen[bytes]]:
    """A process that always wants a core."""
    process = subprocess.Popen([sys.executable, "-S", "-c", BURN])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def cpu(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def paused() -> Paused:
    with open(Paused.shared()) as shared:
        return Paused(shared.fileno())


def turned(bursts: Bursts, pid: int, turns: int) -> set[str]:
    """The states of a process while it has so many turns."""
    states = set()
    for _ in range(turns):
        select.select([], [], [], bursts.turn([pid]))
        states.add(state(pid))
    return states


def turned_until_stopped(bursts: Bursts, pid: int) -> None:
    """Linux stops a process when it would run next, which may take a while where others want the cores."""
    assert any("T" in turned(bursts, pid, 2) for _ in range(5000))


def test_a_busy_machine_stops_it_again_and_again_and_counts_for_how_long() -> None:
    stopped = paused()
    bursts = Bursts(stopped, lambda: False)
    with burning() as process:
        start = time.monotonic()
        turned_until_stopped(bursts, process.pid)
        turned(bursts, process.pid, 100)
        ran = cpu(process.pid)
        assert stopped.seconds > 0
        assert ran > 0
        assert ran + stopped.seconds <= time.monotonic() - start + 0.1  # It had begun before.


def test_a_machine_that_is_free_lets_it_go_on() -> None:
    stopped = paused()
    free = [False]
    bursts = Bursts(stopped, lambda: free[0])
    with burning() as process:
        turned_until_stopped(bursts, process.pid)
        free[0] = True
        turned(bursts, process.pid, 2)
        counted = stopped.seconds
        assert "T" not in turned(bursts, process.pid, 2)
        assert stopped.seconds == counted


def test_the_time_after_the_last_one_has_gone_is_no_pause() -> None:
    stopped = paused()
    bursts = Bursts(stopped, lambda: False)
    with burning() as process:
        turned_until_stopped(bursts, process.pid)
        while not bursts._stopped_at:
            turned(bursts, process.pid, 1)
    counted = stopped.seconds
    bursts.turn([])
    with burning() as process:
        bursts.turn([process.pid])
        assert stopped.seconds == counted


def test_who_is_gone_does_not_disturb() -> None:
    bursts = Bursts(paused(), lambda: False)
    with burning() as process:
        pass
    assert [bursts.turn([process.pid]) > 0 for _ in range(2)] == [True, True]


TIMED = """
import sys, time
import numpy as np
from grpc_server.cost import measure
from grpc_server.pauses import Paused

def predict(rows):
    end = time.process_time() + 0.03
    while time.process_time() < end:
        pass
    return rows

print("ready", flush=True)
sys.stdin.readline()
for clock in (Paused(int(sys.argv[1])).clock, time.perf_counter):
    print(measure(predict, np.zeros((1, 4)), clock).one_row, flush=True)
"""


def test_a_cost_does_not_hold_the_time_for_which_the_model_was_stopped() -> None:
    with open(Paused.shared()) as shared:
        bursts = Bursts(Paused(shared.fileno()), lambda: False)
        command = [sys.executable, "-c", TIMED, str(shared.fileno())]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, pass_fds=[shared.fileno()], stdin=pipe, stdout=pipe, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.stdin.write("go\n")
            process.stdin.flush()
            while process.poll() is None:
                select.select([], [], [], bursts.turn([process.pid]))
            without, by_the_clock = map(float, process.stdout.read().split())
    assert 0.01 < without < by_the_clock


@contextmanager
def apart(steady: Path) -> Iterator[tuple[ForkServer, Forked]]:
    """A process that was forked to stand back on a machine on which each core is wanted; it waits for its first frame."""
    with ExitStack() as stack:
        for _ in range(os.cpu_count() or 1):
            stack.enter_context(burning())
        forks = stack.enter_context(closing(ForkServer("tests", apart=True)))
        facts = {"models": str(steady), "name": "iris", "version": "1", "digest": "", "stands_back": False}
        yield forks, stack.enter_context(closing(forks.fork("worker", facts)))


def until(pid: int, states: str) -> None:
    end = time.monotonic() + 20
    while state(pid) not in states:
        assert time.monotonic() < end, f"{pid} is {state(pid)}, not one of {states}"
        os.sched_yield()


def test_what_is_forked_to_stand_back_is_stopped_where_each_core_is_wanted(steady: Path) -> None:
    with apart(steady) as (forks, forked):
        until(forked.pid, "T")
        end = time.monotonic() + 20
        while not forks.paused > 0.05 and time.monotonic() < end:
            os.sched_yield()
        assert forks.paused > 0.05
        forked.kill()
        assert forked.wait(60) == -signal.SIGKILL


def test_nothing_is_left_stopped_by_one_that_is_killed(steady: Path) -> None:
    with apart(steady) as (_forks, forked):
        until(forked.pid, "T")
        who = int(Path(f"/proc/{forked.pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(who, signal.SIGKILL)
        handle = os.pidfd_open(who) if Path(f"/proc/{who}").exists() else None
        if handle is not None:
            with open(handle) as process:
                assert select.select([process], [], [], 20)[0]
        until(forked.pid, "RSD")
        forked.line.close()
        assert forked.wait(60) in (0, -signal.SIGKILL)
