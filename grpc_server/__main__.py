"""`python -m grpc_server`: the gRPC server alone, as its container runs it."""

import logging
import warnings

from pydantic_settings import CliApp

from contract.contract import load
from contract.pitfalls import pitfalls
from grpc_server.registry import Registry, load_registry
from grpc_server.server import Server
from grpc_server.settings import ServerSettings
from lifecycle.process import Launcher, run

logger = logging.getLogger(__name__)


async def serve(launcher: Launcher) -> None:
    """Serve until told to stop. Raises SetupError for what cannot be served, before any call is taken."""
    settings = CliApp.run(ServerSettings)
    # Columns are bound by name before the estimator sees a row, so its warning about nameless arrays is noise on every call.
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    contract = load(settings.protos)
    server = Server(settings)
    bound = server.bind()
    for pitfall in pitfalls(contract):
        logger.warning("%s", pitfall)
    registry = load_registry(contract, settings)
    await server.start(registry)
    launcher.announce({"address": bound, "models": _models(registry)}, "\n".join([f"gRPC on {bound}", *_models(registry)]))
    await launcher.told_to_stop()
    await server.stop()


def _models(registry: Registry) -> list[str]:
    return [f"{m.name} version {m.version} ({m.manifest.format}) answers {m.service.full_name}" for m in registry.models]


if __name__ == "__main__":
    run(serve)
