"""Containers without an engine: their commands and health checks as processes, open or walled.

`Open` replaces the paths of a container by paths here. `Walled` gives a process what the compose file promises: a
read-only root of its own with its mounts, its /tmp and the /dev/shm that every engine mounts, another user, and
no capabilities.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.support.deployment.images import Container
from tests.support.processes import ROOT

HOME = "/opt/foretell"
"""The Python environment in the images."""

SYSTEM = ("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/usr")
WRITABLE = {"/dev/shm": "size=64m"}
"""Every engine mounts it, also under a read-only root."""


class Place(Protocol):
    """Runs the commands of a container."""

    def command(self, container: Container, words: tuple[str, ...], settings: dict[str, str]) -> list[str]:
        """The command that runs `words` as in the container, with its environment and `settings` on top."""


@dataclass(frozen=True)
class Open:
    """Plain processes of this machine, in an empty folder."""

    homes: dict[str, Path]
    """Python environment of each service."""
    models: Path
    folder: Path

    def command(self, container: Container, words: tuple[str, ...], settings: dict[str, str]) -> list[str]:
        """Replaces paths and host names, and sets the environment by `env`."""
        variables = container.environment | settings
        moved = _mounts(container, self.models) | {HOME: self.homes[container.name]}
        for there, here in (*moved.items(), ("grpc_server:", "127.0.0.1:")):
            variables = {name: value.replace(there, str(here)) for name, value in variables.items()}
        return _in_environment(str(self.folder), variables, words)


@dataclass(frozen=True)
class Walled:
    """Processes in a mount namespace of their own. Needs root on Linux."""

    homes: dict[str, Path]
    models: Path
    folder: Path

    def command(self, container: Container, words: tuple[str, ...], settings: dict[str, str]) -> list[str]:
        """Mounts the root, drops user and capabilities, then starts."""
        root = self.folder / "root"
        root.mkdir(exist_ok=True)
        user, _, group = container.user.partition(":")
        unprivileged = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--clear-groups"]
        start = ["chroot", str(root), "setpriv", f"--reuid={user}", f"--regid={group}", *unprivileged]
        start += _in_environment(container.folder, container.environment | settings, words)
        script = [*_walls(root, self._visible(container), WRITABLE | container.tmpfs), f"exec {shlex.join(start)}"]
        return ["unshare", "--mount", "sh", "-euc", "\n".join(script)]

    def _visible(self, container: Container) -> dict[str, Path]:
        """Path in the container to path here, for everything that the process can see."""
        hosts = self.folder / "hosts"
        hosts.write_text("127.0.0.1 localhost grpc_server\n")
        home = self.homes[container.name]
        code = [ROOT] if home == Path(sys.prefix) else []  # An editable install refers to the checkout.
        system = [path for path in (*map(Path, SYSTEM), Path(sys.base_prefix), *code) if path.exists()]
        return {str(path): path for path in system} | _mounts(container, self.models) | {HOME: home, "/etc/hosts": hosts}


def _walls(root: Path, visible: dict[str, Path], writable: dict[str, str]) -> Iterator[str]:
    """Shell commands that mount `visible` and `writable` below `root`; only `writable` can be written to."""
    yield f"mount -t tmpfs -o mode=755 tmpfs {root}"
    for path in sorted({*visible, *writable}):  # A folder before its contents.
        there = shlex.quote(f"{root}{path}")
        if path in writable:
            yield f"mkdir -p {there}"
            yield f"mount -t tmpfs -o mode=1777,{writable[path]} tmpfs {there}"
            continue
        if visible[path].is_dir():
            yield f"mkdir -p {there}"
        yield f"mount --bind {shlex.quote(str(visible[path]))} {there}"
        yield f"mount -o remount,bind,ro {there}"
    yield f"mount -o remount,ro {root}"


@dataclass
class Running:
    """A container that has announced itself."""

    container: Container
    place: Place
    process: subprocess.Popen[str]
    address: str
    """HOST:PORT."""

    def healthcheck(self, **settings: str) -> int:
        """Exit code of the container's own health check."""
        return healthcheck(self.place, self.container, self.address, **settings).returncode

    def stop(self) -> int:
        """Send the stop signal, wait for the compose file's stop period, and return the exit code."""
        self.process.send_signal(signal.Signals[self.container.stop_signal])
        return self.process.wait(self.container.stop_seconds)


def healthcheck(place: Place, container: Container, address: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the health check of a container against `address`, whether it listens there or not."""
    return run(place, container, *container.healthcheck, **{_address(container): address}, **settings)


def run(place: Place, container: Container, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the container to its end."""
    command = place.command(container, words, settings)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


@contextmanager
def started(place: Place, container: Container, address: str = "127.0.0.1:0", **settings: str) -> Iterator[Running]:
    """Start the container's command and wait for its announcement."""
    command = place.command(container, container.command, {_address(container): address} | settings)
    with announced(command, None) as (process, where):
        yield Running(container, place, process, where)


@contextmanager
def announced(command: list[str], environment: dict[str, str] | None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that has announced its address, and that HOST:PORT."""
    process = subprocess.Popen(command, env=environment, cwd="/", stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert " on " in line, f"ended with {process.wait(30)} before it was ready"
        yield process, line.split()[2].rstrip(",").removeprefix("http://")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def _address(container: Container) -> str:
    """Name of the variable with a container's address."""
    return next(name for name in container.environment if name.endswith("_ADDRESS"))


def _mounts(container: Container, models: Path) -> dict[str, Path]:
    here = {target: ROOT / source for target, source in container.mounts.items()}
    return {target: models if path == ROOT / "models" else path for target, path in here.items()}


def _in_environment(folder: str, variables: dict[str, str], words: tuple[str, ...]) -> list[str]:
    return ["env", "-i", "-C", folder, *(f"{name}={value}" for name, value in variables.items()), *words]


def why_not_walled() -> str:
    """Why `Walled` cannot run here; empty if it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root on Linux can give a process a read-only root"
    made = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    return made.stderr.strip()
