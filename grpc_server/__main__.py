"""`python -m grpc_server`: the gRPC server alone, as its container runs it."""

import foretell_lifecycle.grpc_polling  # noqa: F401  # Before all that imports grpc.

# isort: split
from foretell_lifecycle.process import Launcher, run


async def serve(launcher: Launcher) -> None:
    """Serve until stopped. Raises SetupError if it cannot start, before it takes any call."""
    # Imported under `run`, which refuses packages that do not work together in one line.
    from pydantic_settings import CliApp

    from grpc_server.serving import serving
    from grpc_server.settings import ServerSettings

    async with serving(CliApp.run(ServerSettings), launcher) as served:
        launcher.announce(served.facts, served.text())
        await launcher.wait_for_stop(served.registry.run_waiting)  # Blocks while an inline model hangs, which stops the heartbeats.


if __name__ == "__main__":
    run(serve)
