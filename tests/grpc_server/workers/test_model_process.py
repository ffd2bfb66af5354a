"""Processes that run models: how they start, what they begin with, and what ends them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from grpc_server.loading.preload import preload_formats
from grpc_server.runtimes.formats.format_table import ENTRY_POINTS
from grpc_server.workers.model_process import THREADS, ModelProcess
from tests.support.models.misbehaving import descendants, until_gone
from tests.support.process_targets import describe, sleep, wait
from tests.support.processes import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def preloaded(steady: Path) -> None:
    preload_formats(steady)


@contextmanager
def started(target: Callable[..., None] = wait, **options: Any) -> Iterator[ModelProcess]:
    with closing(ModelProcess(target, **options)) as process:
        if target is not describe:
            assert process.line.recv(5) == b"ready"
        yield process


def description(**options: Any) -> dict[str, Any]:
    """What a process begins with."""
    with started(describe, **options) as process, process.line.makefile() as line:
        facts: dict[str, Any] = json.load(line)
        return facts


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_one_fork_server_starts_all_processes() -> None:
    with started() as first, started(sleep) as second:
        assert parent(first.pid) == parent(second.pid)
        with pytest.raises(TimeoutError):
            first.wait(0.01)
        first.line.close()
        assert first.wait(60) == 0
        second.kill()
        assert second.wait(60) == -signal.SIGKILL


def test_process_begins_with_preloaded_modules_and_no_grpc() -> None:
    modules = description()["modules"]
    assert "grpc_server.loading.candidate_process" in modules
    assert "grpc_server.workers.worker_process" in modules
    assert not {"grpc", "fastapi"}.intersection(modules)


def test_process_has_its_own_thread_limit() -> None:
    for count in (1, 2, 3):
        process = description(threads=dict.fromkeys(THREADS, str(count)))
        assert (process["environment"], set(process["threads"])) == (str(count), {count})


def test_models_children_inherit_no_descriptors() -> None:
    assert description()["inheritable"] == []


def test_closed_process_leaves_no_descriptor_here() -> None:
    with started():
        pass
    before = set(os.listdir("/proc/self/fd"))
    with started() as process:
        pass
    assert set(os.listdir("/proc/self/fd")) == before, process  # Though it is still referenced, as by a logged exception.


def test_killed_fork_server_is_replaced() -> None:
    with started(sleep) as first:
        lost = parent(first.pid)
        os.kill(lost, signal.SIGTERM)  # As a service manager sends it to all processes.
        with started() as second:
            assert parent(second.pid) == lost
        os.kill(lost, signal.SIGKILL)
        assert first.wait(60) == 255
        until_gone(first.pid)
        with started() as third:
            assert parent(third.pid) != lost


THREADS_OF = """
import os, sys
from grpc_server.runtimes.formats.format_table import loader_of
sys.modules["pyarrow"] = None  # Imported by pandas if it is installed. Arrow's threads survive forks.
for name in sys.argv[1:]:
    loader_of(name)
print(len(os.listdir("/proc/self/task")))
"""


def test_preloaded_formats_begin_no_threads(tmp_path: Path) -> None:
    formats = [point.name for point in ENTRY_POINTS if point.load().forks]
    assert len(formats) == 6
    environment = os.environ | dict.fromkeys(THREADS, "1") | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", THREADS_OF, *formats], env=environment, stdout=subprocess.PIPE, check=True)
    assert int(done.stdout) == 1
    assert list(tmp_path.iterdir()) == []  # ONNX Runtime would write an id for its telemetry.


SCRIPT = """
import os, sys
from grpc_server.workers.model_process import ModelProcess
from tests.support.process_targets import sleep

print("imported", flush=True)
process = ModelProcess(sleep)
assert process.line.recv(5) == b"ready"
print(process.pid, flush=True)
exec(sys.argv[1])
"""
"""It has no `if __name__ == "__main__"`: a process that imported it would start another one."""


@pytest.mark.parametrize("end", ["", "os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_processes_end_with_a_script_however_it_ends(tmp_path: Path, end: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), f"input(); {end}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "imported\n"
        process = int(running.stdout.readline())
        below = set(descendants(running.pid)) | {process}
        assert len(below) >= 3  # The fork server, the resource tracker of multiprocessing, and the process.
        running.communicate("\n")
        for pid in below:
            until_gone(pid)
