"""`python -m foretell.serve.server_and_bridge`: a gRPC server and a REST bridge in one process."""

import foretell_lifecycle.grpc_polling  # noqa: F401  # Before all that imports grpc.

# isort: split
from contextlib import nullcontext

from foretell_lifecycle.process import Launcher, run


async def serve(launcher: Launcher) -> None:
    """Serve until told to stop. Raises SetupError for what cannot be served, before any call is taken."""
    # Imported under `run`, which refuses packages that do not work together in one line.
    from pydantic_settings import CliApp

    from foretell.serve.local_channel import LocalChannel
    from foretell.settings import ServeSettings
    from grpc_server.serving import serving as serving_grpc
    from rest_bridge.serving import listen
    from rest_bridge.serving import serving as serving_rest

    settings = CliApp.run(ServeSettings)
    listener = None if settings.share_ports else listen(settings)
    with listener or nullcontext():  # Else a refusal would leave it open.
        async with serving_grpc(settings, launcher) as served:
            channel = LocalChannel(served.handlers, served.registry, settings.max_message_bytes)
            # The bridge drains first, for its last requests still need the server.
            listener = listener or listen(settings)  # Others share the port, and answer callers who would have to wait here.
            async with serving_rest(settings, listener, served.registry.contract, channel) as facts:
                text = "\n".join([f"gRPC on {served.address}", f"REST on http://{facts['http_address']}", *served.models])
                launcher.announce(served.facts | facts, text)
                await launcher.told_to_stop(served.registry.run_waiting)


if __name__ == "__main__":
    run(serve)
