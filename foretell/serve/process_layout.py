"""The processes of `foretell serve`."""

import os
from dataclasses import dataclass
from pathlib import Path

from foretell.mlflow.address import follow_settings
from foretell.settings import ServeSettings
from foretell_contract.errors import SetupError
from foretell_lifecycle.platform import LONGEST_SOCKET_PATH


@dataclass(frozen=True, slots=True)
class Role:
    """One process, which the supervisor starts again whenever it ends."""

    name: str
    """Its name in the log."""
    module: str
    """For `python -m`."""
    settings: dict[str, str]
    """Its own settings, over those of all processes."""
    starts_first: bool = False
    """Whether the others start only when this one is ready."""


def tiers(settings: ServeSettings, count: int, folder: Path) -> list[list[Role]]:
    """The processes in the order in which they stop: each tier after the one before has drained.

    `folder` holds the sockets between them. Raises SetupError if the settings allow none.
    """
    layout = []
    if follow_settings(settings.follow):
        layout.append([Role("mlflow", "foretell.mlflow.follow_process", {}, starts_first=True)])
    if settings.control_http != "off":  # One for all servers.
        layout.append([Role("control_bridge", "foretell.serve.control_bridge", {"share_ports": "false"})])
    return layout + _servers(settings, count, folder)


def _servers(settings: ServeSettings, count: int, folder: Path) -> list[list[Role]]:
    numbers = range(1, count + 1)
    if settings.bridge == "inside":
        if settings.grpc_socket and count > 1:
            raise SetupError(f"grpc_socket {settings.grpc_socket} is for one process: leave it out, or set processes to 1")
        return [[Role(_name("server", number, count), "foretell.serve.server_and_bridge", {}) for number in numbers]]
    bridges, servers = [], []
    for number in numbers:
        path = _socket(folder, number)
        bridges.append(Role(_name("rest_bridge", number, count), "rest_bridge", {"target": f"unix:{path}"}))
        servers.append(Role(_name("grpc_server", number, count), "grpc_server", {"grpc_socket": path}))
    return [bridges, servers]  # Bridges stop first: their last requests need the servers.


def _name(kind: str, number: int, count: int) -> str:
    return kind if count == 1 else f"{kind} {number}"


def _socket(folder: Path, number: int) -> str:
    path = str(folder / f"grpc-{number}.sock")
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise SetupError(f"{path} is too long for the path of a Unix socket: set TMPDIR to a shorter folder")
    return path
