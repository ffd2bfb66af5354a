"""The containers without an engine: their own commands and health checks as processes, in the open or walled in.

In the open, the paths of a container are exchanged for paths here. Walled in, a process gets what the compose file promises: a
root of its own that cannot be written to, with its mounts, its /tmp and the /dev/shm that every engine gives, another user, and
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
"""Where the images have their Python environment."""

SYSTEM = ("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/usr")
WRITABLE = {"/dev/shm": "size=64m"}
"""What every engine gives, a read-only root or not."""


class Place(Protocol):
    """Somewhere to run the commands of a container."""

    def command(self, container: Container, words: tuple[str, ...], settings: dict[str, str]) -> list[str]:
        """What to start here for `words` in the container, with its environment and `settings` on top."""


@dataclass(frozen=True)
class Open:
    """Plain processes of this machine, in a folder that holds nothing."""

    homes: dict[str, Path]
    """Python environment of each service."""
    models: Path
    folder: Path

    def command(self, container: Container, words: tuple[str, ...], settings: dict[str, str]) -> list[str]:
        """Exchange paths and host names; `env` does the rest."""
        variables = container.environment | settings
        moved = _mounts(container, self.models) | {HOME: self.homes[container.name]}
        for there, here in (*moved.items(), ("grpc_server:", "127.0.0.1:")):
            variables = {name: value.replace(there, str(here)) for name, value in variables.items()}
        return _in_environment(str(self.folder), variables, words)


@dataclass(frozen=True)
class Walled:
    """Processes behind a mount namespace. Needs root on Linux."""

    homes: dict[str, Path]
    models: Path
    folder: Path

    def command(self, container: Container, words: tuple[str, ...], settings: dict[str, str]) -> list[str]:
        """Build the walls, then give up all power, then start."""
        root = self.folder / "root"
        root.mkdir(exist_ok=True)
        user, _, group = container.user.partition(":")
        powerless = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--clear-groups"]
        start = ["chroot", str(root), "setpriv", f"--reuid={user}", f"--regid={group}", *powerless]
        start += _in_environment(container.folder, container.environment | settings, words)
        script = [*_walls(root, self._seen(container), WRITABLE | container.tmpfs), f"exec {shlex.join(start)}"]
        return ["unshare", "--mount", "sh", "-euc", "\n".join(script)]

    def _seen(self, container: Container) -> dict[str, Path]:
        """Path in the container to path here, for all that the process can see."""
        hosts = self.folder / "hosts"
        hosts.write_text("127.0.0.1 localhost grpc_server\n")
        home = self.homes[container.name]
        code = [ROOT] if home == Path(sys.prefix) else []  # Our own environment has the code by reference.
        system = [path for path in (*map(Path, SYSTEM), Path(sys.base_prefix), *code) if path.exists()]
        return {str(path): path for path in system} | _mounts(container, self.models) | {HOME: home, "/etc/hosts": hosts}


def _walls(root: Path, seen: dict[str, Path], writable: dict[str, str]) -> Iterator[str]:
    """Shell commands that make `root` a root with nothing but `seen`, of which nothing but `writable` can be written to."""
    yield f"mount -t tmpfs -o mode=755 tmpfs {root}"
    for path in sorted({*seen, *writable}):  # A folder comes before what is in it.
        there = shlex.quote(f"{root}{path}")
        if path in writable:
            yield f"mkdir -p {there}"
            yield f"mount -t tmpfs -o mode=1777,{writable[path]} tmpfs {there}"
            continue
        if seen[path].is_dir():
            yield f"mkdir -p {there}"
        yield f"mount --bind {shlex.quote(str(seen[path]))} {there}"
        yield f"mount -o remount,bind,ro {there}"
    yield f"mount -o remount,ro {root}"


@dataclass
class Running:
    """A container that said it is ready."""

    container: Container
    place: Place
    process: subprocess.Popen[str]
    address: str
    """HOST:PORT."""

    def healthcheck(self, **settings: str) -> int:
        """Exit code of the container's own health check."""
        return healthcheck(self.place, self.container, self.address, **settings).returncode

    def stop(self) -> int:
        """Stop it as an engine does: the stop signal, then the time the compose file gives. The exit code."""
        self.process.send_signal(signal.Signals[self.container.stop_signal])
        return self.process.wait(self.container.stop_seconds)


def healthcheck(place: Place, container: Container, address: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the health check of a container that listens on `address`, or would."""
    return run(place, container, *container.healthcheck, **{_address(container): address}, **settings)


def run(place: Place, container: Container, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the container to its end."""
    command = place.command(container, words, settings)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


@contextmanager
def started(place: Place, container: Container, address: str = "127.0.0.1:0", **settings: str) -> Iterator[Running]:
    """Start the container's command and wait until it says that it is ready."""
    command = place.command(container, container.command, {_address(container): address} | settings)
    with announced(command, None) as (process, where):
        yield Running(container, place, process, where)


@contextmanager
def announced(command: list[str], environment: dict[str, str] | None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process of ours, once it said where it listens, and that HOST:PORT."""
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
    """Name of the setting that says where a container listens."""
    return next(name for name in container.environment if name.endswith("_ADDRESS"))


def _mounts(container: Container, models: Path) -> dict[str, Path]:
    here = {target: ROOT / source for target, source in container.mounts.items()}
    return {target: models if path == ROOT / "models" else path for target, path in here.items()}


def _in_environment(folder: str, variables: dict[str, str], words: tuple[str, ...]) -> list[str]:
    return ["env", "-i", "-C", folder, *(f"{name}={value}" for name, value in variables.items()), *words]


def why_not_walled() -> str:
    """Why nothing can be walled in here; empty when it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root on Linux can give a process a read-only root"
    made = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    return made.stderr.strip()
