"""A start whose model hangs ends by its gate, by a signal, and with its supervisor."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.foretell.serve.test_serve_command import children
from tests.support.models.candidates import CallsOnLoad, Hanging, add, hang, hang_after, hang_with_gil
from tests.support.models.misbehaving import until_gone
from tests.support.processes import ANY_PORT, ROOT, refused, starting, until

pytestmark = pytest.mark.slow

SETTINGS = {"protos": str(ROOT / "protos"), "grpc_address": ANY_PORT, "http_address": ANY_PORT}


@pytest.mark.parametrize(
    ("command", "model", "gate", "seconds"),
    [
        ("grpc_server", CallsOnLoad(hang), "load", "1"),
        ("foretell serve", Hanging(0.5), "contract", "5"),
        ("foretell serve", CallsOnLoad(partial(hang_with_gil, Path(os.devnull))), "load", "1"),
    ],
    ids=["server", "supervised", "holding-the-interpreter"],
)
def test_slow_gate_is_named_in_one_line(tmp_path: Path, command: str, model: object, gate: str, seconds: str) -> None:
    """No process is left running: it would hold stderr open."""
    add(tmp_path, model)
    code, stderr = refused(*command.split(), **SETTINGS, models=str(tmp_path), gate_seconds=seconds)
    text = f"model 'iris' version 1 took longer than gate_seconds, {seconds} s, at the gate {gate}"
    assert (code, stderr) == (2, f"foretell: {text}: raise it, or serve a version that answers\n")


@contextmanager
def hanging(folder: Path, command: str, how: Callable[[Path], None]) -> Iterator[subprocess.Popen[str]]:
    """A start whose model has begun to hang."""
    marker = folder / "hangs"
    add(folder / "models", CallsOnLoad(partial(how, marker)))
    with starting(
        *command.split(), **SETTINGS, models=str(folder / "models"), gate_seconds="3600", drain_seconds="1000"
    ) as started:
        until(marker.exists)
        yield started


@pytest.mark.parametrize(
    ("command", "how", "number"), [("grpc_server", hang_after, signal.SIGTERM), ("foretell serve", hang_with_gil, signal.SIGINT)]
)
def test_signal_ends_a_hanging_start(tmp_path: Path, command: str, how: Callable[[Path], None], number: int) -> None:
    with hanging(tmp_path, command, how) as started:
        below = [pid for _, pid in children(started)]
        started.send_signal(number)
        assert started.wait(30) == 0
        for pid in below:
            until_gone(pid)


def test_hanging_start_ends_with_its_supervisor(tmp_path: Path) -> None:
    with hanging(tmp_path, "foretell serve", hang_with_gil) as supervisor:
        ((_, pid),) = children(supervisor)
        supervisor.kill()
        until_gone(pid)
