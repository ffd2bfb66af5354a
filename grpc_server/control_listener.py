"""Listens for the control service: on a Unix socket of each server, and on a TCP port if the settings ask for it."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from foretell_contract.contract import CONTROL_SERVICE, load_control
from foretell_contract.errors import SetupError
from grpc_server.changes import peers
from grpc_server.changes.convergence import Servers
from grpc_server.server import STOP_SECONDS, Server, listen
from grpc_server.services.control import Control
from grpc_server.services.service_set import ServiceSet
from grpc_server.settings import UNAUTHENTICATED, ServerSettings
from grpc_server.transport.choose import create_second_transport
from grpc_server.transport.tls import server_credentials
from grpc_server.transport.transport import NoInlineModels, Transport
from grpc_server.versions.registry import Registry

logger = logging.getLogger(__name__)


@asynccontextmanager
async def serve_control(settings: ServerSettings, registry: Registry, server: Server, grpc_address: str) -> AsyncIterator[str]:
    """Serve control for `server`, which takes calls at `grpc_address`, within the block; the TCP address, if any.

    Raises SetupError if an explicit setting cannot be met; if only the default socket cannot, logs a warning.
    """
    if settings.control == "off":
        yield ""
        return
    contract = load_control()
    with ExitStack() as stack:
        transport = create_second_transport(server.transport, [("grpc.so_reuseport", int(settings.share_ports))])
        lock = _listen_on_socket(transport, settings, stack)
        tcp_address = _listen_on_tcp(transport, settings) if settings.control_address else ""
        servers = Servers(settings.control_folder, grpc_address, contract.message("foretell.v1.ListModelsResponse"))
        own = Control(contract, settings, servers).handlers()
        services = ServiceSet(own, [CONTROL_SERVICE], registry, contract, reflection=settings.reflection)
        await transport.start(services.handlers, NoInlineModels())
        if lock is not None:
            peers.announce(lock, f"the server at {grpc_address} (process {os.getpid()})")
        try:
            yield tcp_address
        finally:
            await transport.stop(STOP_SECONDS)


def _listen_on_socket(transport: Transport, settings: ServerSettings, stack: ExitStack) -> int | None:
    """The lock of the control socket, which the stack releases; None without a socket."""
    try:
        socket, lock = stack.enter_context(peers.claim_socket(settings.control_folder))
        transport.add_port(stack.enter_context(peers.address(socket)))
        os.chmod(socket, 0o600)
        return lock
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "not a folder for sockets"
        if settings.control.startswith("unix:"):
            raise SetupError(f"no control socket in {settings.control_folder}: {reason}") from None
        logger.warning("no control socket in %s (%s): commands use the gRPC port instead", settings.control_folder, reason)
        return None


def _listen_on_tcp(transport: Transport, settings: ServerSettings) -> str:
    credentials = server_credentials(settings.tls_certificate, settings.tls_key, settings.control_clients)
    bound = listen(transport, settings.control_address, "--control", shared=settings.share_ports, credentials=credentials)
    if settings.tls_certificate and not settings.control_clients:
        logger.warning("control on %s %s", settings.control_address, UNAUTHENTICATED)
    return bound
