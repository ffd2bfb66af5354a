"""Calls that only some operating systems have, and their fallbacks."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from foretell_lifecycle import platform

KILLED = """
import socket, subprocess, sys
from foretell_lifecycle import platform
if "thread" in sys.argv:
    del platform.fcntl.F_SETSIG
line = socket.socket(fileno=int(sys.argv[1]))
release = platform.kill_when_closed(line)
if "released" in sys.argv:
    release()
print("armed", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("way", ["signal", "thread"])
@pytest.mark.parametrize(("then", "code"), [("", -9), ("released", 0)])
def test_process_is_killed_when_line_closes(way: str, then: str, code: int) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(theirs.fileno()), way, then],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"armed\n"
        ours.close()
        if then:
            process.communicate()
        assert process.wait(30) == code


def test_closed_line_refuses_to_arm() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.close()
        process = subprocess.run([sys.executable, "-c", KILLED, str(theirs.fileno())], pass_fds=[theirs.fileno()], check=False)
    assert process.returncode in (1, -9)


def test_long_socket_path_is_shortened(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    with platform.short_path(folder / "a.sock") as short, socket.socket(socket.AF_UNIX) as listener:
        assert len(os.fsencode(short)) <= platform.LONGEST_SOCKET_PATH
        listener.bind(str(short))
    assert (folder / "a.sock").is_socket()


def test_resident_memory_of_a_dead_process_is_zero() -> None:
    assert platform.resident_bytes(os.getpid()) > 1_000_000
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    assert platform.resident_bytes(process.pid) == 0


BESIDE = """
import os, time
from foretell_lifecycle.platform import core_wait_seconds
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
if not (other := os.fork()):
    while True:
        pass
while core_wait_seconds() < 0.02:
    pass
os.kill(other, 9)
print("waited")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts the waits")
def test_waits_for_a_core_are_counted() -> None:
    done = subprocess.run([sys.executable, "-c", BESIDE], stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    assert done.stdout == "waited\n"
