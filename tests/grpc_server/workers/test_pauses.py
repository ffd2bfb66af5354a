"""What stands back pauses again and again while the machine is busy, and nobody counts that time against it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from grpc_server.workers.budget import Budget
from grpc_server.workers.fork_server import THREADS, ForkServer
from grpc_server.workers.pauses import BURST_SECONDS, PAUSE_SECONDS, Paused
from grpc_server.workers.timers import Timer

BUSY = '''
import resource, sys, time
import numpy as np
from grpc_server.workers.cost import measure
from grpc_server.workers.pauses import Paused, Pauses

paused = Paused(int(sys.argv[1]))
pauses = Pauses(paused)
free = [False]
pauses._machine.is_free = lambda: free[0]

def rests():
    """How often it has left its core of its own accord so far."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw

def burn(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass

'''
"""A process that finds the machine busy until `free[0]` is set."""


def run(code: str) -> list[float]:
    """What a process prints in which the machine is busy."""
    with open(Paused.shared()) as shared:
        command = [sys.executable, "-c", BUSY + code, str(shared.fileno())]
        environment = os.environ | dict.fromkeys(THREADS, "1")
        done = subprocess.run(command, env=environment, pass_fds=[shared.fileno()], stdout=subprocess.PIPE, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def test_a_busy_machine_leaves_it_bursts_and_what_it_pauses_is_counted() -> None:
    rested, seconds, after = run("""
with pauses:
    before, rested = paused.seconds, rests()
    burn(2.0)
    print(rests() - rested, paused.seconds - before)
before = paused.seconds
burn(0.2)
print(paused.seconds - before)
""")
    share = PAUSE_SECONDS / (PAUSE_SECONDS + BURST_SECONDS)
    assert rested > 50  # Else none.
    assert seconds == pytest.approx(2 * share, rel=0.05)
    assert after == 0


def test_a_machine_that_is_free_or_becomes_so_lets_it_go_on() -> None:
    paused_so_far, then = run("""
with pauses:
    burn(0.3)
    free[0] = True
    burn(0.2)
    before = paused.seconds
    burn(0.2)
    print(before, paused.seconds - before)
""")
    assert 0.3 * PAUSE_SECONDS / (PAUSE_SECONDS + BURST_SECONDS) * 0.8 < paused_so_far < 0.5
    assert then == 0


def test_a_run_outside_python_pauses_too() -> None:
    seconds, rests, by_clock = run("""
rows = np.random.default_rng(1).random((1200, 1200))
rows @ rows
with pauses:
    start, before, clock = time.monotonic(), rests(), paused.clock()
    for _ in range(50):
        rows @ rows
        if rests() > before + 3:  # After a wait for a core that was as long as a pause, it does without the next one.
            break
    print(time.monotonic() - start, rests() - before, paused.clock() - clock)
""")
    assert rests > 3  # Else none.
    assert by_clock < seconds / 2


def test_short_runs_never_take_less_than_no_time() -> None:
    taken = run("""
for _ in range(200):
    start = paused.clock()
    with pauses:
        burn(0.0001)
    print(paused.clock() - start)
""")
    assert len(taken) == 200
    assert min(taken) > 0
    assert sorted(taken)[100] < PAUSE_SECONDS


def test_a_pause_changes_nothing_of_what_it_interrupts() -> None:
    """The errors of system calls are told in a variable that a handler might overwrite."""
    (others,) = run("""
import os
others = 0
with pauses:
    end = time.monotonic() + 3
    while time.monotonic() < end:
        for _ in range(100):
            try:
                os.stat("/nowhere/at/all")
            except FileNotFoundError:
                pass
            except OSError:
                others += 1
print(others)
""")
    assert others == 0


def test_a_cost_does_not_hold_the_pauses() -> None:
    without, by_the_clock = run("""
def predict(rows):
    end = time.thread_time() + 0.03
    while time.thread_time() < end:
        pass
    return rows

with pauses:
    for clock in (paused.clock, time.perf_counter):
        print(measure(predict, np.zeros((1, 4)), clock).one_row)
""")
    assert 0.03 <= without < by_the_clock


def test_a_budget_holds_neither_pauses_nor_more_than_its_patience() -> None:
    paused = [0.0]
    budget = Budget(os.getpid(), 1.0, lambda: paused[0])
    assert 0.5 < budget.left <= 1
    paused[0] = 10.0
    assert budget.own < 0
    assert 4.5 < budget.left <= budget.most == 5


def test_more_timers_than_the_kernel_has_are_an_error() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        Timer(signal.NSIG + 100)


@contextmanager
def burning() -> Iterator[None]:
    """Processes that want every core."""
    with ExitStack() as stack:
        for _ in range(os.cpu_count() or 1):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]))
            stack.callback(process.kill)
        yield


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        os.sched_yield()


def is_there(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_what_is_forked_to_stand_back_pauses_where_each_core_is_wanted(steady: Path) -> None:
    facts = {"name": "iris", "version": "1", "settings": {"models": str(steady)}, "returns": False}
    with burning(), closing(ForkServer("tests", apart=True)) as forks, closing(forks.fork("candidate", facts)) as forked:
        forked.line.sendall(b"no contract")
        forked.line.shutdown(1)
        until(lambda: not is_there(forked.pid))
        assert forked.paused.seconds > 0
        assert forked.wait(60) == 0


def test_what_is_forked_beside_the_server_does_not(steady: Path) -> None:
    facts = {"models": str(steady), "name": "iris", "version": "1", "digest": "", "stands_back": False}
    with burning(), closing(ForkServer("tests")) as forks, closing(forks.fork("worker", facts)) as forked:
        assert forked.paused.seconds == 0
        forked.kill()
        assert forked.wait(60) == -signal.SIGKILL
