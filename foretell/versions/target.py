"""Where a command finds its record and its servers: in the settings and the flags."""

from pathlib import Path

from google.protobuf.message import Message
from pydantic import ValidationError

from foretell.options import Calling, Introduction, TargetOptions
from foretell_contract.contract import load_control
from foretell_contract.errors import SetupError
from foretell_lifecycle.settings import settings_error
from grpc_server.changes.convergence import Servers
from grpc_server.settings import ServerSettings
from grpc_server.transport.tls import Trust


def chosen_settings(**flags: Path | str | None) -> ServerSettings:
    """Settings in which the flags that are not None win. Raises SetupError."""
    try:
        return ServerSettings(**{name: value for name, value in flags.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise settings_error(error) from None


def settings_at(told: TargetOptions) -> ServerSettings:
    """The settings for a record. Raises SetupError where a server elsewhere is told of folders here."""
    folders = {"models": told.models} | ({"protos": told.protos} if isinstance(told, Introduction) else {})
    given = [f"--{name}" for name, folder in folders.items() if folder is not None]
    if told.target and given:
        raise SetupError(f"--target asks the server there, which has folders of its own: leave out {' and '.join(given)}")
    return chosen_settings(**folders)


def servers_of(settings: ServerSettings, told: TargetOptions) -> Servers:
    """The servers that a command asks: the one at the target, else those of the repository at hand."""
    if told.target:
        return Servers(None, told.target, response_type(), trust(told))
    folder = None if settings.control == "off" else settings.control_folder
    return Servers(folder, settings.grpc_address, response_type(), trust(told))


def response_type() -> type[Message]:
    """The class of foretell.v1.ListModelsResponse. Compiles its contract: to be asked for once."""
    return load_control().message("foretell.v1.ListModelsResponse")


def trust(told: Calling) -> Trust:
    """How the flags say that servers are called."""
    return Trust(told.roots, told.tls, told.certificate, told.key)
