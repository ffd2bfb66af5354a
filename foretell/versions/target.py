"""The settings, servers and credentials of a command, from its options and the environment."""

from pathlib import Path

from google.protobuf.message import Message
from pydantic import ValidationError

from foretell.options import GatedChangeOptions, TargetOptions, TlsOptions
from foretell_contract.contract import load_control
from foretell_contract.errors import SetupError
from foretell_lifecycle.settings import settings_error
from grpc_server.changes.convergence import Servers
from grpc_server.settings import ServerSettings
from grpc_server.transport.tls import Trust


def chosen_settings(**flags: Path | str | None) -> ServerSettings:
    """Settings overridden by the flags that are not None. Raises SetupError."""
    try:
        return ServerSettings(**{name: value for name, value in flags.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise settings_error(error) from None


def settings_for(options: TargetOptions) -> ServerSettings:
    """The settings of a command. Raises SetupError if folders are given together with a target."""
    folders = {"models": options.models} | ({"protos": options.protos} if isinstance(options, GatedChangeOptions) else {})
    given = [f"--{name}" for name, folder in folders.items() if folder is not None]
    if options.target and given:
        raise SetupError(f"--target uses the folders of that server: leave out {' and '.join(given)}")
    return chosen_settings(**folders)


def servers_for(settings: ServerSettings, options: TargetOptions) -> Servers:
    """The servers that a command calls: the target, or else those of the repository."""
    folder = None if options.target or settings.control == "off" else settings.control_folder
    return Servers(folder, options.target or settings.grpc_address, response_type(), trust(options))


def response_type() -> type[Message]:
    """The class of foretell.v1.ListModelsResponse. Compiles its contract at each call."""
    return load_control().message("foretell.v1.ListModelsResponse")


def trust(options: TlsOptions) -> Trust:
    """Credentials for calls to a server."""
    return Trust(options.roots, options.tls, options.certificate, options.key)
