"""Which processes `foretell serve` consists of."""

import os
from dataclasses import dataclass
from pathlib import Path

from foretell.mlflow.follow_setting import follow_settings
from foretell.settings import ServeSettings
from foretell_contract.errors import SetupError
from foretell_lifecycle.platform import LONGEST_SOCKET_PATH


@dataclass(frozen=True, slots=True)
class Role:
    """One process, however often it is started."""

    name: str
    """In the log."""
    module: str
    """What `python -m` runs."""
    settings: dict[str, str]
    """What it is told beside what all are told."""
    first: bool = False
    """Whether the others start only once this one is ready."""


def tiers(settings: ServeSettings, count: int, folder: Path) -> list[list[Role]]:
    """The processes in the order in which they stop: a tier only once the one before has answered all that it accepted.

    `folder` is for the sockets between them. Raises SetupError where these cannot be.
    """
    following = [[Role("mlflow", "foretell.mlflow.follow_process", {}, first=True)]] if follow_settings(settings.follow) else []
    return following + _servers(settings, count, folder)


def _servers(settings: ServeSettings, count: int, folder: Path) -> list[list[Role]]:
    numbers = range(1, count + 1)
    if settings.bridge == "inside":
        if settings.grpc_socket and count > 1:
            raise SetupError(f"grpc_socket is for one process: leave out {settings.grpc_socket}, or set processes to 1")
        return [
            *_control(settings),
            [Role(_name("host", number, count), "foretell.serve.server_and_bridge", {}) for number in numbers],
        ]
    bridges, servers = [], []
    for number in numbers:
        path = _socket(folder, number)
        bridges.append(Role(_name("rest_bridge", number, count), "rest_bridge", {"target": f"unix:{path}"}))
        servers.append(Role(_name("grpc_server", number, count), "grpc_server", {"grpc_socket": path}))
    return [*_control(settings), bridges, servers]  # The last requests of a bridge still need its server.


def _control(settings: ServeSettings) -> list[list[Role]]:
    """The tier of the control service's bridge, if there is to be one: a single one, however many servers there are."""
    if settings.control_http == "off":
        return []
    return [[Role("control_bridge", "foretell.serve.control_bridge", {"share_ports": "false"})]]


def _name(kind: str, number: int, count: int) -> str:
    return kind if count == 1 else f"{kind} {number}"


def _socket(folder: Path, number: int) -> str:
    path = str(folder / f"grpc-{number}.sock")
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise SetupError(f"{path} is too long a path for a Unix socket: set TMPDIR to a shorter one")
    return path
