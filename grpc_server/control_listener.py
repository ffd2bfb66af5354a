"""The listener of the control service: a Unix socket of each server, and a TCP port where the settings ask for one."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from foretell_contract.contract import CONTROL_SERVICE, MODEL_SERVICE, load_control
from foretell_contract.errors import SetupError
from foretell_lifecycle import address
from grpc_server.calls.handler import Handler
from grpc_server.changes import peers
from grpc_server.changes.convergence import Servers
from grpc_server.server import Server
from grpc_server.services.control import Control
from grpc_server.services.health import Health
from grpc_server.services.model_list import list_models_handler
from grpc_server.services.reflection import reflection_handlers
from grpc_server.settings import OPEN_TO_ALL, ServerSettings
from grpc_server.transport.tls import server_credentials
from grpc_server.transport.transport import NoInlineModels, Transport
from grpc_server.versions.registry import Registry

logger = logging.getLogger(__name__)

_LAST_BYTES = 1.0


@asynccontextmanager
async def controlling(settings: ServerSettings, registry: Registry, server: Server, grpc_address: str) -> AsyncIterator[str]:
    """The control service of a `server` that answers at `grpc_address`, until the end of the block; its TCP address, if any.

    Raises SetupError where the setting asks for what cannot be had; where only the default cannot, the log says so.
    """
    if settings.control == "off":
        yield ""
        return
    contract = load_control()
    with ExitStack() as held:
        transport = server.second_transport([("grpc.so_reuseport", int(settings.share_ports))])
        socket = lock = None
        try:
            socket, lock = held.enter_context(peers.claim_socket(settings.control_folder))
            transport.add_port(held.enter_context(peers.address(socket)))
            os.chmod(socket, 0o600)
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or "it is no folder for sockets"
            if settings.control.startswith("unix:"):
                raise SetupError(f"no control socket in {settings.control_folder}: {reason}") from None
            logger.warning("no control socket in %s (%s): commands ask the gRPC port", settings.control_folder, reason)
            lock = None
        opened = _open(transport, settings) if settings.control_address else ""
        health, services = Health(), [CONTROL_SERVICE, MODEL_SERVICE]
        for service in services:
            health.set_serving(service)
        response_type = contract.message("foretell.v1.ListModelsResponse")
        control = Control(contract, settings, Servers(settings.control_folder, grpc_address, response_type))
        handlers: list[Handler] = [*control.handlers(), list_models_handler(registry)]
        handlers += health.handlers()
        if settings.reflection:
            handlers += reflection_handlers(services, contract.pool)
        await transport.start(handlers, NoInlineModels())
        if lock is not None:
            peers.announce(lock, f"the server at {grpc_address} (process {os.getpid()})")
        try:
            yield opened
        finally:
            await transport.stop(_LAST_BYTES)


def _open(transport: Transport, settings: ServerSettings) -> str:
    address.listen(settings.control_address, "--control", shared=settings.share_ports).close()
    try:
        credentials = server_credentials(settings.tls_certificate, settings.tls_key, settings.control_clients)
        port = transport.add_port(settings.control_address, credentials)
    except RuntimeError:
        raise SetupError(f"cannot listen on {settings.control_address}: choose another --control") from None
    if settings.tls_certificate and not settings.control_clients:
        logger.warning("control on %s %s", settings.control_address, OPEN_TO_ALL)
    return address.join(address.split(settings.control_address)[0], port)
