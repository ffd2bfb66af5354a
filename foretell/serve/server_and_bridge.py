"""`python -m foretell.serve.server_and_bridge`: a gRPC server and a REST bridge in one process."""

import foretell_lifecycle.grpc_polling  # noqa: F401  # Before all that imports grpc.

# isort: split
from contextlib import ExitStack

from foretell_lifecycle.process import Launcher, run


async def serve(launcher: Launcher) -> None:
    """Serve until stopped. Raises SetupError if it cannot start, before it takes calls."""
    # Imported under `run`, which refuses packages that do not work together in one line.
    from pydantic_settings import CliApp

    from foretell.serve.local_channel import LocalChannel
    from foretell.settings import ServeSettings
    from grpc_server.serving import serving as serving_grpc
    from rest_bridge.serving import listen
    from rest_bridge.serving import serving as serving_rest

    settings = CliApp.run(ServeSettings)
    listeners = [] if settings.share_ports else listen(settings)
    with ExitStack() as closed:
        for listener in listeners:
            closed.enter_context(listener)  # Closed if the server cannot start.
        async with serving_grpc(settings, launcher) as served:
            channel = LocalChannel(served.handlers, served.registry, settings.max_message_bytes)
            # The bridge drains first, because its last requests need the server.
            listeners = listeners or listen(settings)  # A shared port opens last: until then the other processes take its calls.
            async with serving_rest(settings, listeners, served.registry.contract, channel) as facts:
                launcher.announce(served.facts | facts, served.text(f"REST on http://{facts['http_address']}"))
                await launcher.wait_for_stop(served.registry.run_waiting)


if __name__ == "__main__":
    run(serve)
