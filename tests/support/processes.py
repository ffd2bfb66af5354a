"""Context managers that start Foretell's processes as a user does, on free ports, and stop them."""

import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import IO, Any

import pytest

from foretell_lifecycle.process import Launcher, run

ROOT = Path(__file__).parents[2]
ANY_PORT = "127.0.0.1:0"

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For `verify` of many calls: reading all CA certificates takes 17 ms each time."""

LAYOUTS: dict[str, tuple[list[str], list[str]]] = {
    "inside": ([], ["foretell.serve.server_and_bridge"]),
    "beside": (["--bridge", "beside"], ["grpc_server", "rest_bridge"]),
    "two": (["--processes", "2"], ["foretell.serve.server_and_bridge"] * 2),
    "two-beside": (["--processes", "2", "--bridge", "beside"], ["grpc_server", "grpc_server", "rest_bridge", "rest_bridge"]),
}
"""Ways to run `foretell serve`: its arguments, and the modules of the processes below it."""


@dataclass
class Foretell:
    """A running `foretell serve`."""

    process: subprocess.Popen[str]
    grpc: str
    """HOST:PORT."""
    http: str
    """Address with its scheme."""
    banner: str

    def stop(self, number: int = signal.SIGTERM, seconds: float = 30) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


def copy_models(models: Path, to: Path) -> None:
    """Copy a repository without the control sockets of its servers."""
    shutil.copytree(models, to, ignore=shutil.ignore_patterns(".control"))


@contextmanager
def foretell(models: Path, *arguments: str, stderr: IO[str] | None = None, **settings: str) -> Iterator[Foretell]:
    """`foretell serve` on free ports, with settings such as `drain_seconds="2"`.

    Models run inline unless `arguments` say otherwise: on a busy machine `auto` would start worker processes, which takes long.
    """
    defaults = {"--models": str(models), "--protos": str(ROOT / "protos"), "--grpc-address": ANY_PORT, "--http-address": ANY_PORT}
    defaults |= {"--placement": "inline"}
    given = [text for option in defaults.items() if option[0] not in arguments for text in option]
    with _running([sys.executable, "-m", "foretell", "serve", *given, *arguments], stderr, settings) as process:
        banner = _until(process, "Ctrl-C stops it.")
        grpc, http = re.search(r"gRPC +(\S+)", banner), re.search(r"REST +(\S+)", banner)
        assert grpc, banner
        assert http, banner
        yield Foretell(process, grpc[1], http[1], banner)


@contextmanager
def grpc_server(models: Path, address: str = ANY_PORT, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`python -m grpc_server` and its address."""
    settings = {"models": str(models), "protos": str(ROOT / "protos"), "grpc_address": address, "placement": "inline"} | settings
    with _running([sys.executable, "-m", "grpc_server"], None, settings) as process:
        yield process, _until(process, "gRPC on ").split()[-1]


@contextmanager
def rest_bridge(target: str, address: str = ANY_PORT, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`python -m rest_bridge` and its address with scheme."""
    settings |= {"protos": str(ROOT / "protos"), "http_address": address}
    with _running([sys.executable, "-m", "rest_bridge", "--target", target], None, settings) as process:
        yield process, _until(process, "REST on ").split()[2].rstrip(",")


@contextmanager
def starting(*arguments: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m` with arguments, without waiting until it is ready."""
    with _running([sys.executable, "-m", *arguments], None, settings) as process:
        yield process


def refused(*arguments: str, **settings: str) -> tuple[int, str]:
    """Exit code and stderr of `python -m` with arguments that it refuses."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], env=_environment(settings), capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stderr


def refused_here(serve: Callable[[Launcher], Coroutine[Any, Any, None]], **settings: str) -> tuple[int, str]:
    """The same for the `serve` of a module, run in this process, which saves a second of imports."""
    with pytest.MonkeyPatch.context() as patched, redirect_stderr(StringIO()) as stderr:
        patched.setattr(sys, "argv", sys.argv[:1])
        for name in [name for name in os.environ if name.startswith("FORETELL_")]:
            patched.delenv(name)
        for name, value in settings.items():
            patched.setenv(f"FORETELL_{name.upper()}", value)
        with pytest.raises(SystemExit) as ended:
            run(serve)
    return int(ended.value.code or 0), stderr.getvalue()


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Poll until `true` returns true: other processes have no event to wait for. Fails after `seconds`."""
    last = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < last
        time.sleep(0.02)


@contextmanager
def _running(command: list[str], stderr: IO[str] | None, settings: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, cwd="/", env=_environment(settings), stdout=subprocess.PIPE, stderr=stderr, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _environment(settings: dict[str, str]) -> dict[str, str]:
    ours = {f"FORETELL_{name.upper()}": value for name, value in settings.items()}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FORETELL_")}
    path = os.pathsep.join(filter(None, (str(ROOT), inherited.get("PYTHONPATH"))))
    return inherited | ours | {"PYTHONPATH": path}


def _until(process: subprocess.Popen[str], words: str) -> str:
    """The stdout of the process up to the line with `words`."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if words in line:
            return printed
    raise AssertionError(f"ended with {process.wait()} before it was ready: {printed}")
