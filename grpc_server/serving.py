"""A running gRPC server, from its settings to the end of its drain."""

import logging
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foretell_contract.contract import load
from foretell_contract.lint.pitfalls import pitfalls
from foretell_lifecycle.process import Launcher
from grpc_server.calls.handler import Handler
from grpc_server.changes import peers
from grpc_server.control_listener import serve_control
from grpc_server.server import Server
from grpc_server.settings import ServerSettings
from grpc_server.versions.registry import Registry, load_registry
from grpc_server.versions.startup_watchdog import StartupWatchdog

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that takes calls."""

    address: str
    registry: Registry
    handlers: list[Handler]
    control: str
    """TCP address of the control service; empty if it has none."""
    missing: tuple[str, ...]
    """Models of the contract that the repository lacks; their services are not served."""
    certificate: Path | None
    """Certificate of the TCP port; None if that takes unencrypted calls."""

    @property
    def models(self) -> list[str]:
        """One line for each service: its model and version."""
        return [f"{m.name} version {m.version} ({m.manifest.format}) answers {m.service.full_name}" for m in self.registry.models]

    @property
    def note(self) -> str:
        """One line about the models that are missing; empty if none is."""
        how = f"add one by `foretell add FILE --name {self.missing[0]}` and start again" if self.missing else ""
        return how and f"No model yet for the contract of {', '.join(self.missing)}: {how}"

    @property
    def facts(self) -> dict[str, Any]:
        """Facts for the supervisor."""
        facts = {"grpc_address": self.address, "models": self.models, "control": self.control, "missing": self.missing}
        return facts | {"note": self.note, "certificate": str(self.certificate or "")}

    def text(self, *more: str) -> str:
        """The facts in lines for a terminal, with `more` below the address."""
        return "\n".join(filter(None, [f"gRPC on {self.address}", *more, *self.models, self.note]))


@asynccontextmanager
async def serving(settings: ServerSettings, launcher: Launcher) -> AsyncIterator[RunningServer]:
    """A server that takes calls within the block and drains at its end. Raises SetupError if it cannot start.

    If a model hangs during the start, the process ends and the launcher gets the reason from another thread.
    """
    # Columns are matched by name before the estimator gets a row, so its warning about arrays without names is wrong.
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    contract = load(settings.protos)
    settings = settings.with_absolute_paths()
    settings.check_control()
    server = Server(settings)
    address = "" if settings.share_ports else server.bind()
    for pitfall in pitfalls(contract):
        logger.warning("%s", pitfall)
    with StartupWatchdog(settings.gate_seconds, launcher) as watchdog:
        registry = load_registry(contract, settings, watchdog.on_gate)
    if settings.control != "off" and not peers.running(settings.control_folder):  # Else other servers may serve production.
        for served in registry.served_models:
            served.record_fallback()
    offered = {service.model for service in registry.contract.services}
    missing = tuple(dict.fromkeys(service.model for service in contract.services if service.model not in offered))
    address = address or server.bind()  # A shared port opens last: until then the other processes take its calls.
    handlers = await server.start(registry)
    try:
        async with serve_control(settings, registry, server, address) as control:
            yield RunningServer(address, registry, handlers, control, missing, settings.tls_certificate)
    finally:
        await server.stop()
