"""The gRPC server from its settings to the end of its drain, alone in a process or with a bridge beside it."""

import logging
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from foretell_contract.contract import Contract, load
from foretell_contract.lint.pitfalls import pitfalls
from foretell_lifecycle.process import Launcher
from grpc_server.calls.handler import Handler
from grpc_server.control_listener import controlling
from grpc_server.server import Server
from grpc_server.settings import ServerSettings
from grpc_server.versions.registry import Registry, load_registry
from grpc_server.versions.startup_watchdog import StartupWatchdog

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """A server that answers calls."""

    address: str
    registry: Registry
    handlers: list[Handler]
    """What its calls are answered by."""
    control: str = ""
    """TCP address of the control service; empty where it has none."""
    missing: tuple[str, ...] = ()
    """Models that the contract speaks of and the repository does not have: what they would answer is not served."""

    @property
    def models(self) -> list[str]:
        """What answers, in words: a line a service."""
        return [f"{m.name} version {m.version} ({m.manifest.format}) answers {m.service.full_name}" for m in self.registry.models]

    @property
    def facts(self) -> dict[str, Any]:
        """What the supervisor wants to know."""
        return {"grpc_address": self.address, "models": self.models, "control": self.control, "missing": self.missing}


@asynccontextmanager
async def serving(settings: ServerSettings, launcher: Launcher) -> AsyncIterator[Served]:
    """A server, until the end of the block, which is its drain. Raises SetupError before any call is taken.

    Where a model hangs meanwhile, the launcher hears of it from another thread, and the process ends.
    """
    # Columns are bound by name before the estimator sees a row, so its warning about nameless arrays is noise on every call.
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    contract = load(settings.protos)
    settings = settings.anchored()
    settings.check_control()
    server = Server(settings)
    address = "" if settings.share_ports else server.bind()
    for pitfall in pitfalls(contract):
        logger.warning("%s", pitfall)
    with StartupWatchdog(settings.gate_seconds, launcher) as watchdog:
        registry = load_registry(contract, settings, watchdog.on_gate)
    missing = _missing(contract, registry)
    if missing:  # Only now: a refused start says one thing.
        how = "add one with `foretell add FILE --name NAME` and start again"
        logger.info("not served: %s, of which there is no model in %s; %s", ", ".join(missing), settings.models, how)
    address = address or server.bind()  # Others share the port, and answer callers who would have to wait here.
    handlers = await server.start(registry)
    try:
        async with controlling(settings, registry, server, address) as control:
            yield Served(address, registry, handlers, control, missing)
    finally:
        await server.stop()


def _missing(contract: Contract, registry: Registry) -> tuple[str, ...]:
    there = {service.model for service in registry.contract.services}
    return tuple(dict.fromkeys(service.model for service in contract.services if service.model not in there))
