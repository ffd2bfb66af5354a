"""The processes of `foretell serve`: how many, with how many workers and threads, and the order in which they stop."""

import os
from dataclasses import dataclass
from pathlib import Path

from foretell.mlflow.address import follow_settings
from foretell.settings import ServeSettings
from foretell_contract.errors import SetupError
from foretell_lifecycle.platform import BALANCES_SHARED_PORTS, LONGEST_SOCKET_PATH


@dataclass(frozen=True, slots=True)
class Role:
    """One process, which the supervisor starts again whenever it ends."""

    name: str
    module: str
    settings: dict[str, str]
    """Over those of all processes."""
    starts_first: bool = False
    """Whether the others start only when this one is ready."""


def process_count(settings: ServeSettings) -> int:
    """Server processes; one where the system cannot share ports. Raises SetupError if the settings ask for more there."""
    if settings.processes == 1:
        return 1
    if BALANCES_SHARED_PORTS:
        return _cores() if settings.processes == "auto" else settings.processes
    if settings.processes == "auto":
        return 1
    raise SetupError(f"processes is {settings.processes}, but only Linux shares a port among processes: set it to 1")


def worker_count(settings: ServeSettings, processes: int) -> int:
    """Workers of a slow model in each of `processes`."""
    return max(1, _cores() // processes) if settings.workers == "auto" else settings.workers


def thread_limits(settings: ServeSettings, processes: int) -> dict[str, str]:
    """Environment variables that limit the threads of numerical libraries in `processes` and their workers to the cores."""
    from grpc_server.workers.model_process import THREADS

    return dict.fromkeys(THREADS, str(max(1, _cores() // (processes * worker_count(settings, processes)))))


def _cores() -> int:
    from grpc_server.workers.cost import cores  # Slow to import, and one process does not need it.

    return cores()


def tiers(settings: ServeSettings, count: int, folder: Path) -> list[list[Role]]:
    """The processes; each tier stops after the one before has drained. `folder` holds their sockets. Raises SetupError."""
    layout = []
    if follow_settings(settings.follow):
        layout.append([Role("mlflow", "foretell.mlflow.follow_process", {}, starts_first=True)])
    if settings.control_http != "off":  # One for all servers.
        layout.append([Role("control_bridge", "foretell.serve.control_bridge", {"share_ports": "false"})])
    return layout + _servers(settings, count, folder)


def _servers(settings: ServeSettings, count: int, folder: Path) -> list[list[Role]]:
    names = [""] if count == 1 else [f" {number}" for number in range(1, count + 1)]
    if settings.bridge == "inside":
        if settings.grpc_socket and count > 1:
            raise SetupError(f"grpc_socket {settings.grpc_socket} is for one process: leave it out, or set processes to 1")
        return [[Role(f"server{name}", "foretell.serve.server_and_bridge", {}) for name in names]]
    bridges, servers = [], []
    for number, name in enumerate(names, start=1):
        path = _socket(folder, number)
        bridges.append(Role(f"rest_bridge{name}", "rest_bridge", {"target": f"unix:{path}"}))
        servers.append(Role(f"grpc_server{name}", "grpc_server", {"grpc_socket": path}))
    return [bridges, servers]  # Bridges stop first: their last requests need the servers.


def _socket(folder: Path, number: int) -> str:
    path = str(folder / f"grpc-{number}.sock")
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise SetupError(f"{path} is too long for the path of a Unix socket: set TMPDIR to a shorter folder")
    return path
