"""The gRPC server: its ports, limits, standard services and drain, around a transport and the registry."""

import asyncio
import gc
import os

import grpc

from foretell_contract.errors import SetupError
from foretell_lifecycle import address
from grpc_server.calls.handler import Handler
from grpc_server.services.service_set import ServiceSet
from grpc_server.settings import ServerSettings
from grpc_server.transport.choose import create_transport
from grpc_server.transport.tls import server_credentials
from grpc_server.transport.transport import Transport
from grpc_server.versions.registry import Registry

STOP_SECONDS = 1.0
"""Seconds for replies to leave, and for health watchers to stay connected, after the drain."""

LEAST_PING_MS = 5_000
"""Least time between two pings of a client: the third one that comes sooner closes the connection. Clients in Go and Java ping
every 10 s at most, so half of that allows for delays."""

_QUIET_SECONDS = 0.25
"""Seconds without a new call before the ports close: grpcio ends calls that arrive while it closes them with CANCELLED instead of
UNAVAILABLE (grpc issue 41785), which clients do not retry."""


class Server:
    """One gRPC server. Use it once, on one event loop: bind, start, stop."""

    _services: ServiceSet
    _registry: Registry

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self.transport = create_transport(settings.shell, _options(settings))

    def bind(self) -> str:
        """Listen on the ports; the TCP address. Raises SetupError if it cannot."""
        given = self._settings
        credentials = server_credentials(given.tls_certificate, given.tls_key)
        bound = listen(self.transport, given.grpc_address, "--grpc-address", shared=given.share_ports, credentials=credentials)
        if given.grpc_socket:
            _add_port(self.transport, f"unix:{given.grpc_socket}")
            os.chmod(given.grpc_socket, 0o600)
        return bound

    async def start(self, registry: Registry) -> list[Handler]:
        """Take calls; the handlers, for a channel in this process."""
        self._registry, self._services = registry, ServiceSet.of_models(registry, reflection=self._settings.reflection)
        gc.freeze()  # Models and contract stay: keep the garbage collector from scanning them.
        registry.follow()  # First, so that a call for a version that is loading gets VERSION_LOADING, not UNKNOWN_VERSION.
        await self.transport.start(self._services.handlers, registry)
        return self._services.handlers

    async def stop(self) -> None:
        """Drain: refuse new calls with UNAVAILABLE, finish accepted ones, close the ports."""
        self._services.health.set_stopping()
        self._registry.admission.close()
        await asyncio.to_thread(self._registry.admission.wait, self._settings.drain_seconds, _QUIET_SECONDS)
        await self.transport.stop(STOP_SECONDS)
        await asyncio.to_thread(self._registry.close, STOP_SECONDS)


def listen(transport: Transport, given: str, setting: str, *, shared: bool, credentials: grpc.ServerCredentials | None) -> str:
    """Listen on HOST:PORT `given`, the value of `setting`; the bound address. Raises SetupError if it cannot."""
    host, port = address.split(given)
    for listener in address.listen_all(given, setting, shared=shared):  # Raises with the reason, which grpcio does not give.
        listener.close()
    return address.join(host, _add_port(transport, address.join(host, port), credentials))


def _add_port(transport: Transport, target: str, credentials: grpc.ServerCredentials | None = None) -> int:
    try:
        return transport.add_port(target, credentials)
    except RuntimeError:
        raise SetupError(f"cannot listen on {target}: it is taken, or not an address of this machine") from None


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    return [
        # By default grpcio shares ports, so that a second server would not fail.
        ("grpc.so_reuseport", int(settings.share_ports)),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_concurrent_streams", settings.max_streams),
        # It counts calls that have just ended, and so resets calls of clients that keep to max_concurrent_streams.
        ("grpc.http.overload_protection", 0),
        # Above these, gRPC cancels waiting calls at random; the batcher refuses floods with RESOURCE_EXHAUSTED instead.
        ("grpc.server.max_pending_requests", 8_000),
        ("grpc.server.max_pending_requests_hard_limit", 8_000),
        ("grpc.server_handshake_timeout_ms", 10_000),
        ("grpc.http2.min_ping_interval_without_data_ms", LEAST_PING_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_metadata_size", 8_192),
    ]
